"""Where one stands, in one document: `homelab status` and the page show the same.

It is put together from what is known here. No remote and no CI is asked, nothing is fetched, run or written, and what cannot
be told is None with a word in `problems`. Git is started a fixed number of times, however many worktrees there are.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from homelab import output
from homelab.errors import HomelabError, Usage
from homelab.git.repository import Repository, discover
from homelab.landing import history
from homelab.landing.journal import Journal
from homelab.landing.queue import Queue
from homelab.policy import policy
from homelab.policy.rules import read_rules
from homelab.policy.states import State, Unknown
from homelab.system import clock
from homelab.worktrees import heads, landed, registry
from homelab.worktrees.heads import Head
from homelab.worktrees.registry import Layout, Worktree

_T = TypeVar("_T")

#: Landings at the journal's end that are looked at.
_LANDINGS = 200
#: Landings that the document has.
_SHOWN = 50


def document() -> dict[str, Any]:
    """Return where one stands. Never raises for what is only unknown."""
    problems: list[str] = []
    found: dict[str, Any] = {"ok": True, "repository": None, "claims": _known(problems, _claims), "problems": problems}
    try:
        repository = discover()
    except Usage as error:
        problems.append(error.message)
        return {**found, "next": None, "hint": error.hint}
    rules = read_rules(repository, ask=False)
    if isinstance(rules, Unknown):
        problems.append(rules.reason)
    plan = registry.layout(repository, rules.config.work)
    target = repository.oid(f"refs/remotes/{rules.remote}/{rules.target}") if rules.target else None
    entries = registry.registered(repository)
    tips = heads.read(repository, target, {entry.head for entry in entries})
    queue, journal = _queue(repository), Journal(repository.state).recent(_LANDINGS)
    here = _here(repository, plan, entries, tips)
    verified = _known(problems, lambda: _verified(repository, target, here["head"])) if here["head"] else None
    here["landed"] = bool(target and here["head"] and here["ahead"] == 0 and _has_landed(repository, target, here))
    here |= {"verified": bool(verified and verified["verdict"] == "green") if verified else None}
    found |= {
        "repository": plan.root.name,
        "root": str(plan.root),
        "gate": _known(problems, lambda: _gate(repository)),
        "target": _target(repository, rules, target, tips, journal, problems),
        "here": here,
        "worktrees": [_tree(plan, entry, tips, queue, journal) for entry in entries],
        "queue": queue,
        "landings": history.shown(journal, _SHOWN),
        "suites": history.suites(journal),
        "ci": _known(problems, lambda: _ci(repository, target)) if target else None,
    }
    found["next"], found["hint"] = _next(found, plan)
    return found


def _known(problems: list[str], look: Callable[[], _T]) -> _T | None:
    """Return what a part of the document is, or None with the reason among the problems."""
    try:
        return look()
    except (HomelabError, OSError) as error:
        problems.append(error.message if isinstance(error, HomelabError) else str(error))
        return None


def _claims() -> list[dict[str, Any]]:
    from homelab.claims import identity, locate

    store = locate.open(locate.url())
    asker = identity.holder(one_machine=store.one_machine)
    return [{**claim.document(), "mine": claim.holder.is_same(asker), "left": claim.left} for claim in store.board()]


def _gate(repository: Repository) -> str:
    from homelab.install import install

    return install.status(repository).gate


def _ci(repository: Repository, commit: str) -> dict[str, Any] | None:
    """Return what was last heard of a commit from CI, without asking."""
    from homelab.ci import report, shared

    if (heard := shared.remembered(repository, commit)) is None:
        return None
    outcome, at = heard
    return {**report.document(outcome), "at": clock.stamp(at)}


def _verified(repository: Repository, target: str | None, commit: str) -> dict[str, Any]:
    """Return what is remembered of a commit: green or red with since when, or what would have to be run.

    `homelab.verify.verification` is not imported: with all that runs suites it takes a third of the whole answer's time.
    """
    from homelab.verify import suites
    from homelab.verify.receipts import Receipts
    from homelab.verify.reds import Reds

    tree = repository.objects.commit(commit).tree
    demand = suites.demand(
        repository.objects, tree, policy.policies(repository.objects, target, tree), suites.filters(repository.settings())
    )
    if not demand.verifiable or not demand.runs:
        return {"verdict": "unverifiable", "since": None, "missing": []}
    kept = Receipts(repository.state)
    if whole := kept.load(demand.whole):
        return {"verdict": "green", "since": whole.finished, "missing": []}
    found = {run.label: kept.load(run.key) for run in demand.runs}
    missing = [label for label, receipt in found.items() if receipt is None]
    reds = {run.label: red for run in demand.runs if (red := Reds(repository.state).known(run.key))}
    if reds:
        return {"verdict": "red", "since": min(red.since for red in reds.values()), "missing": missing, "red": list(reds)}
    since = None if missing else max(receipt.finished for receipt in found.values() if receipt)
    return {"verdict": "unknown" if missing else "green", "since": since, "missing": missing}


def _target(
    repository: Repository,
    rules: State,
    tip: str | None,
    tips: Mapping[str, Head],
    journal: Sequence[dict[str, Any]],
    problems: list[str],
) -> dict[str, Any] | None:
    if rules.remote is None or rules.target is None:
        return None
    found: dict[str, Any] = {"remote": rules.remote, "branch": rules.target, "commit": tip, "verdict": None, "since": None}
    if tip is None:
        return found
    found |= _subject(tips.get(tip))
    return found | (_known(problems, lambda: _verified(repository, tip, tip)) or {})


def _subject(head: Head | None) -> dict[str, Any]:
    return {"subject": head.subject if head else None, "committed_at": head.committed_at if head else None}


def _here(repository: Repository, plan: Layout, entries: Sequence[Worktree], tips: Mapping[str, Head]) -> dict[str, Any]:
    at = repository.worktree.resolve() if repository.worktree else None
    entry = next((one for one in entries if at and (plan.root if one.is_main else one.path).resolve() == at), None)
    head = tips.get(entry.head) if entry and entry.head else None
    return {
        "path": str(at) if at else None,
        "main": bool(entry and entry.is_main),
        "topic": plan.topic(entry) if entry else None,
        "branch": entry.branch if entry else None,
        "head": entry.head if entry else None,
        **_subject(head),
        "ahead": head.ahead if head else None,
        "changes": _changes(repository) if at else None,
        "operation": next((words for name, words in _OPERATIONS.items() if (repository.git_dir / name).exists()), None),
    }


_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


def _has_landed(repository: Repository, target: str, here: Mapping[str, Any]) -> bool:
    """Tell whether the branch had commits of its own, all of which are on the target: else it is fresh."""
    return bool(here["branch"]) and landed.begun(repository, target, here["branch"], here["head"])


def _changes(repository: Repository) -> dict[str, int] | None:
    """Return how many files are changed, untracked and in conflict; None where git cannot say."""
    done = repository.run("--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal")
    if done.returncode:
        return None
    states = [field[:2] for field in done.stdout.decode(errors="replace").split("\0") if field]
    conflicts = sum("U" in state or state in ("AA", "DD") for state in states)
    untracked = states.count("??")
    return {"changed": len(states) - untracked - conflicts, "untracked": untracked, "conflicts": conflicts}


def _tree(
    plan: Layout,
    entry: Worktree,
    tips: Mapping[str, Head],
    queue: Sequence[dict[str, Any]],
    journal: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    head = tips.get(entry.head) if entry.head else None
    return {
        "topic": plan.topic(entry),
        "branch": entry.branch,
        "path": str(plan.root if entry.is_main else entry.path),
        "main": entry.is_main,
        "head": entry.head,
        **_subject(head),
        "ahead": head.ahead if head else None,
        "missing": entry.missing,
        "locked": entry.lock,
        "landing": next((row["position"] for row in queue if entry.branch and row["branch"] == entry.branch), None),
        "red": _red(entry.head, journal),
    }


def worktrees() -> list[dict[str, Any]]:
    """Return every worktree as `homelab.worktrees.status` has it, with its place in the queue and the suites it was red for."""
    from dataclasses import asdict

    from homelab.worktrees import status

    repository = discover()
    queue, journal = _queue(repository), Journal(repository.state).recent(_LANDINGS)
    places = {row["branch"]: row["position"] for row in queue if row["branch"]}
    return [
        {**asdict(row), "path": str(row.path), "landing": places.get(row.branch or ""), "red": _red(row.head, journal)}
        for row in status.rows(repository)
    ]


def state(row: Mapping[str, Any]) -> str:
    """Return in words how a worktree of the document, or of `worktrees`, stands."""
    if row["missing"]:
        return "its folder is gone"
    if row["landing"] is not None:
        return "landing" if row["landing"] == 0 else f"waits to land, {row['landing']} ahead of it"
    counts = (f"{row[way]} {way}" for way in ("ahead", "behind") if row.get(way))
    claimed = row.get("claims") or ()
    parts = (
        "landed" if row.get("landed") and not row["main"] else "",
        "no commit yet" if row.get("fresh") and not row["main"] else "",
        *counts,
        f"red: {output.names(row['red'], 3)}" if row["red"] else "verified" if row.get("verified") and row["ahead"] else "",
        "uncommitted changes" if row.get("dirty") else "",
        f"touches {output.names(claimed, 3)}, which {'is' if len(claimed) == 1 else 'are'} claimed" if claimed else "",
        (f"locked ({row['locked']})" if row["locked"] else "locked") if row["locked"] is not None else "",
    )
    unknown = "unknown" if row["ahead"] is None else "as the target"
    return ", ".join(part for part in parts if part) or unknown


def _red(head: str | None, journal: Sequence[dict[str, Any]]) -> list[str]:
    """Return the suites for which this very head was not landed; none where it was never tried, or landed."""
    for row in reversed(journal) if head else ():
        if row.get("head") == head:
            return red_suites(row) if row.get("status") == "failed" else []
    return []


def red_suites(landing: Mapping[str, Any]) -> list[str]:
    """Return the names of the suites that a landing of the journal was red for."""
    names = [row.get("name", "?") for row in landing.get("suites") or () if row.get("result") in ("failed", "timeout")]
    return list(dict.fromkeys(map(str, names)))


def _queue(repository: Repository) -> list[dict[str, Any]]:
    return [
        {"position": n, "branch": ticket.branch, "user": ticket.user, "host": ticket.host, "session": ticket.session,
         "worktree": ticket.worktree, "since": ticket.since}
        for n, ticket in enumerate(Queue(repository.state).waiting())
    ]  # fmt: skip


def _next(found: Mapping[str, Any], plan: Layout) -> tuple[str | None, str | None]:
    """Return the command to run now, or None with a hint."""
    here, target, topic = found["here"], found["target"], found["here"]["topic"]
    changes = here["changes"] or {}
    if target is None:
        return None, "`git remote add origin URL` names where work lands"
    if here["operation"] or changes.get("conflicts"):
        return "git status", f"a {here['operation'] or 'merge'} is under way"
    if target["verdict"] == "unverifiable" and not here["ahead"]:
        if not (plan.root / "homelab.toml").exists():
            return "homelab init", "nothing says yet how to verify this repository"
        return None, "name a suite in homelab.toml, commit and push it"
    if found["gate"] == "none":
        return "homelab hooks install", "no push from this clone is judged"
    if here["branch"] == target["branch"] or here["main"]:
        return _next_in_main(here, changes)
    if changes.get("changed") or changes.get("untracked"):
        return "git status", "commit what belongs to this work"
    if red := next((row["red"] for row in found["worktrees"] if row["path"] == here["path"] and row["red"]), None):
        return "homelab log", f"{', '.join(red)} was red for this very commit"
    if here["ahead"]:
        return "homelab work land", None
    if topic and here["landed"]:
        return f"cd {shlex.quote(str(plan.root))} && homelab work clean {shlex.quote(topic)}", "everything in it has landed"
    return None, "commit, then `homelab work land`"


def _next_in_main(here: Mapping[str, Any], changes: Mapping[str, int]) -> tuple[str | None, str | None]:
    if here["ahead"]:
        return ("git push", None) if here["verified"] else ("homelab verify", None)
    if changes.get("changed"):
        return "git status", "commit what belongs together"
    return None, "`homelab work start TOPIC` starts work"
