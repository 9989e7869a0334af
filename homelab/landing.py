"""Landing: build exactly the commit that will stand on the target, get its proof, push exactly that, ask the remote.

Nothing reaches the target but through `publication.publish`, which takes a `Verified`. The push carries one object id and
a lease on the base that it was verified on: whatever moves meanwhile sends the landing back to the start, not onto the
target.
"""

import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from homelab import (
    admission,
    candidate,
    git,
    memo,
    output,
    policy,
    publication,
    push,
    queue,
    readiness,
    receipts,
    suites,
    verification,
)
from homelab.config import Suite, Verify
from homelab.errors import Conflict, Failed, HomelabError, Refused, Usage
from homelab.execution import Reporter
from homelab.git import Repository
from homelab.journal import Landing
from homelab.policy import Aim
from homelab.publication import Target
from homelab.repo import Objects
from homelab.suites import Demand
from homelab.verification import Verified

_CANDIDATES = "refs/homelab/landing/"


@dataclass(slots=True)
class Report:
    """What has become of a landing so far; the answer in JSON, on failure too."""

    branch: str | None = None
    target: str | None = None
    remote: str | None = None
    commit: str | None = None
    tree: str | None = None
    attempts: int = 0
    suites: list[dict[str, Any]] = field(default_factory=list)
    status: str = "failed"

    def document(self) -> dict[str, Any]:
        """Return it as the contract's JSON."""
        return {"ok": self.status in ("landed", "already-landed"), **asdict(self)}


_STATUS = {"refused": "refused", "usage": "refused", "conflict": "conflict", "review": "review", "unreachable": "unreachable"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asked for."""

    verify_cmd: str | None = None
    no_verify: bool = False
    reporter: Reporter = field(default_factory=Reporter)


def land(wish: Wish, cwd: Path | None = None) -> Report:
    """The target on the remote contains HEAD's work, verified as it stands there. Raises what kept it from that."""
    report = Report()
    try:
        _land(git.discover(cwd), wish, report)
    except HomelabError as error:
        report.status = _STATUS.get(error.kind, "failed")
        report.suites = error.fields.get("suites", report.suites)
        error.fields = {**report.document(), **error.fields}
        error.fields.pop("ok", None)
        raise
    return report


def _land(repository: Repository, wish: Wish, report: Report) -> None:
    git.require_version()
    report.branch = readiness.branch(repository)
    objects = Objects(repository.common_dir)
    aim = policy.aim(repository, objects)
    report.remote, report.target = aim.require_remote(), aim.require_target()
    readiness.check(repository, report.branch, report.target)

    def waited(count: int) -> None:
        output.say(f"waiting for {count} landing{'s' if count > 1 else ''} ahead")

    with queue.turn(repository, report.branch, verification.user(), waited) as ticket:
        lander = _Lander(repository, objects, aim, wish, report, f"{_CANDIDATES}{ticket.number}")
        lander.run()


@dataclass(slots=True)
class _Lander:
    """One landing in its turn."""

    repository: Repository
    objects: Objects
    aim: Aim
    wish: Wish
    report: Report
    ref: str
    started: str = field(default_factory=output.now)
    clock: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        head = self.repository.oid("HEAD^{commit}")
        assert head is not None
        publication.settle_earlier(self.repository)
        self._sweep()
        limits = self.aim.config.land
        while True:
            self.report.attempts += 1
            base = git.fetch_branch(self.repository, self._remote, self._target)
            if base is not None and self.repository.is_ancestor(head, base):
                self.report.status, self.report.commit = "already-landed", head
                self.report.tree = self.objects.commit(head).tree
                return
            readiness.check_rewound(self.repository, head, base, f"{self._remote}/{self._target}")
            self._limit(limits.attempts, limits.deadline)
            if self._attempt(head, base):
                self.report.status = "landed"
                return

    def _sweep(self) -> None:
        """No candidate of a lander that was killed is left; in our turn no other lander has one."""
        for ref in (self.repository.line("for-each-ref", "--format=%(refname)", _CANDIDATES) or "").split():
            self.repository.run("update-ref", "-d", ref)

    @property
    def _remote(self) -> str:
        return self.aim.require_remote()

    @property
    def _target(self) -> str:
        return self.aim.require_target()

    def _limit(self, attempts: int, deadline: int) -> None:
        """Raises `Failed` when others moved the target too often, or for too long."""
        if self.report.attempts > attempts or time.monotonic() - self.clock > deadline:
            raise Failed(
                f"{self._target} kept moving: gave up after {self.report.attempts - 1} attempts in "
                f"{output.duration(time.monotonic() - self.clock)}",
                hint="run `homelab work land` again; what was verified is remembered",
                next="homelab work land",
            )

    def _attempt(self, head: str, base: str | None) -> bool:
        """Return whether the work has landed on `base`; False when the target moved and all begins anew."""
        merged = self._merge(head, base)
        if merged is None:
            return self._again()
        demand = self._demand(base, merged.tree)
        subject = f"Merge branch '{self.report.branch}'"
        commit = candidate.commit(self.repository, merged, subject, self._trailers(demand, base))
        self.report.commit, self.report.tree = commit, merged.tree
        self._seal(commit, base)
        # Without a ref of its own `git gc` may take the candidate while it is being verified.
        self.repository.out("update-ref", self.ref, commit)
        try:
            verified = self._verify(commit, merged.tree, demand)
            return self._publish(verified, head, base)
        finally:
            self.repository.run("update-ref", "-d", self.ref)

    def _seal(self, commit: str, base: str | None) -> None:
        """No secret lands as plaintext, whether a hook of this clone would look or not. Raises `Refused`."""
        ref = f"refs/heads/{self._target}"
        door = admission.Door(self.repository, self.objects, self.aim, self._remote)
        admission.seal(door, [push.Update(ref, base, commit) if base else push.Create(ref, commit)])

    def _again(self) -> bool:
        head = self.repository.oid("HEAD^{commit}")
        raise Conflict(
            f"git merged the target into the branch itself ({(head or '')[:12]})",
            hint="look at the merge, then `homelab work land` again",
            next="homelab work land",
        )

    def _merge(self, head: str, base: str | None) -> candidate.Merged | None:
        try:
            return candidate.merge(self.repository, self.objects, base, head)
        except Conflict:
            assert base is not None
            if candidate.leave_conflict(self.repository, base, f"{self._remote}/{self._target}"):
                raise
            return None

    def _demand(self, base: str | None, tree: str) -> Demand:
        """Return what the target demands of a tree; none where a person waives what cannot even be read."""
        try:
            policies = policy.policies(self.objects, base, tree)
        except (Usage, Refused):
            if not self.wish.no_verify:
                raise
            return Demand(tree, "", (), False, False)
        return verification.demanded(self.repository, self.objects, tree, policies)

    def _trailers(self, demand: Demand, base: str | None) -> list[str]:
        """Return what the merge commit says of its verification: each suite whose result is new with this change."""
        if self.wish.no_verify:
            return [f"Homelab-Unverified: {output.line(verification.user())} {output.now()}"]
        runs = demand.runs
        if any(run.suite.each for run in runs) and base is not None:
            before = {run.key for run in self._demand(base, self.objects.commit(base).tree).runs}
            runs = tuple(run for run in runs if not run.suite.each or run.key not in before)
        rows = [f"Homelab-Verified: {run.label} {run.key}" for run in runs]
        if self.wish.verify_cmd is not None:
            rows.append(f"Homelab-Verified: verify-cmd {self._own(demand.tree).runs[0].key}")
        return rows

    def _own(self, tree: str) -> Demand:
        """Return the demand of --verify-cmd: one suite on the whole tree."""
        assert self.wish.verify_cmd is not None
        keys = suites.Keys(self.objects, tree, verification.filters(self.repository))
        run = keys.run(Suite("verify-cmd", self.wish.verify_cmd), ".", Verify())
        return Demand(tree, run.key, (run,), True, False)

    def _verify(self, commit: str, tree: str, demand: Demand) -> Verified:
        """Return the proof for the candidate, or a person's word for it."""
        if self.wish.no_verify:
            output.warn(f"landing {commit[:12]} WITHOUT verification, as asked; the journal says who and when")
            self._grant(commit, "no-verify", None)
            return verification.waive(commit, tree)
        reporter = self.wish.reporter
        if self.wish.verify_cmd is None:
            verified = verification.ensure(self.repository, self.objects, commit, demand, reporter=reporter)
        else:
            verified = self._verify_besides(commit, tree, demand)
        self.report.suites = verification.documents(verified.results)
        return verified

    def _verify_besides(self, commit: str, tree: str, demand: Demand) -> Verified:
        """Return the proof by --verify-cmd, besides the suites where there are any; alone it is evidence for this commit."""
        own = self._own(tree)
        both = Demand(tree, suites.digest([demand.whole, own.whole]), (*demand.runs, *own.runs), True, True)
        verified = verification.ensure(self.repository, self.objects, commit, both, reporter=self.wish.reporter)
        if not demand.verifiable:
            self._grant(commit, "verify-cmd", own.runs[0].key)
        return verified

    def _grant(self, commit: str, kind: str, key: str | None) -> None:
        given = receipts.Grant(commit, self._target, kind, verification.user(), output.now(), key)
        receipts.grant(self.repository, given)

    def _publish(self, verified: Verified, head: str, base: str | None) -> bool:
        """Return whether the work has landed; False when the target moved and all begins anew."""
        if verified.passed:
            self._remember(verified, base)
        target = Target(self.repository, self.objects, self._remote, self._target)
        if publication.publish(target, verified, self._record(verified, head, base)):
            return True
        output.say(f"{self._target} moved meanwhile; building anew on what stands there")
        return False

    def _record(self, verified: Verified, head: str, base: str | None) -> Landing:
        return Landing(
            id=uuid.uuid4().hex,
            started=self.started,
            user=verification.user(),
            host=platform.node(),
            session=os.environ.get("HOMELAB_SESSION") or os.fspath(self.repository.worktree or ""),
            branch=self.report.branch or "",
            remote=self._remote,
            target=self._target,
            head=head,
            base=base,
            commit=verified.commit,
            tree=verified.tree,
            verified=verified.passed,
            suites=verification.documents(verified.results),
            attempts=self.report.attempts,
        )

    def _remember(self, verified: Verified, base: str | None) -> None:
        """The clone's own hook need not think about the push that comes: it was judged here, by the same rules."""
        lasting = self.wish.verify_cmd is None and not any(
            result.run.suite.env or result.run.verify.env for result in verified.results
        )
        folder = memo.refresh(self.repository, self.aim) if lasting else None
        if folder is not None:
            memo.mark(folder, f"refs/heads/{self._target}", base or "0" * len(verified.commit), verified.commit)
