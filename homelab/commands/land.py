"""``homelab work land``, ``work log`` and ``work queue``."""

import click

from homelab import git, journal, landing, leading, output, progress, queue
from homelab.commands import json_option


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
    wish = leading.Wish(verify_cmd, no_verify, progress.reporter())
    report = landing.land(wish)
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
    found = journal.landings(git.discover())[::-1]
    if as_json:
        output.answer_json(found)
        return
    for row in found:
        suites = " ".join(f"{suite['name']}:{suite['result']}" for suite in row["suites"])
        verified = suites if row["verified"] else "NOT VERIFIED"
        when = output.ago(row["finished"] or row["started"])
        output.answer(
            output.line(f"{row['commit'][:12]}  {row['status']:8}  {when:12}  {row['user']}  {row['branch']} -> {row['target']}"
                        f"  {verified}")
        )  # fmt: skip
    if not found:
        output.say("nothing has been landed from this clone")


@click.command("queue")
@json_option
def queue_(as_json: bool) -> None:
    """Show who waits to land in this clone, in the order in which they are served."""
    found = queue.waiting(git.discover())
    if as_json:
        output.answer_json(
            [
                {"position": n, "branch": t.branch, "worktree": t.worktree, "user": t.user, "host": t.host, "pid": t.pid,
                 "since": t.since} for n, t in enumerate(found)
            ]
        )  # fmt: skip
        return
    for n, ticket in enumerate(found):
        state = "landing" if n == 0 else f"{n} ahead"
        output.answer(output.line(f"{ticket.branch}  {state}  {output.ago(ticket.since)}  {ticket.user} pid {ticket.pid}"))
    if not found:
        output.say("nobody waits to land")
