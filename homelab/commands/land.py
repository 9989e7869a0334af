"""``homelab work land``, ``work log`` and ``work queue``."""

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.git.repository import Repository, discover
from homelab.landing import land as landing
from homelab.landing import queue


@click.command()
@click.option("--verify-cmd", metavar="CMD", help="What verifies where no suite does; besides the suites where there are any.")
@click.option("--no-verify", is_flag=True, help="Land this one commit without verification. The journal says who and when.")
@json_option
def land(verify_cmd: str | None, no_verify: bool, as_json: bool) -> None:
    """Merge the target in, verify the result, and push exactly that.

    Ends with 0 only when the target on the remote has the work. Where a rule of the server protects the target, the branch is
    pushed for a review instead (6). A conflict is left in the worktree to be resolved (5); land again after the commit.
    """
    if no_verify and verify_cmd is not None:
        raise click.UsageError("--no-verify and --verify-cmd exclude one another.")
    if verify_cmd is not None and not verify_cmd.strip():
        raise click.UsageError("--verify-cmd is empty.")
    report = landing.land(verify_cmd=verify_cmd, no_verify=no_verify)
    if as_json:
        output.answer_json(report.document())
    elif report.status == "already-landed":
        output.answer(output.line(f"already landed: {report.remote}/{report.target} has {report.branch}"))
    else:
        output.answer(output.line(f"landed {report.branch} as {report.commit} on {report.remote}/{report.target}"))
        output.say(f"CI applies what lands: follow {(report.commit or '')[:12]}")


@click.command()
@json_option
def log(as_json: bool) -> None:
    """Show the journal: every landing of this clone, and every --no-verify, newest first."""
    from homelab.landing import journal

    found = journal.landings(discover())[::-1]
    if as_json:
        output.answer_json(found)
        return
    for row in found:
        suites = " ".join(
            f"{suite['name']}:{suite['result']}{' (flaky)' if suite.get('flaky') else ''}" for suite in row["suites"]
        )
        verified = suites if row["verified"] or row["status"] == "failed" else "NOT VERIFIED"
        when = output.ago(row["finished"] or row["started"])
        output.answer(
            output.line(f"{row['commit'][:12]}  {row['status']:8}  {when:12}  {row['user']}  {row['branch']} -> {row['target']}"
                        f"  {verified}")
        )  # fmt: skip
    if not found:
        output.say("nothing has been landed from this clone")


@click.command("queue")
@json_option
@click.option("--watch", is_flag=True, help="Stay, and show every change.")
def queue_(as_json: bool, watch: bool) -> None:
    """Show who waits to land in this clone, in the order in which they are served."""
    repository = discover()
    if watch:
        output.watch(lambda: _waiting(repository), as_json=as_json)
    document, words = _waiting(repository)
    if as_json:
        output.answer_json(document)
    elif document:
        output.answer(words)
    else:
        output.say(words)


def _waiting(repository: Repository) -> tuple[list[dict[str, object]], str]:
    found = queue.waiting(repository)
    rows: list[dict[str, object]] = [
        {
            "position": n, "branch": ticket.branch, "worktree": ticket.worktree, "user": ticket.user, "host": ticket.host,
            "session": ticket.session, "pid": ticket.pid, "since": ticket.since,
        } for n, ticket in enumerate(found)
    ]  # fmt: skip
    lines = (
        f"{ticket.branch or '(starting)'}  {f'{n} ahead' if n else 'landing'}  {output.ago(ticket.since)}  "
        f"{ticket.user} pid {ticket.pid}"
        for n, ticket in enumerate(found)
    )
    return rows, "\n".join(map(output.line, lines)) or "nobody waits to land"
