"""CI around a landing: what lands is followed, and what runs on the target is waited for first.

Landing calls these two. Where a tree has no CI files and nothing is configured, neither makes a request.
"""

from collections.abc import Callable

from homelab import output
from homelab.ci import trigger, where
from homelab.ci.site import Site, Unknown, find
from homelab.ci.verdict import Check, Verdict
from homelab.ci.watch import AWAY, GRACE, Outcome
from homelab.errors import Busy, Unreachable
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository
from homelab.policy.config import Ci
from homelab.policy.states import State, require_target

_PAUSE = 5.0


def site(repository: Repository, rules: State, commit: str) -> Site | None:
    """Return CI of the target; None where `commit` starts no run, and with a note where nothing tells which CI it is.

    `rules` are those that stood on the target before the landing: a change does not choose where tokens go.
    """
    (remote, branch), ci = require_target(rules), rules.config.ci
    if ci == Ci():
        address = repository.line("remote", "get-url", remote) or ""
        tree = repository.objects.commit(commit).tree
        if not trigger.has_files(repository.objects, tree, where.place(ci, address).kind):
            return None
    try:
        return find(repository, remote, branch, ci)
    except Unknown as error:
        output.say(f"note: {error.message}; {error.hint}")
        return None


def follow(repository: Repository, rules: State, commit: str, *, limit: float | None = None) -> Outcome | None:
    """Return CI's final verdict on a tip that was pushed to the target; None where no known CI runs for it.

    `limit` is in seconds, an hour by default. What changes is narrated, a later tip that supersedes this one is followed, and
    of many processes of the clone one asks. Raises nothing: `homelab.ci.report.problem` makes an error of the outcome, with
    the exit code, and `homelab.ci.report.document` the answer in JSON.
    """
    found = site(repository, rules, commit)
    if found is None:
        return None
    if trigger.is_skipped(repository.objects.message(commit)):
        return Outcome(commit, Verdict.SKIPPED)
    return found.follow(commit, limit=limit)


def hold(
    repository: Repository,
    rules: State,
    *,
    seconds: float,
    patience: float = AWAY,
    said: Callable[[str], None] = output.say,
) -> None:
    """Wait until no push pipeline of the target runs, waits or is blocked: our push would cancel it.

    `said` hears what is waited for whenever that changes: ``holding for CI #123``. A CI that cannot be asked is waited for
    `patience` seconds of its clock, told, and holds no longer. Raises `Busy` after `seconds`. An interruption is passed on.
    """
    remote, branch = require_target(rules)
    tip = fetch_branch(repository, remote, branch)
    found = site(repository, rules, tip) if tip else None
    if found is None or tip is None:
        return
    clock, told = found.clock, ""
    start = heard = clock.now()
    while True:
        checks: list[Check] = []
        try:
            if (unfinished := _unfinished(found, tip, start)) is None:
                return
            checks, heard = unfinished, clock.now()
            words = f"holding for CI {_label(checks, tip)}"
        except Unreachable as error:
            if clock.now() - heard >= patience:
                output.warn(f"note: landing without waiting for CI: {error.message}")
                return
            words = f"holding: {error.message}"
        if words != told:
            told = words
            said(words)
        if (clock.now() - start) * clock.pace >= seconds:
            raise _busy(branch, checks, tip)
        clock.sleep(_PAUSE)
        tip = fetch_branch(repository, remote, branch) or tip


def _unfinished(found: Site, tip: str, start: float) -> list[Check] | None:
    """Return the checks of a tip that have not ended, none while its pipeline is still to come; None once CI is idle."""
    checks, has_any = found.open_checks(tip)
    if not checks and (has_any or not _is_expected(found, tip, found.clock.now() - start)):
        return None
    return checks


def _is_expected(found: Site, tip: str, waited: float) -> bool:
    """Return whether a tip without a pipeline may still get one: a push of a moment ago has none either."""
    if trigger.is_skipped(found.repository.objects.message(tip)):
        return False
    known = found.remembered(tip)
    if known is not None and known.verdict is Verdict.NONE and known.waited >= GRACE:
        return False  # somebody has waited for it before
    if waited >= GRACE:
        found.remember(Outcome(tip, Verdict.NONE, waited=waited))
        return False
    return True


def _label(checks: list[Check], tip: str) -> str:
    numbers = dict.fromkeys(f"#{check.number}" if check.number else check.name for check in checks)
    return output.names(numbers, 3) or f"of {tip[:12]}, which has no pipeline yet"


def _busy(branch: str, checks: list[Check], tip: str) -> Busy:
    asks = [check for check in checks if check.verdict is Verdict.ASKS]
    link = next((check.url for check in (*asks, *checks) if check.url), None)
    what = "waits for somebody" if asks else "still runs"
    return Busy(
        f"time is up, and CI of {branch} {what}: {_label(asks or checks, tip)}",
        hint=f"{'approve' if asks else 'look at'} {link or 'it'}; in an emergency `homelab work land --no-hold`",
    )
