"""What CI said, for people, for JSON and as an error with its exit code."""

from typing import Any

from homelab import output
from homelab.ci.verdict import Verdict, names
from homelab.ci.watch import Outcome
from homelab.errors import CiRed, CiSilent, HomelabError, Unreachable

_SAID = {
    Verdict.ASKS: "waits for somebody",
    Verdict.GONE: "was ended",
    Verdict.SKIPPED: "skipped all",
    Verdict.UNKNOWN: "says something unknown",
}


def sentence(outcome: Outcome, where: str = "CI") -> str:
    """Return what an outcome says, in one line."""
    commit = (outcome.followed or outcome.commit)[:12]
    if outcome.reason:
        return f"{outcome.reason}; asking again"
    if outcome.verdict is Verdict.NONE:
        return f"{where} has nothing for {commit} yet"
    if outcome.verdict is Verdict.RUNNING:
        done = len([check for check in outcome.checks if check.verdict is not Verdict.RUNNING])
        left = output.names(names(outcome.checks, Verdict.RUNNING), 4)
        return f"{where} runs {left} for {commit} ({done} of {len(outcome.checks)} done)"
    what = _SAID.get(outcome.verdict, f"is {outcome.verdict}")
    return f"{where} {what} for {commit}: {output.names(names(outcome.checks, outcome.verdict), 4)}"


def document(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as answers in JSON have it."""
    found: dict[str, Any] = {
        "ok": outcome.verdict is Verdict.GREEN,
        "commit": outcome.commit,
        "verdict": str(outcome.verdict),
        "checks": [check.document() for check in outcome.checks],
        "url": url(outcome),
        "waited": round(outcome.waited, 3),
    }
    return {**found, "followed": outcome.followed} if outcome.followed else found


def url(outcome: Outcome) -> str | None:
    """Return where to look: the first check that made the verdict, else the first of all."""
    told = sorted(outcome.checks, key=lambda check: check.verdict is not outcome.verdict)
    return next((check.url for check in told if check.url), None)


def kept(outcome: Outcome) -> dict[str, Any] | None:
    """Return what the journal keeps of an outcome, None where it is not the end of it."""
    if outcome.is_cut or outcome.verdict in (Verdict.RUNNING, Verdict.UNREACHABLE):
        return None
    named = names(outcome.checks, outcome.verdict) if outcome.verdict is not Verdict.GREEN else []
    return {"verdict": str(outcome.verdict), "waited": round(outcome.waited, 1), "url": url(outcome), "checks": named}


def problem(outcome: Outcome) -> HomelabError | None:
    """Return what is wrong with an outcome as an error with its exit code, None where it is green."""
    if outcome.verdict is Verdict.GREEN:
        return None
    told = _Told(outcome)
    if outcome.verdict in (Verdict.RED, Verdict.ASKS, Verdict.UNKNOWN):
        return _red(told)
    if outcome.verdict is Verdict.UNREACHABLE:
        hint = outcome.hint or f"`{told.again}` asks again"
        return Unreachable(outcome.reason or "CI cannot be asked", hint=hint, next=told.again, fields=told.fields)
    return _silent(told)


class _Told:
    """An outcome in the words that its errors have in common."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.commit = (outcome.followed or outcome.commit)[:12]
        self.which = output.names(names(outcome.checks, outcome.verdict), 6)
        self.link = url(outcome)
        self.again = f"homelab ci watch {outcome.commit[:12]}"
        self.where = f"look at {self.link}" if self.link else f"`{self.again}` looks again"
        self.fields = {key: value for key, value in document(outcome).items() if key != "ok"}


def _red(told: _Told) -> CiRed:
    """Return the error of a CI that is not green, or wants somebody to act."""
    outcome, next_ = told.outcome, None
    if outcome.verdict is Verdict.RED:
        words = f"CI is red for {told.commit}: {told.which}"
        hint = f"{told.where}, mend it, and land the repair"
    elif outcome.verdict is Verdict.ASKS:
        words = f"CI waits for somebody to act on {told.commit}: {told.which}"
        hint, next_ = f"{told.where} to approve or start it, then `{told.again}`", told.again
    else:
        odd = ", ".join(sorted({output.line(check.word) for check in outcome.checks if check.verdict is Verdict.UNKNOWN}))
        words = f"CI says {odd!r} of {told.commit}, a word that homelab does not know: {told.which}"
        hint = f"{told.where}; a newer homelab may know it"
    evidence = outcome.tails if outcome.verdict is Verdict.RED else ()
    return CiRed(words, hint=hint, next=next_, fields=told.fields, evidence=evidence)


def _silent(told: _Told) -> CiSilent:
    """Return the error of a CI that says nothing, or nothing yet."""
    outcome, next_ = told.outcome, told.again
    waits = f"`{told.again}` waits for it"
    match outcome.verdict:
        case Verdict.RUNNING:
            over = "time was up while CI still runs" if outcome.is_cut else "CI still runs"
            words, hint = f"{over} for {told.commit}: {told.which or 'nothing seen yet'}", waits
        case Verdict.GONE:
            words = f"CI of {told.commit} was ended by a later push or by a person, and nothing later contains it: {told.which}"
            hint = f"start it again ({told.link or 'on its page'}), then `{told.again}`"
        case Verdict.SKIPPED:
            words = f"CI skipped {told.commit}: {told.which or 'its message says so'}"
            return CiSilent(words, hint="nothing was applied; start it by hand where it should be", fields=told.fields)
        case _ if outcome.is_cut:
            words, hint = f"time was up, and CI has nothing for {told.commit} yet", waits
        case _:
            words = f"CI has no pipeline for {told.commit}"
            hint = f"look whether it runs on pushes of this branch, then `{told.again}`"
    return CiSilent(words, hint=hint, next=next_, fields=told.fields)
