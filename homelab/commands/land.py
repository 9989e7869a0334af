"""``homelab work land``, ``work log`` and ``work queue``."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from homelab import output, terminal
from homelab.commands.app import json_option
from homelab.errors import HomelabError
from homelab.git.repository import Repository, discover
from homelab.landing.queue import Queue, state

if TYPE_CHECKING:
    from homelab.landing.report import Report


@click.command("land")
@click.argument("topic", required=False)
@click.option("--verify-cmd", metavar="CMD", help="What verifies where no suite does; besides the suites where there are any.")
@click.option("--no-verify", is_flag=True, help="Land this one commit without verification. The journal says who and when.")
@click.option("--allow-deletions", is_flag=True, help="Let this one commit delete most of the target's files.")
@click.option("--watch/--no-watch", default=None, help="Follow CI after landing, or not. Default: [land] watch.")
@click.option("--no-hold", is_flag=True, help="Land although CI runs on the target, whatever [land] hold says.")
@json_option
def work_land(
    topic: str | None,
    verify_cmd: str | None,
    no_verify: bool,
    allow_deletions: bool,
    watch: bool | None,
    no_hold: bool,
    as_json: bool,
) -> None:
    """Merge the target in, verify the result, and push exactly that.

    Without TOPIC the branch here lands. Ends with 0 only when the target on the remote has the work. Where a rule of the server
    protects the target, the branch is pushed for a review instead (6). A conflict is left in the worktree to be resolved (5);
    land again after the commit. Afterwards CI is followed where there is one: it stays landed, and 8 or 9 say that CI is not
    green.
    """
    if no_verify and verify_cmd is not None:
        raise click.UsageError("--no-verify and --verify-cmd exclude one another.")
    if verify_cmd is not None and not verify_cmd.strip():
        raise click.UsageError("--verify-cmd is empty.")
    from homelab.landing import land
    from homelab.landing.override import Override

    repository = _place(topic)
    asked = Override(verify_cmd, no_verify, allow_deletions, watch, hold=not no_hold)
    report = land.land(repository, asked, (lambda report: None) if as_json else _tell)
    if as_json:
        output.answer_json({"ok": report.ok, **report.fields()})


def _place(topic: str | None) -> Repository:
    """Return the worktree of a topic, or the one here. An error has the fields of a landing, as every answer has."""
    try:
        repository = discover()
        if topic is None:
            return repository
        from homelab.worktrees import registry

        return discover(registry.found(repository, topic)[2])
    except HomelabError as error:
        from homelab.landing.report import Report, Status

        error.fields = {**Report(status=Status.of_error(error.kind)).fields(), **error.fields}
        raise


def _tell(report: "Report") -> None:
    target = f"{report.remote}/{report.target}"
    if report.pushed is None:
        output.answer(output.line(f"already landed: {target} has {report.branch}"))
        return
    look = terminal.look(output.answers())
    if look.width is not None:  # a program reads whole object ids
        others = f", with others: it is at {report.pushed[:7]}" if report.pushed != report.commit else ""
        words = output.line(f"{report.branch} {look.sign('→', '->')} {target} as {(report.commit or '')[:7]}{others}")
        output.sentence(f"{look.paint('landed', 'green')} {words}")
        return
    output.answer(output.line(f"landed {report.branch} as {report.commit} on {target}"))
    if report.pushed != report.commit:
        output.answer(output.line(f"pushed with others: {target} is at {report.pushed}"))


@click.command()
@json_option
def log(as_json: bool) -> None:
    """Show the journal: every landing of this clone, and every --no-verify, newest first."""
    from homelab.landing.journal import Journal

    journal = Journal(discover().state)
    found, damaged = journal.landings()
    if damaged:
        output.warn(f"note: {damaged} line{'s' if damaged > 1 else ''} of {output.line(str(journal.log))} cannot be read")
    if as_json:
        output.answer_json(found[::-1])
    elif found:
        colours = dict.fromkeys(("SUITES", "OUTCOME"), output.verdict_colour)
        heading = ("COMMIT", "AGE", "WHO", "BRANCH", "SUITES", "OUTCOME")
        rows = output.columns(heading, map(_logged, found[::-1]), colours=colours)
        # A program that reads gets one line a landing: the heading is for eyes.
        output.answer("\n".join(rows if output.answers().isatty() else rows[1:]))
    else:
        output.say("nothing has been landed from this clone")


#: Results as a line of the log has them.
_RAN = {"passed": "ran", "red-before": "red before"}


def _logged(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one landing: commit, when, who, branch, what was verified, what became of it."""
    when = output.ago(row["finished"] or row["started"]).removesuffix(" ago")
    landed = row["status"] == "landed"
    tip = row.get("pushed") or row["commit"]
    if not row["verified"] and row["status"] != "failed" and not _named(row, "unable"):
        words = "NOT VERIFIED (--no-verify)"
    elif landed and tip != row["commit"]:
        words = f"with {tip[:7]}"
    else:
        words = _counted(row)
    became = _followed(row.get("ci")) or "landed" if landed else f"not landed: {row['status']}"
    return row["commit"][:7], when, row["user"], row["branch"], words, became


def _followed(said: Mapping[str, Any] | None) -> str:
    """Return what CI said in the end of a landing that was followed."""
    if not said:
        return ""
    took = f" in {output.duration(said.get('waited') or 0)}" if said["verdict"] == "green" else ""
    which = f": {output.names(said.get('checks') or (), 3)}" if said.get("checks") else ""
    return f"CI {said['verdict']}{which}{took}"


def _named(row: Mapping[str, Any], *words: str) -> list[str]:
    """Return the suites of a landing that ended with one of the words."""
    return [_label(suite) for suite in row["suites"] if suite["result"] in words]


def _counted(row: Mapping[str, Any]) -> str:
    """Return how the suites ended: those that are red by name, the others as counts."""
    if red := _named(row, "failed", "timeout"):
        return f"red: {output.names(red, limit=3)}"
    if unable := _named(row, "unable"):
        return f"cannot run here: {output.names(unable, limit=3)}"
    # A record of before the counts has every suite in its list.
    counts = row.get("counts") or Counter(suite["result"] for suite in row["suites"])
    words = [f"{number} {_RAN.get(result, result)}" for result, number in counts.items()]
    if flaky := [_label(suite) for suite in row["suites"] if suite.get("flaky")]:
        words.append(f"flaky: {output.names(flaky, limit=3)}")
    return ", ".join(words)


def _label(suite: Mapping[str, Any]) -> str:
    return suite["name"] if suite.get("dir", ".") == "." else f"{suite['name']} ({suite['dir']})"


@click.command("queue")
@json_option
@click.option("--watch", is_flag=True, help="Stay, and show every change.")
def queue_(as_json: bool, watch: bool) -> None:
    """Show who waits to land in this clone, in the order in which they are served."""
    queue = Queue(discover().state)
    if watch:
        output.watch(lambda: _waiting(queue), as_json=as_json)
    document, words = _waiting(queue)
    if as_json:
        output.answer_json(document)
    elif document:
        output.answer(words)
    else:
        output.say(words)


def _waiting(queue: Queue) -> tuple[list[dict[str, Any]], str]:
    rows = queue.rows()
    cells = [
        (row["branch"] or "(starting)", state(row), output.ago(row["since"]), row["user"], str(row["pid"])) for row in rows
    ]
    table = "\n".join(output.columns(("BRANCH", "STATE", "SINCE", "USER", "PID"), cells))
    return rows, table if rows else "nobody waits to land"
