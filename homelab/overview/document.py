"""The document of `homelab status`, which the page shows too.

What cannot be told is None, with a word in `problems`. Git is started a fixed number of times, however many worktrees there
are, and what runs suites is not imported.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from homelab.errors import HomelabError, Usage
from homelab.git.repository import Repository, Snapshot, discover
from homelab.landing import history
from homelab.landing.journal import Journal
from homelab.landing.queue import Queue
from homelab.overview import advice, place, trees
from homelab.policy.rules import read_rules
from homelab.policy.states import State, Unknown
from homelab.system import clock
from homelab.verify.remembered import Memory
from homelab.worktrees import heads, registry
from homelab.worktrees.heads import Head

_T = TypeVar("_T")

#: Landings that the document has.
_SHOWN = 50


def document() -> dict[str, Any]:
    """Return where one stands. Never raises for what is only unknown."""
    problems: list[str] = []
    found: dict[str, Any] = {"ok": True, "repository": None, "claims": None, "problems": problems}
    try:
        repository = discover()
    except Usage as error:
        problems.append(error.message)
        return {**found, "claims": _known(problems, _claims), "next": None, "hint": error.hint}
    changes, entered = place.changes(repository), registry.look_up(repository)
    seen = repository.snapshot()
    rules = read_rules(repository, seen, ask=False)
    if isinstance(rules, Unknown):
        problems.append(rules.reason)
    plan = registry.layout(repository, rules.config.work)
    tip = registry.target(repository, rules)
    entries = entered()
    tips = heads.read(repository, tip, {entry.head for entry in entries})
    queue, journal = Queue(repository.state).rows(), Journal(repository.state).recent(trees.LANDINGS)
    memory = Memory(repository, seen.settings, tip, tells=rules.config.gate.red_before == "tell")
    here = place.here(repository, plan, entries, tips, changes())
    here |= _known(problems, lambda: place.judged(here, memory, journal)) or {}
    found |= {
        "repository": plan.root.name,
        "root": str(plan.root),
        "claims": _known(problems, lambda: _claims((repository, rules))),
        "gate": _known(problems, lambda: _gate(repository, seen)),
        "target": _target(rules, tip, tips.get(tip or ""), memory, problems),
        "here": {**here, "landed": here["branch"] != rules.target and place.has_landed(repository, tip, here)},
        "worktrees": [trees.row(plan, entry, tips, queue, journal) for entry in entries],
        "queue": queue,
        "landings": history.shown(journal, _SHOWN),
        "suites": history.suites(journal),
        "ci": _known(problems, lambda: _ci(repository, tip)) if tip else None,
    }
    found["next"], found["hint"] = advice.following(found, plan, rules)
    return found


def _known(problems: list[str], look: Callable[[], _T]) -> _T | None:
    """Return what a part of the document is, or None with the reason among the problems."""
    try:
        return look()
    except (HomelabError, OSError) as error:
        words = error.message if isinstance(error, HomelabError) else str(error)
        if words not in problems:
            problems.append(words)
        return None


def _claims(known: tuple[Repository, State] | None = None) -> list[dict[str, Any]]:
    from homelab.claims import locate
    from homelab.claims.stores import folder

    url = locate.url(known=known)
    if url is None and folder.is_idle(folder.default()):
        return []  # what reads a claim takes a tenth of the whole answer's time
    from homelab.claims import identity

    store = locate.open(url)
    asker = identity.holder(one_machine=store.one_machine)
    return [{**claim.document(), "mine": claim.holder.is_same(asker), "left": claim.left} for claim in store.board()]


def _gate(repository: Repository, seen: Snapshot) -> str:
    from homelab.install import present

    return present.status(repository, seen.settings).gate


def _ci(repository: Repository, commit: str) -> dict[str, Any] | None:
    """Return what was last heard of a commit from CI, without asking."""
    if not (repository.state / "ci").is_dir():
        return None  # what reads it takes 4 ms to import
    from homelab.ci import last_heard, report

    if (heard := last_heard.remembered(repository, commit)) is None:
        return None
    outcome, at = heard
    return {**report.document(outcome), "at": clock.stamp(at)}


def _target(rules: State, tip: str | None, head: Head | None, memory: Memory, problems: list[str]) -> dict[str, Any] | None:
    """Return the branch that work lands on, and what is remembered of its tip."""
    if rules.remote is None or rules.target is None:
        return None
    found = {"remote": rules.remote, "branch": rules.target, "commit": tip, "verdict": None, "since": None}
    if tip is None:
        return found
    found |= heads.words(head)
    if (known := _known(problems, lambda: memory.of(tip))) is None:
        return found
    return found | {
        "verdict": str(known.verdict),
        "since": known.since,
        "missing": list(known.missing),
        "red": list(known.red),
        "reds": [red._asdict() for red in known.reds],
    }
