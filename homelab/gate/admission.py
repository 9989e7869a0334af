"""The way of a push through the house: what it carries, what is known of that, a verdict, words.

Every door comes through `admit`: the native hook, pre-commit's and prek's, a receiving server. `homelab.gate` decides.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from homelab import output
from homelab.errors import HomelabError, Refused, Usage
from homelab.gate import markers
from homelab.gate import updates as push
from homelab.gate import verdict as gate
from homelab.gate.updates import Create, Delete, RefUpdate, Update
from homelab.gate.verdict import Case, History, Verdict
from homelab.git import repository as git
from homelab.git.repository import Repository
from homelab.gitcrypt import plaintext
from homelab.policy import policy
from homelab.policy.policy import Aim
from homelab.verify import receipts, suites
from homelab.verify.suites import Demand


@dataclass(frozen=True, slots=True)
class Door:
    """Where a push comes in: the clone, where work lands, and what was pushed to."""

    repository: Repository
    aim: Aim
    #: The remote's name or URL as git gave it.
    remote: str
    #: Whether this is the receiving side.
    received: bool = False


def open_door(repository: Repository, remote: str) -> Door:
    """Return the door for a push from this clone."""
    return Door(repository, policy.aim(repository), remote)


def open_server_door(repository: Repository) -> Door:
    """Return the door of a repository that receives a push."""
    return Door(repository, policy.aim_of_server(repository), "the server", received=True)


def admit(door: Door, updates: Sequence[RefUpdate], *, run: bool = True) -> None:
    """The push may go on. Raises `Refused` with every reason, having run what was missing where the policy says so.

    Without `run` only what is remembered counts.
    """
    folder = markers.refresh(door.repository, door.aim)
    guard(door, updates)
    cases, lasting = [], not door.aim.config.gate.claims
    for update in updates:
        branch = push.branch(update)
        if branch is not None and door.aim.protects(branch):
            case, remembered = _case(door, update, branch, run=run)
            cases.append(case)
            lasting &= remembered
    refusals = gate.judge(cases)
    if refusals:
        raise Refused(
            f"refusing the push: {'; '.join(output.line(refusal.message) for refusal in refusals)}",
            hint=refusals[0].hint,
            evidence=[shown for case in cases for shown in case.evidence],
            fields={"refusals": [{"branch": r.branch, "message": r.message, "hint": r.hint} for r in refusals]},
        )
    if folder is not None and lasting:
        for case in cases:
            if not isinstance(case.update, Delete):
                old = case.update.old if isinstance(case.update, Update) else "0" * len(case.update.new)
                markers.mark(folder, case.update.ref, old, case.update.new)


def foresee(door: Door, commit: str) -> None:
    """The push of a commit to the target as it was fetched is judged already, where the shell hook can remember it."""
    tip = fetched(door)
    if tip not in (None, commit) and markers.is_used(door.repository):
        with contextlib.suppress(HomelabError):  # whoever pushes it is told why not
            admit(door, [Update(f"refs/heads/{door.aim.target}", tip, commit)], run=False)


def fetched(door: Door) -> str | None:
    """Return the target's tip as it was fetched, or None."""
    aim = door.aim
    if aim.remote is None or aim.target is None:
        return None
    return aim.tip if aim.target == aim.default else door.repository.oid(f"refs/remotes/{aim.remote}/{aim.target}")


def guard(door: Door, updates: Sequence[RefUpdate]) -> None:
    """No secret leaves as plaintext, and no change to a stack that another session holds, by any ref. Raises `Refused`."""
    _seal(door, updates)
    if door.aim.config.gate.claims and not door.received:
        from homelab.claims import stacks

        for update in updates:
            if not isinstance(update, Delete):
                old = update.old if isinstance(update, Update) else None
                stacks.require_free(stacks.pushed(door.repository, update.new, old), "the push")


def _seal(door: Door, updates: Sequence[RefUpdate]) -> None:
    tips = tuple(dict.fromkeys(update.new for update in updates if not isinstance(update, Delete)))
    if tips and not markers.is_plain(door.repository, tips):
        known = [update.old for update in updates if not isinstance(update, Create)]
        plaintext.require_pushed(door.repository, tips, remote=door.remote, known=known, received=door.received)


def _case(door: Door, update: RefUpdate, branch: str, *, run: bool) -> tuple[Case, bool]:
    """Return what is known of an update of a protected branch, and whether that may be remembered by its commits alone."""
    case = Case(update, branch, remote=output.line(door.remote or "origin"))
    if isinstance(update, Delete):
        return case, False
    history = _history(door, update)
    if history is not History.KEEPS:
        return replace(case, history=history), False
    grant = receipts.granted(door.repository, update.new, branch)
    if grant is not None and grant.kind == "no-verify":
        output.warn(f"{branch}: {update.new[:12]} goes unverified, as {grant.who} said on {grant.when}")
        return replace(case, verdict=Verdict.GRANTED), False
    return _judged(door, case, update, granted=grant is not None, run=run)


def _history(door: Door, update: Create | Update) -> History:
    if door.repository.objects.peel(update.new) != update.new:
        return History.NO_COMMIT
    if isinstance(update, Create):
        return History.KEEPS
    if not door.repository.objects.has(update.old):
        return History.UNKNOWN
    is_next = update.old in door.repository.objects.commit(update.new).parents
    return History.KEEPS if is_next or door.repository.is_ancestor(update.old, update.new) else History.DROPS


def _judged(door: Door, case: Case, update: Create | Update, *, granted: bool, run: bool) -> tuple[Case, bool]:
    tree = door.repository.objects.commit(update.new).tree
    try:
        policies = policy.policies(door.repository.objects, _base(door, update, case.branch), tree)
    except (Usage, Refused) as error:
        return replace(case, verdict=Verdict.UNREADABLE, reason=error.message), False
    filters = suites.filters(door.repository)
    if receipts.load(door.repository, suites.whole_key(tree, policies, filters)):
        return replace(case, verdict=Verdict.GREEN), not suites.uses_environment(policies)
    demand = suites.demand(door.repository.objects, tree, policies, filters)
    if not demand.verifiable:
        return replace(case, verdict=Verdict.GRANTED if granted else Verdict.UNVERIFIABLE), False
    return _verified(door, case, update, demand, run=run)


def _verified(door: Door, case: Case, update: Create | Update, demand: Demand, *, run: bool) -> tuple[Case, bool]:
    from homelab.verify import verification  # what is known as a whole needs none of it, and it is half of all that is imported

    remembered_only = not run or door.aim.config.gate.unverified == "refuse"
    if remembered_only and (missing := verification.lookup(door.repository, demand)[1]):
        names = ", ".join(each.label for each in missing[:3]) + (" …" if len(missing) > 3 else "")
        return replace(case, reason=f"not known to be green: {names}"), False
    try:
        verification.ensure(door.repository, update.new, demand)
    except verification.Unverifiable as error:
        return replace(case, verdict=Verdict.UNVERIFIABLE, reason=error.message), False
    except verification.Red as error:
        return replace(case, verdict=Verdict.RED, reason=error.message, evidence=error.evidence), False
    except HomelabError as error:
        return replace(case, reason=f"it cannot be verified here: {error.message}"), False
    return replace(case, verdict=Verdict.GREEN), not demand.uses_environment


def _base(door: Door, update: Create | Update, branch: str) -> str | None:
    """Return the target's tip, whose rules apply: what git says the remote has, else the remote's answer, else as fetched."""
    aim = door.aim
    if branch == aim.target and isinstance(update, Update):
        return update.old
    if aim.target is None:
        return update.old if isinstance(update, Update) else None
    if aim.remote is None:
        return door.repository.oid(f"refs/heads/{aim.target}")
    ref = f"refs/heads/{aim.target}"
    try:
        answer = git.ask_remote(door.repository, aim.remote, ref, timeout=10).get(ref)
    except HomelabError:
        answer = None
    if answer and door.repository.objects.has(answer):
        return answer
    return door.repository.oid(f"refs/remotes/{aim.remote}/{aim.target}")


def framework_update(repository: Repository, told: push.Framework) -> RefUpdate:
    """Return the one update that pre-commit or prek tells of, resolved here; what the remote has is asked or as fetched."""
    new = git.require_pushed(repository, told.source, "^{commit}")
    old = None
    if told.ref.startswith("refs/heads/") and told.remote:
        branch = told.ref.removeprefix("refs/heads/")
        try:
            old = git.ask_remote(repository, told.remote, told.ref, timeout=10).get(told.ref)
        except HomelabError:
            old = repository.oid(f"refs/remotes/{told.remote}/{branch}")
    return push.moved(told.ref, old, new)
