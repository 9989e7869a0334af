"""What CI said, for people, for JSON and as an error with its exit code."""

from typing import Any

from homelab import output
from homelab.ci.verdict import Verdict, names
from homelab.ci.watch import Outcome
from homelab.errors import CiRed, CiSilent, HomelabError, Unreachable


class Progress:
    """Narrates what CI says whenever that changes."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._said = ""

    def tell(self, outcome: Outcome) -> None:
        """Say it where it is not what was said before."""
        words = sentence(outcome, self._where)
        if words != self._said:
            self._said = words
            output.say(words)


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


def problem(outcome: Outcome) -> HomelabError | None:
    """Return what is wrong with an outcome as an error with its exit code, None where it is green."""
    commit = (outcome.followed or outcome.commit)[:12]
    which = output.names(names(outcome.checks, outcome.verdict), 6)
    link = url(outcome)
    again = f"homelab ci watch {outcome.commit[:12]}"
    where = f"look at {link}" if link else f"`{again}` looks again"
    fields = {key: value for key, value in document(outcome).items() if key != "ok"}
    match outcome.verdict:
        case Verdict.GREEN:
            return None
        case Verdict.RED:
            return CiRed(
                f"CI is red for {commit}: {which}",
                hint=f"{where}, mend it, and land the repair",
                fields=fields,
                evidence=outcome.tails,
            )
        case Verdict.ASKS:
            return CiRed(
                f"CI waits for somebody to act on {commit}: {which}",
                hint=f"{where} to approve or start it, then `{again}`",
                next=again,
                fields=fields,
            )
        case Verdict.UNKNOWN:
            odd = ", ".join(sorted({output.line(check.word) for check in outcome.checks if check.verdict is Verdict.UNKNOWN}))
            return CiRed(
                f"CI says {odd!r} of {commit}, a word that homelab does not know: {which}",
                hint=f"{where}; a newer homelab may know it",
                fields=fields,
            )
        case Verdict.UNREACHABLE:
            return Unreachable(
                outcome.reason or "CI cannot be asked", hint=outcome.hint or f"`{again}` asks again", next=again, fields=fields
            )
        case Verdict.RUNNING:
            over = "time was up while CI still runs" if outcome.is_cut else "CI still runs"
            return CiSilent(
                f"{over} for {commit}: {which or 'nothing seen yet'}", hint=f"`{again}` waits for it", next=again, fields=fields
            )
        case Verdict.GONE:
            return CiSilent(
                f"CI of {commit} was ended by a later push or by a person, and nothing later contains it: {which}",
                hint=f"start it again ({link or 'on its page'}), then `{again}`",
                next=again,
                fields=fields,
            )
        case Verdict.SKIPPED:
            return CiSilent(
                f"CI skipped {commit}: {which or 'its message says so'}",
                hint="nothing was applied; start it by hand where it should be",
                fields=fields,
            )
    if outcome.is_cut:
        return CiSilent(
            f"time was up, and CI has nothing for {commit} yet", hint=f"`{again}` waits for it", next=again, fields=fields
        )
    return CiSilent(
        f"CI has no pipeline for {commit}",
        hint=f"look whether it runs on pushes of this branch, then `{again}`",
        next=again,
        fields=fields,
    )
