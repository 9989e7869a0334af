"""Leading: one landing in its turn, and those behind it that it takes along.

What is landed is what was verified: the one push takes a `Verified`. A run is given up when it has become pointless,
because the queue has grown while it had hardly begun, or because the target moved and with it what is being run.
"""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from homelab import output
from homelab.errors import Conflict, Failed, HomelabError, Refused, Unreachable, Usage
from homelab.gate import markers as memo
from homelab.gate import updates
from homelab.gate.admission import Admission
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository, require_version
from homelab.landing import batch, bisect, candidate, conflict, journal, preconditions, publish, queue
from homelab.landing import override as wish
from homelab.landing.batch import Member
from homelab.landing.journal import Landing
from homelab.landing.override import Wish
from homelab.landing.publish import Target
from homelab.landing.queue import Place
from homelab.landing.superseded import Watch
from homelab.policy.config import Land
from homelab.policy.policy import Aim
from homelab.system import clock, identity
from homelab.verify import reporter as progress
from homelab.verify import verification
from homelab.verify.suites import Demand
from homelab.verify.verification import Red, Verified

_CANDIDATES = "refs/homelab/landing/"


class Report(Protocol):
    """What a leader tells of its own landing while it goes on."""

    branch: str | None
    commit: str | None
    tree: str | None
    attempts: int
    suites: list[dict[str, Any]]
    status: str


class _GivenUp(Exception):
    """The run has become pointless; all begins anew."""


def lead(repository: Repository, aim: Aim, report: Report, place: Place, *, verify_cmd: str | None, no_verify: bool) -> None:
    """The work of our ticket, whose turn it is, has landed on the target of `aim`. Raises what kept it from that."""
    require_version()
    preconditions.check_hook(repository)
    assert aim.remote is not None and aim.target is not None and report.branch is not None
    target = Target(repository, aim.remote, aim.target, not aim.protects(report.branch))
    gate = Admission(repository, aim, aim.remote)
    leader = Leader(
        target,
        aim.config.land,
        lambda: None if aim.config.gate.claims else memo.refresh(repository, aim),
        lambda base, commit: gate.guard([updates.moved(target.ref, base, commit)]),
        Wish(verify_cmd, no_verify, progress.reporter()),
        report,
        place,
    )
    with _mutex(target, aim.config.land, report.branch):
        leader.run()


def _mutex(target: Target, limits: Land, branch: str) -> AbstractContextManager[object]:
    """Return what keeps other hosts that share the claim store from landing on the target, where `[land] mutex` asks for it."""
    if not limits.mutex:
        return nullcontext()
    from homelab.claims import operations

    label = "infra:land/" + re.sub(r"[^A-Za-z0-9._/@-]", "-", f"{target.remote}/{target.branch}")
    return operations.holding([label], f"landing {branch}", limits.deadline)


@dataclass(slots=True)
class Leader:
    """One landing in its turn, and those that it takes along."""

    target: Target
    limits: Land
    #: Returns where markers for the shell hook go, the rules of this moment known to it.
    markers: Callable[[], Path | None]
    guard: batch.Guard
    wish: Wish
    report: Report
    place: Place
    #: Whether others may come along; not any more once a push of several was refused.
    sociable: bool = True
    #: Whether a run was given up once already because the queue had grown.
    grown: bool = False
    #: How often a candidate was built in vain since others moved the target.
    overtaken: int = 0
    _base: str | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def _repository(self) -> Repository:
        return self.target.repository

    @property
    def _head(self) -> str:
        assert self.place.ticket.head is not None
        return self.place.ticket.head

    def run(self) -> None:
        """Our work has landed, and that of others with it. Raises what kept ours from that."""
        publish.settle_earlier(self._repository)
        self._sweep()
        self.sociable = not (self.limits.each_commit or self.place.ticket.alone)
        while True:
            base = fetch_branch(self._repository, self.target.remote, self.target.branch)
            if base is None:
                preconditions.check_gone(self._repository, self.target.remote, self.target.branch)
            elif self._repository.is_ancestor(self._head, base):
                self.report.status, self.report.commit = "already-landed", self._head
                self.report.tree = self._repository.objects.commit(self._head).tree
                return
            name, gone = f"{self.target.remote}/{self.target.branch}", preconditions.removed(self._repository)
            preconditions.check_rewound(self._repository, self._head, base, name, gone)
            conflict.check_kept(self._repository, self._head, base, name)
            self._limit()
            self.report.attempts += 1
            self._base = base
            if self._attempt(base):
                self.report.status = "landed"
                return

    def _sweep(self) -> None:
        """No candidate of a lander that was killed is left; whoever leads is the only one that has any."""
        for ref in (self._repository.line("for-each-ref", "--format=%(refname)", _CANDIDATES) or "").split():
            self._repository.run("update-ref", "-d", ref)

    def _limit(self) -> None:
        """Raises `Failed` when others moved the target too often, or for too long."""
        count, took = self.report.attempts, time.monotonic() - self._began
        if self.overtaken >= self.limits.attempts or took > self.limits.deadline:
            raise Failed(
                f"{self.target.branch} kept moving: gave up after {count} attempt{'s' if count > 1 else ''} in "
                f"{output.duration(took)}",
                hint="run `homelab work land` again; what was verified is remembered",
                next="homelab work land",
            )

    def _attempt(self, base: str | None) -> bool:
        """Return whether our work has landed on `base`; False when all begins anew."""
        own = self._bring(base)
        self.guard(base, own.commit)
        members = batch.gather(self.target, own, self.guard) if self.sociable and base is not None else [own]
        self.report.commit, self.report.tree = own.commit, own.merged.tree
        if len(members) > 1:
            output.say(f"landing {len(members)} at once: {', '.join(str(member.ticket.branch) for member in members)}")
        # Without a ref of its own `git gc` may take the candidate while it is being verified; the last has all others.
        ref = f"{_CANDIDATES}{self.place.ticket.number}"
        self._repository.out("update-ref", ref, members[-1].commit)
        try:
            return self._land(members)
        finally:
            self._repository.run("update-ref", "-d", ref)

    def _bring(self, base: str | None) -> Member:
        """Return our own landing. Raises `Conflict`, with the worktree standing in the merge."""
        try:
            return batch.bring(self.target, self.place.ticket, base, self._head, self._trailers)
        except Conflict:
            assert base is not None
            name = f"{self.target.remote}/{self.target.branch}"
            if conflict.leave(self._repository, base, name):
                raise
        except (Usage, Refused):
            if not self.wish.no_verify:
                raise
            return self._waived(base)
        raise Conflict(
            "this worktree's own attributes or merge drivers merge the target without a conflict; it is not committed yet",
            hint="look at the merge, `git commit`, then `homelab work land` again",
            next="git diff --cached HEAD",
        )

    def _waived(self, base: str | None) -> Member:
        """Return our own landing though the rules for it cannot be read: a person waives what they would say."""
        merged = candidate.merge(self._repository, base, self._head)
        demand = Demand(merged.tree, "", (), False, False)
        commit = candidate.commit(self._repository, merged, f"Merge branch '{self.report.branch}'", self._trailers(demand))
        return Member(self.place.ticket, base, merged, commit, demand)

    def _trailers(self, demand: Demand) -> list[str]:
        """Return what our merge commit says of its verification."""
        if self.wish.no_verify:
            return [f"Homelab-Unverified: {output.line(identity.user())} {clock.now()}"]
        rows = batch.verified_by(self.target, demand, self._base)
        if self.wish.verify_cmd is not None:
            rows.append(f"Homelab-Verified: verify-cmd {wish.own_run(self.target, self.wish.verify_cmd, demand.tree).whole}")
        return rows

    def _land(self, members: list[Member]) -> bool:
        """Return whether our own work has landed. Raises `Red` where it is red; others are told what became of theirs."""
        watch = Watch(self.target, members, self.place.ticket.number, may_grow=self.sociable and not self.grown)
        try:
            guessing = not self.grown and bisect.is_worth_a_guess(members, journal.landings(self._repository))
            aside = bisect.aside(self._repository, members[-1], watch) if guessing else None
            proof = bisect.prove(members, lambda member: self._ensure(member, watch), aside)
        except _GivenUp:
            self.grown |= watch.why == "grown"
            self.overtaken += watch.why == "moved"
            output.say(f"{watch.words}; building anew")
            return False
        if proof.verified is not None and not self._publish(members[: proof.count], proof.verified):
            return False
        if proof.culprit is not None:
            self._record_red(members[proof.count], proof.culprit)
            if proof.count == 0:
                raise proof.culprit
        return True

    def _ensure(self, member: Member, watch: Watch) -> Verified:
        """Return the proof for a candidate, or a person's word for it. Raises `Red`, or `_GivenUp`."""
        if self.wish.no_verify:
            output.warn(f"landing {member.commit[:12]} WITHOUT verification, as asked; the journal says who and when")
            wish.grant(self.target, member.commit, "no-verify")
            return verification.waive(member.commit, member.merged.tree)
        demand = member.demand
        if self.wish.verify_cmd is not None:
            demand = wish.besides(demand, wish.own_run(self.target, self.wish.verify_cmd, demand.tree))
        watch.begin(member.commit, demand)
        try:
            verified = verification.ensure(
                self._repository, member.commit, demand, reporter=self.wish.reporter, abandoned=watch
            )
        except Red:
            if watch.why:
                raise _GivenUp from None
            raise
        if self.wish.verify_cmd is not None and not member.demand.verifiable:
            wish.grant(self.target, member.commit, "verify-cmd", demand.runs[-1].key)
        return verified

    def _publish(self, members: list[Member], verified: Verified) -> bool:
        """Return whether all of the members have landed; False when all begins anew."""
        if gone := [member for member in members[1:] if not queue.is_waiting(self._repository, member.ticket)]:
            output.say(f"{gone[0].ticket.branch} has left the queue; building anew without it")
            return False
        documents = verification.documents(verified.results)
        landings = [self._landing(member, documents, passed=verified.passed) for member in members]
        self.report.suites = landings[0].suites
        if verified.passed:
            self._remember(verified, members[0].base)
        try:
            landed = publish.publish(self.target, verified, landings)
        except HomelabError as error:
            if len(members) == 1 or isinstance(error, Unreachable):
                raise
            output.say("the push of several was refused; landing alone")
            self.sociable = False
            return False
        if not landed:
            self.overtaken += 1
            output.say(f"{self.target.branch} moved meanwhile; building anew on what stands there")
            return False
        self.report.commit, self.report.tree = members[0].commit, members[0].merged.tree
        for member, landing in zip(members[1:], landings[1:], strict=True):
            self._tell(member, {"status": "landed", "suites": landing.suites})
        return True

    def _tell(self, member: Member, words: dict[str, Any]) -> None:
        document = {"commit": member.commit, "tree": member.merged.tree, "attempts": self.report.attempts, **words}
        queue.answer(self._repository, member.ticket, document)

    def _record_red(self, member: Member, red: Red) -> None:
        """The journal has a red member, and its lander is told what it would have been told alone."""
        documents = verification.documents(red.results)
        landing = self._landing(member, documents, passed=False)
        journal.close(self._repository, replace(landing, status="failed", reason=red.message, finished=clock.now()))
        if member.ticket != self.place.ticket:
            self._tell(member, {"status": "failed", "suites": documents, "message": red.message, "hint": red.hint})

    def _landing(self, member: Member, documents: list[dict[str, Any]], *, passed: bool) -> Landing:
        return batch.landing(self.target, member, documents, passed=passed, attempts=self.report.attempts)

    def _remember(self, verified: Verified, base: str | None) -> None:
        """The clone's own hook need not think about the push that comes: it was judged here, by the same rules."""
        named = any(result.run.suite.env or result.run.verify.env for result in verified.results)
        folder = None if named or self.wish.verify_cmd is not None else self.markers()
        if folder is not None:
            memo.mark(folder, updates.moved(self.target.ref, base, verified.commit))
