"""``homelab log``."""

from pathlib import Path

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.errors import Usage
from homelab.git.repository import discover
from homelab.system import files
from homelab.verify import last
from homelab.verify.last import Last

#: So much of a log's end stands in the answer in JSON.
_MOST = 1 << 20


@click.command("log")
@click.argument("suite", metavar="[SUITE[:DIR]]", required=False)
@json_option
def log(suite: str | None, as_json: bool) -> None:
    """Print the whole log of a suite's last run; without a name that of the last red one.

    Of a suite that runs in several folders DIR names one, by its path or by the end of it: stack:dns.
    """
    record = _named(last.runs(discover()), suite)
    if record is None:
        if as_json:
            output.answer_json({"ok": True, "log": None})
        output.say("no suite has been red here; `homelab log SUITE` prints another log")
        return
    if as_json:
        document = {name: value for name, value in record._asdict().items() if name != "usual"}
        output.answer_json({"ok": True, **document, "text": _text(record, _MOST)})
        return
    output.say(
        f"{record.label}: {record.result} {output.ago(record.finished)} on {record.commit[:7]}; {record.log or 'no log'}"
    )
    output.answer(output.plain(_text(record, None)).rstrip("\n"))


def _named(records: list[Last], name: str | None) -> Last | None:
    """Return the record that a name means, None where there is no name and nothing was red. Raises `Usage`."""
    if name is None:
        return next((record for record in records if record.is_red), None)
    suite, _, folder = name.partition(":")
    found = [record for record in records if record.name == suite and (not folder or _ends(record.dir, folder))]
    if exact := [record for record in found if record.dir == folder]:
        found = exact
    if not found:
        labels = [record.label for record in records]
        raise Usage(
            f"no run of {output.line(name)} is known here",
            hint=f"`homelab verify` runs suites; known are {output.names(labels, 5)}"
            if labels
            else "`homelab verify` runs suites",
        )
    if folder and len({record.dir for record in found}) > 1:
        raise Usage(
            f"{output.line(name)} names more than one run", hint=f"name one: {output.names(record.label for record in found)}"
        )
    return next((record for record in found if record.is_red), found[0])


def _ends(folder: str, name: str) -> bool:
    return folder == name or folder.endswith(f"/{name}")


def _text(record: Last, most: int | None) -> str:
    if record.log is None:
        return record.reason
    try:
        return files.content(Path(record.log), last=most).decode(errors="replace")
    except OSError as error:
        raise Usage(
            f"the log of {output.line(record.label)} cannot be read: {error.strerror}",
            hint="`homelab verify --fresh` runs it again",
        ) from None
