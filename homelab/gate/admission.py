"""May this push happen: what it carries, what is known of each update, and one verdict in words.

Every way in comes through `Admission`: git's own hook, pre-commit's and prek's, a server, `work land`. Facts are asked of
git here, once a push, and handed down; `homelab.gate.verdict` decides on them and asks nobody.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from homelab import output
from homelab.errors import HomelabError, Refused, Usage
from homelab.gate import deletions, grants, markers, updates, verdict
from homelab.gate.grants import Kind
from homelab.gate.updates import Create, Delete, Framework, RefUpdate, Update
from homelab.gate.verdict import Case, History, Verdict
from homelab.git.remotes import ask_remote
from homelab.git.repository import USUAL, Repository, Snapshot, require_pushed
from homelab.policy import policy, states
from homelab.policy.rules import read_rules, read_server_rules
from homelab.policy.states import Rules, State, Unknown
from homelab.verify import suites
from homelab.verify.receipts import Receipts, collect

if TYPE_CHECKING:
    from homelab.verify.baseline import Baseline


class Admission(NamedTuple):
    """The gate for one push: where it is decided, by whose rules, and what was pushed to."""

    repository: Repository
    rules: State
    #: The remote's name or URL as git gave it.
    remote: str
    #: Whether this is the receiving side.
    received: bool = False
    #: What the rules were read from, where they were read for this push.
    seen: Snapshot | None = None

    @classmethod
    def of_clone(cls, repository: Repository, remote: str, seen: Snapshot | None = None) -> "Admission":
        """Return the gate for a push from this clone, as it was `seen` or as it is now."""
        seen = seen or repository.snapshot()
        return cls(repository, read_rules(repository, seen, pushed_to=remote), remote, seen=seen)

    @classmethod
    def of_server(cls, repository: Repository) -> "Admission":
        """Return the gate of a repository that receives a push."""
        return cls(repository, read_server_rules(repository), "the server", received=True)

    def admit(self, pushed: Sequence[RefUpdate], *, run: bool = True) -> None:
        """Let the push go on, having run what was missing where the policy says so. Raises `Refused` with every reason.

        Without `run` only what is remembered counts.
        """
        if self.received:
            from homelab.gate import server

            pushed = server.resolved(self.repository, self.rules, pushed)
            server.tell(self.rules, pushed)
        self._require_known(pushed)
        tips = _coming(pushed)
        memo = markers.prepare(self.repository, self.rules, self.seen, remote=self.remote, tips=tips)
        self.guard(pushed, is_plain=memo.is_plain)
        protected = states.protected(self.rules, [update.ref for update in pushed])
        if not protected:
            return
        cases = [self._case(update, run=run) for update in pushed if update.ref in protected]
        collect(self.repository.state)  # at most once a day; a server and a clone that only pushes have nobody else for it
        if verdict.judge(cases):
            cases = [self._placed(case) for case in cases]
            raise _refused(cases, verdict.judge(cases))
        # Who claims what changes from one push to the next, so nothing is remembered where claims count.
        lasting = all(case.lasting and not case.granted for case in cases)
        if memo.folder is not None and lasting and not self.rules.config.gate.claims:
            for case in cases:
                markers.mark(memo.folder, case.update)

    def _require_known(self, pushed: Sequence[RefUpdate]) -> None:
        """Refuse a branch of which nobody can say whether it is protected, or by which rules.

        A server, whose first push makes that known, judges all.
        """
        rules = self.rules
        if self.received or not isinstance(rules, Unknown) or rules.protect is not None:
            return
        for update in pushed:
            name = updates.branch(update)
            if name is None or (rules.is_certain(name) and (rules.target or isinstance(update, Update))):
                continue
            message = f"it is not known whether {output.line(name)} is protected: {output.line(rules.reason)}"
            raise Refused(f"refusing the push: {message}", hint=f"`{output.line(rules.repair)}`, then push again")

    def foresee(self, commit: str) -> None:
        """Judge the push of a verified commit to the target as it was fetched, so that the shell hook can remember it."""
        tip = self.fetched_tip
        if tip not in (None, commit) and markers.is_used(self.repository):
            with contextlib.suppress(HomelabError):  # whoever pushes it is told why not
                self.admit([Update(f"refs/heads/{self.rules.target}", tip, commit)], run=False)

    @property
    def fetched_tip(self) -> str | None:
        """The target's tip as it was fetched, or None."""
        rules = self.rules
        if rules.remote is None or rules.target is None:
            return None
        if isinstance(rules, Rules) and rules.target == rules.default:
            return rules.tip
        return self.repository.oid(f"refs/remotes/{rules.remote}/{rules.target}")

    def guard(self, pushed: Sequence[RefUpdate], *, is_plain: bool | None = None, is_ours: bool = True) -> None:
        """Let no secret leave as plaintext, and no stack that another session holds, by any ref. Raises `Refused`.

        `is_plain` says whether nothing pushed can name git-crypt, where that was looked up already. What is not `is_ours` is
        somebody else's change, which our own claims stop as well.
        """
        tips = _coming(pushed)
        if tips and not (markers.is_plain(self.repository, tips) if is_plain is None else is_plain):
            known = [update.old for update in pushed if not isinstance(update, Create)]
            from homelab.gitcrypt import plaintext  # most clones use no git-crypt, and a push that names none needs no look

            plaintext.require_pushed(self.repository, tips, remote=self.remote, known=known, received=self.received)
        if self.rules.config.gate.claims and not self.received:
            self.require_free(pushed, is_ours=is_ours)

    def require_free(self, pushed: Sequence[RefUpdate], *, is_ours: bool = True) -> None:
        """Let no stack that another session holds be changed by any ref. Raises `Refused`."""
        from homelab.claims import stacks

        protected = states.protected(self.rules, [update.ref for update in pushed])
        for update in (update for update in pushed if not isinstance(update, Delete)):
            lands = update.ref in protected
            known = (updates.old(update), self.fetched_tip if lands else None)
            changed = stacks.pushed(self.repository, update.new, known, lands=lands)
            stacks.require_free(self.repository, changed, "the push", ours_too=not is_ours)

    def told(self, framework: Framework) -> RefUpdate:
        """Return the one update that pre-commit or prek tells of; what the remote has is asked, else as it was fetched."""
        new = require_pushed(self.repository, framework.source, "^{commit}")
        branch = framework.ref.removeprefix("refs/heads/")
        if branch == framework.ref or not framework.remote:
            return Create(framework.ref, new)
        old = self._asked(framework.remote, framework.ref) or self.repository.oid(f"refs/remotes/{framework.remote}/{branch}")
        return updates.moved(framework.ref, old, new)

    def _asked(self, remote: str, ref: str) -> str | None:
        """Return what the remote says of a ref, or None where it cannot be asked or has none."""
        with contextlib.suppress(HomelabError):
            return ask_remote(self.repository, remote, ref, timeout=10).get(ref)
        return None

    def _case(self, update: RefUpdate, *, run: bool) -> Case:
        """Return what is known of an update of a protected branch, having run what is missing where `run`."""
        branch = update.ref.removeprefix(states.HEADS)
        case = Case(update, branch, remote=output.line(_named(self.remote)), received=self.received)
        if isinstance(update, Delete):
            return case
        history = self._history(update)
        if history is not History.KEEPS:
            return case._replace(history=history)
        case = self._weighed(case, update)
        grant = grants.granted(self.repository, update.new, branch, Kind.NO_VERIFY, Kind.VERIFY_CMD)
        if grant is not None and grant.kind == Kind.NO_VERIFY:
            output.warn(f"{branch}: {update.new[:12]} goes unverified, as {grant.who} said on {grant.when}")
            return case._replace(verdict=Verdict.GRANTED)
        return self._by_receipts(case, update, granted=grant is not None, run=run)

    def _placed(self, case: Case) -> Case:
        """Return a refused case with what its hints depend on: whether landing leads there, and whether it is published."""
        rules = self.rules
        if self.received or rules.remote is None:
            return case
        settings = self.seen.settings if self.seen else self.repository.settings()
        is_there = self.remote in (rules.remote, *settings.addresses().get(rules.remote, ()))
        case = case._replace(lands=is_there and case.branch == rules.target)
        tip = self.fetched_tip
        if is_there or tip is None or isinstance(case.update, Delete) or case.history is History.NO_COMMIT:
            return case
        shares = self.repository.line("merge-base", tip, case.update.new)
        is_whole = self.repository.line("rev-parse", "--is-shallow-repository") == "false"
        return case._replace(is_published=not shares and is_whole)

    def _weighed(self, case: Case, update: Create | Update) -> Case:
        """Return the case with what it deletes of its branch, where that is too much and nobody granted it."""
        if isinstance(update, Create):
            return case
        objects, limit = self.repository.objects, self.rules.config.gate.max_deleted
        found = deletions.excess(objects, objects.commit(update.old).tree, objects.commit(update.new).tree, limit)
        if found and self.received:  # a grant does not travel, so a server that refused would refuse for ever
            output.warn(f"note: {update.new[:12]} deletes {found} of {case.branch}")
            return case
        if found and grants.granted(self.repository, update.new, case.branch, Kind.DELETIONS):
            return case._replace(granted=True)
        return case._replace(loss=found, limit=limit)

    def _history(self, update: Create | Update) -> History:
        objects = self.repository.objects
        if objects.peel(update.new) != update.new:
            return History.NO_COMMIT
        if isinstance(update, Create):
            return History.KEEPS
        if not objects.has(update.old):
            return History.UNKNOWN
        is_next = update.old in objects.commit(update.new).parents  # the most of all pushes, and no process
        return History.KEEPS if is_next or self.repository.is_ancestor(update.old, update.new) else History.DROPS

    def _by_receipts(self, case: Case, update: Create | Update, *, granted: bool, run: bool) -> Case:
        objects = self.repository.objects
        tree, base = objects.commit(update.new).tree, self._base(update, case.branch)
        try:
            policies = policy.policies(objects, base, tree)
        except Usage as error:
            return case._replace(verdict=Verdict.UNREADABLE, reason=error.message)
        except Refused as error:  # the target's: no commit mends them
            hint = states.on_server(self.rules) if self.received else error.hint or ""
            return case._replace(verdict=Verdict.UNREADABLE, reason=error.message, hint=hint)
        filters = suites.filters(self.seen.settings if self.seen else self.repository.settings())
        if (whole := Receipts(self.repository.state).load(suites.whole_key(tree, policies, filters))) is not None:
            for note in whole.notes:
                output.warn(f"note: {output.line(note)}")
            return case._replace(verdict=Verdict.GREEN, lasting=not whole.notes and not suites.uses_environment(policies))
        demand = suites.demand(objects, tree, policies, filters)
        if not demand.verifiable:
            hint = "" if granted else demand.way_on[0]
            return case._replace(verdict=Verdict.GRANTED if granted else Verdict.UNVERIFIABLE, hint=hint)
        from homelab.gate import running  # half of all that is imported, and what is known as a whole needs none of it

        remembered_only = not run or self.rules.config.gate.unverified == "refuse"
        return running.decide(self.repository, case, update.new, demand, self.baseline(base), remembered_only=remembered_only)

    def baseline(self, tip: str | None) -> "Baseline | None":
        """Return what a change is measured by where the target stands at `tip`, or None where it is not known."""
        from homelab.verify.baseline import Baseline

        return Baseline(tip, tells=self.rules.config.gate.red_before == "tell") if tip else None

    def _base(self, update: Create | Update, branch: str) -> str | None:
        """Return the target's tip, whose rules apply: as git says, else as the remote answers, else as it was fetched.

        Where there is none, as on a server whose HEAD names no branch yet, what the branch itself has states the old rules,
        else what one has that is protected in any case.
        """
        old = updates.old(update)
        if branch == self.rules.target and old:
            return old
        tip = self._target_tip() or old
        if tip or not self.received:
            return tip
        return next((oid for name in USUAL if (oid := self.repository.oid(f"refs/heads/{name}"))), None)

    def _target_tip(self) -> str | None:
        remote, target = self.rules.remote, self.rules.target
        ref = f"refs/heads/{target}"
        if target is None or remote is None:
            return self.repository.oid(ref) if target else None
        answer = self._asked(remote, ref)
        if answer and self.repository.objects.has(answer):
            return answer
        return self.repository.oid(f"refs/remotes/{remote}/{target}")


def require_admitted(repository: Repository, seen: Snapshot, remote: str, pushed: Sequence[RefUpdate]) -> None:
    """Let a push from the clone that was `seen` go on. Raises `Refused` with every reason."""
    Admission.of_clone(repository, remote, seen).admit(pushed)


def _coming(pushed: Sequence[RefUpdate]) -> tuple[str, ...]:
    """Return the objects that a push brings, each once."""
    return tuple(dict.fromkeys(update.new for update in pushed if not isinstance(update, Delete)))


def _named(remote: str) -> str:
    """Return how messages call a remote: an address may hold a token (`https://ann:TOKEN@host/x`), so it is not repeated."""
    return "REMOTE" if ":" in remote or "/" in remote else remote or "origin"


def _refused(cases: Sequence[Case], refusals: Sequence[verdict.Refusal]) -> Refused:
    return Refused(
        f"refusing the push: {'; '.join(output.line(refusal.message) for refusal in refusals)}",
        hint=refusals[0].hint,
        evidence=[shown for case in cases for shown in case.evidence],
        fields={"refusals": [{"branch": r.branch, "message": r.message, "hint": r.hint} for r in refusals]},
    )
