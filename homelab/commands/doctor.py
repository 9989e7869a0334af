"""``homelab doctor``."""

from collections.abc import Iterator
from typing import Any

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.commands.hooks import GATES
from homelab.errors import Failed
from homelab.git.repository import Repository, discover
from homelab.install import attack
from homelab.install import doctor as diagnosis
from homelab.install.attack import Outcome
from homelab.install.doctor import Diagnosis
from homelab.install.findings import Finding, Severity
from homelab.verify import reds

#: A repair that begins like this is a command, not advice.
_PROGRAMS = ("homelab ", "git ", "chmod ", "unset ")


@click.command()
@click.option("--attack", "attacking", is_flag=True, help="Push throwaway commits at the gate and report what leaks.")
@json_option
def doctor(attacking: bool, as_json: bool) -> None:
    """Say whether the gate holds here, and how to repair it."""
    repository = discover()
    found = diagnosis.diagnose(repository)
    found = found._replace(findings=(*found.findings, *_target()))
    if not as_json:
        _show(found)
    outcomes = tuple(_attacked(repository, as_json=as_json)) if attacking else None
    holds = found.holds and all(outcome.result == attack.HELD for outcome in outcomes or ())
    document = _document(found, outcomes, holds)
    if not holds:
        repair = next((f.repair for f in found.findings if f.severity == Severity.FAILURE and f.repair), None)
        raise Failed(
            _reason(found, outcomes),
            hint=f"to repair it: {repair}" if repair else "the lines above say what to do",
            next=repair if repair and repair.startswith(_PROGRAMS) else None,
            fields=document,
        )
    if as_json:
        output.answer_json({"ok": True, **document})


def _target() -> Iterator[Finding]:
    """Yield what is known of the target itself: a red one is told with every landing until somebody mends it."""
    from homelab.overview.document import document

    target = document()["target"]
    if not target or target["verdict"] not in ("red", "green"):
        return
    name = f"{target['remote']}/{target['branch']}"
    if target["verdict"] == "green":
        when = f", as was seen {output.ago(target['since'])}" if target["since"] else ""
        yield Finding("target", Severity.NOTE, f"{name} is green{when}")
    for red in reds.words(reds.Told(**each) for each in target["reds"]):
        yield Finding("target", Severity.WARNING, f"{name} itself is red: {red}", "homelab log")


def _reason(found: Diagnosis, outcomes: tuple[Outcome, ...] | None) -> str:
    leaks = [outcome.name for outcome in outcomes or () if outcome.result == attack.LEAKED]
    if leaks:
        return f"the gate leaks: {', '.join(leaks)}"
    if found.holds:
        return "the gate refuses an ordinary branch"
    return next((f.message for f in found.findings if f.severity == Severity.FAILURE), "the gate does not hold here")


def _document(found: Diagnosis, outcomes: tuple[Outcome, ...] | None, holds: bool) -> dict[str, Any]:
    findings = [{"id": f.id, "severity": f.severity, "message": f.message, "repair": f.repair} for f in found.findings]
    document: dict[str, Any] = {"holds": holds, "gate": found.gate, "findings": findings}
    if outcomes is not None:
        document["attack"] = [{"name": o.name, "result": o.result, "words": o.words} for o in outcomes]
    return document


def _attacked(repository: Repository, *, as_json: bool) -> Iterator[Outcome]:
    """Yield what becomes of each attack, and show it at once: all of them take some seconds."""
    for outcome in attack.run(repository):
        if not as_json:
            output.tell(outcome.result, outcome.name)
        yield outcome


def _show(found: Diagnosis) -> None:
    output.tell("gate", GATES[found.gate])
    for finding in found.findings:
        output.tell(finding.severity, finding.message)
        if finding.repair:
            output.tell("", f"repair: {finding.repair}")
