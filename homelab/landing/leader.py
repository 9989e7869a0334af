"""The leader: one landing in its turn, and those behind it that it takes along.

What is landed is what was verified: the one push takes a `Verified`, or a person's `Waived`. A run is given up when it has
become pointless, because the queue has grown while it had hardly begun, or because the target moved and with it what is being
run. Each round begins with a `Round` that the one before it returned; nothing else changes between rounds.
"""

import contextlib
import functools
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from homelab import output
from homelab.errors import Busy, Conflict, HomelabError, Refused, Unreachable
from homelab.gate import markers, updates
from homelab.gate.admission import Admission
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository
from homelab.git.version import require_version
from homelab.landing import batch, bisect, conflict, forward, override, preconditions, publish, recovery, waiting
from homelab.landing.batch import Member
from homelab.landing.override import Override
from homelab.landing.queue import Place
from homelab.landing.report import Report, Status
from homelab.landing.round import Round
from homelab.landing.superseded import Reason, Watch
from homelab.landing.target import Target
from homelab.policy.config import Land
from homelab.policy.rules import read_rules
from homelab.policy.states import Rules, State, require_target
from homelab.system import clock
from homelab.verify import results, verification
from homelab.verify.verification import Red, Unable, Verified, Waived

_CANDIDATES = "refs/homelab/landing/"


class _GivenUp(Exception):
    """The run has become pointless; all begins anew."""


def lead(repository: Repository, rules: State, report: Report, place: Place, asked: Override) -> None:
    """Land our ticket's work on the target, and what else can join the batch. Raises `HomelabError` with the reason."""
    require_version()
    preconditions.check_hook(repository)
    assert rules.remote is not None and rules.target is not None and report.branch is not None
    target = Target(repository, rules.remote, rules.target, not rules.protects(report.branch))
    leader = Leader(target, rules, asked, report, place)
    with _mutex(target, rules.config.land, report.branch):
        recovery.settle_earlier(repository)
        _sweep_tries(repository)
        leader.sweep()
        current: Round | None = Round(may_batch=not (rules.config.land.each_commit or asked.alone))
        while current is not None:
            leader, base = leader.begin()
            current = leader.round(base, current)
        if report.pushed is not None:
            forward.bring(target, report.pushed)


def _sweep_tries(repository: Repository) -> None:
    """Take away the try branches that a killed process left on the remote."""
    if any(repository.state.joinpath("ci", "try").glob("*.json")):
        from homelab.ci import try_branch

        try_branch.sweep(repository)


def _mutex(target: Target, limits: Land, branch: str) -> contextlib.AbstractContextManager[object]:
    """Return what keeps other hosts that share the claim store from landing on the target, where `[land] mutex` asks for it."""
    if not limits.mutex:
        return contextlib.nullcontext()
    from homelab.claims import operations

    label = "infra:land/" + re.sub(r"[^A-Za-z0-9._/@-]", "-", target.name)
    return operations.holding([label], f"landing {branch}", limits.deadline)


@dataclass(frozen=True, slots=True)
class Leader:
    """One landing in its turn, and those that it takes along."""

    target: Target
    rules: State
    asked: Override
    report: Report
    place: Place
    _began: float = field(default_factory=time.monotonic)

    @property
    def _repository(self) -> Repository:
        return self.target.repository

    @property
    def _head(self) -> str:
        assert self.place.ticket.head is not None
        return self.place.ticket.head

    def sweep(self) -> None:
        """Delete the candidates of landers that were killed; whoever leads is the only one that has any."""
        for ref in (self._repository.line("for-each-ref", "--format=%(refname)", _CANDIDATES) or "").split():
            self._repository.run("update-ref", "-d", ref)

    def begin(self) -> tuple["Leader", str | None]:
        """Fetch the target. Return the landing by the rules of now, for others may have changed them, and the target's tip."""
        self._hold()  # before anything is built, so that what comes meanwhile lands with us
        base, now = self._base(), self.rules
        if isinstance(now, Rules) and now.tip != base:
            now = read_rules(self._repository)
        if require_target(now) != (self.target.remote, self.target.branch):
            again = "homelab work land"
            raise Refused("the rules have changed meanwhile, and work lands elsewhere now", hint=f"`{again}` again", next=again)
        return replace(self, rules=now), base

    def round(self, base: str | None, current: Round) -> Round | None:
        """Build on the target's tip, verify and push. Return what the next round begins with, or None once our work landed."""
        if base is not None and self._repository.is_ancestor(self._head, base):
            self.report.status, self.report.commit = Status.ALREADY_LANDED, self._head
            self.report.tree = self._repository.objects.commit(self._head).tree
            return None
        self._check(base, current)
        self.report.attempts = current.count
        own = self._own(base)
        self._look_through(base, own.commit, is_ours=True)
        if not self.asked.allow_deletions:
            batch.check_deletions(self.target, base, own.merged.tree)
        self.report.commit, self.report.tree = own.commit, own.merged.tree
        members = batch.gather(self.target, own, self._look_through) if current.may_batch and base is not None else [own]
        with self._kept(members):
            watch = Watch(self.target, members, self.place.ticket.number, may_grow=current.may_batch and not current.grown)
            try:
                proof = bisect.prove(members, functools.partial(self._ensure, watch, base))
            except _GivenUp:
                output.say(f"{watch.why}; building anew")
                return current.given_up(watch.why)
            except Unable as error:
                if len(members) == 1:
                    self._journal(own, error, Status.REFUSED)
                    raise
                # Whose doing it is no search would tell: a run that cannot be made says nothing of a commit.
                output.say("something cannot run here; landing alone")
                return replace(current, may_batch=False, count=current.count + 1)
            green = members[: proof.count]
            if proof.verified is not None and (again := self._send(green, proof.verified, current)):
                return again
            if proof.culprit is not None:
                self._record_red(members[proof.count], proof.culprit)
                if proof.count == 0:
                    raise proof.culprit
        return None

    def _hold(self, patience: float = 60) -> None:
        """Wait until CI is idle on the target, where `[land] hold` asks for it: a push would end what it applies."""
        limits = self.rules.config.land
        if not (limits.hold and self.asked.hold):
            return
        from homelab.ci import target

        left = limits.deadline - (time.monotonic() - self._began)
        try:
            target.hold(self._repository, self.rules, seconds=max(0.0, left), patience=patience, said=self._holding)
        finally:
            self.place.queue.tell(self.place.ticket)

    def _holding(self, words: str) -> None:
        output.say(words)
        self.place.queue.tell(self.place.ticket, holding=words)

    def _base(self) -> str | None:
        base = fetch_branch(self._repository, self.target.remote, self.target.branch)
        if base is None:
            preconditions.check_gone(self._repository, self.target.remote, self.target.branch)
        return base

    def _check(self, base: str | None, current: Round) -> None:
        """Check that the branch brings back nothing that was taken away, and that there is time for a round."""
        gone = preconditions.removed(self._repository)
        preconditions.check_rewound(self._repository, self._head, base, self.target.name, gone)
        conflict.check_kept(self._repository, self._head, base, self.target.name)
        limits, took = self.rules.config.land, time.monotonic() - self._began
        if took > limits.deadline or 0 < limits.attempts <= current.overtaken:
            tries = f"{current.count - 1} attempt{'s' if current.count > 2 else ''}"
            raise Busy(
                f"{self.target.branch} kept moving: gave up after {tries} in {output.duration(took)}",
                hint="run `homelab work land` again, what was verified is remembered; a suite with `inputs` in homelab.toml is "
                "not run again for what others land elsewhere",
                next="homelab work land",
            )

    def _own(self, base: str | None) -> Member:
        """Return our own landing. Raises `Conflict`, and leaves the worktree in the merge."""
        ticket = self.place.ticket
        try:
            return batch.bring(self.target, ticket, base, self._head, asked=self.asked)
        except Conflict as error:
            assert base is not None
            conflict.hand_over(self._repository, error, str(ticket.branch), self._head, base, self.target.name)

    def _look_through(self, base: str | None, commit: str, *, is_ours: bool = False) -> None:
        """Refuse what no landing may bring: a secret as plaintext, a stack that is held by anybody but who brings it."""
        gate = Admission(self._repository, self.rules, self.target.remote)
        try:
            gate.guard([updates.moved(self.target.ref, base, commit)], is_ours=is_ours)
        except Refused as error:
            if "exposed" in error.fields and error.next is None:
                # No commit of ours is to blame, so none is to be taken back: the merge alone makes the file a secret.
                target = shlex.quote(self.target.name)
                error.hint = f"`git merge --no-commit {target}`, `git add --renormalize .` with the key, `git commit`"
            raise

    @contextlib.contextmanager
    def _kept(self, members: Sequence[Member]) -> Iterator[None]:
        """Keep the candidates while they are verified, and say which they are. The last one has all the others."""
        self.place.queue.announce([member.ticket for member in members])
        if len(members) > 1:
            output.say(f"landing {len(members)} at once: {', '.join(str(member.ticket.branch) for member in members)}")
        # Without a ref of its own `git gc` may take a candidate that nothing else names.
        ref = f"{_CANDIDATES}{self.place.ticket.number}"
        self._repository.out("update-ref", ref, members[-1].commit)
        try:
            yield
        finally:
            self._repository.run("update-ref", "-d", ref)

    def _ensure(self, watch: Watch, base: str | None, member: Member) -> Verified | Waived:
        """Return the proof for a candidate on the target's tip, or a person's word. Raises `Red`, `Unable`, or `_GivenUp`."""
        if self.asked.no_verify:
            return override.waive(member.commit, member.merged.tree)
        watch.begin(member.commit, member.demand)
        where = f" on {self.target.branch} {base[:7]}" if base else ""
        try:
            verified = verification.ensure(
                self._repository,
                member.commit,
                member.demand,
                # The target's tip, not the member before: what another of the batch breaks is no red before.
                baseline=Admission(self._repository, self.rules, self.target.remote).baseline(base),
                reporter=waiting.Told(self.place, f"{member.ticket.branch}{where}"),
                abandoned=watch,
            )
        except (Red, Unable):
            if watch.why:
                raise _GivenUp from None
            raise
        self.report.suites = results.documents(verified.results)
        return verified

    def _send(self, members: Sequence[Member], landable: Verified | Waived, current: Round) -> Round | None:
        """Push a green batch. Return what to begin anew with where that was in vain, or None."""
        if gone := [member for member in members[1:] if not self.target.queue.is_waiting(member.ticket)]:
            output.say(f"{gone[0].ticket.branch} has left the queue; building anew without it")
            return replace(current, count=current.count + 1)
        documents = self.report.suites
        passed = isinstance(landable, Verified)
        landings = [
            batch.landing(self.target, member, documents, passed=passed, attempts=current.count)._replace(
                allow_deletions=self.asked.allow_deletions
            )
            for member in members
        ]
        if isinstance(landable, Verified):
            self._remember(landable, members[0].base)
        self._hold(patience=0)  # again: others may have pushed meanwhile; a CI that was away has had its minute
        own = members[0]
        grant = functools.partial(override.grant, self.target, self.asked, own.demand, own.commit)
        try:
            landed = publish.publish(self.target, landable, landings, grant)
        except HomelabError as error:
            if len(members) == 1 or isinstance(error, Unreachable):
                raise
            output.say("the push of several was refused; landing alone")
            return replace(current, may_batch=False, count=current.count + 1)
        if not landed:
            output.say(f"{self.target.branch} moved meanwhile; building anew on what is there now")
            return current.given_up(Reason.MOVED)
        self.report.status, self.report.pushed = Status.LANDED, landable.commit
        self.report.commit, self.report.tree = own.commit, own.merged.tree
        for member in members[1:]:
            self._answer(member, {"status": Status.LANDED, "pushed": landable.commit, "suites": documents})
        return None

    def _journal(self, member: Member, error: Red | Unable, status: Status) -> list[dict[str, Any]]:
        """Write to the journal that a member did not land. Return how its suites ended."""
        documents = results.documents(error.results)
        landing = batch.landing(self.target, member, documents, passed=False, attempts=self.report.attempts)
        self.target.journal.close(landing._replace(status=status, reason=error.message, finished=clock.now()))
        return documents

    def _record_red(self, member: Member, red: Red) -> None:
        """Write a red member to the journal, and tell its lander what it would have been told alone."""
        documents = self._journal(member, red, Status.FAILED)
        if member.ticket != self.place.ticket:
            words = {"message": red.message, "hint": red.hint}
            self._answer(member, {"status": Status.FAILED, "pushed": None, "suites": documents, **words})

    def _answer(self, member: Member, words: dict[str, Any]) -> None:
        document = {"commit": member.commit, "tree": member.merged.tree, "attempts": self.report.attempts, **words}
        self.target.queue.answer(member.ticket, document)

    def _remember(self, verified: Verified, base: str | None) -> None:
        """Write the marker by which the clone's own hook lets the coming push pass: it was judged here, by the same rules."""
        if not verified.lasting or self.asked.alone or self.rules.config.gate.claims:
            return
        if (folder := markers.refresh(self._repository, self.rules)) is not None:
            markers.mark(folder, updates.moved(self.target.ref, base, verified.commit))
