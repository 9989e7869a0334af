"""Landing: the target on the remote contains HEAD's work, verified as it stands there; or a word on why not.

Landers of one clone draw tickets. The first leads: it lands its own work, together with what waits behind it where that
can be one batch, and tells the others what became of theirs. Whatever needs words or a worktree of its own (a conflict, a
review, a refusal) is left to the lander whose it is, when it leads. How a leader lands is `homelab.leading`'s.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from homelab import admission, git, leading, memo, output, policy, push, queue, readiness, verification
from homelab.errors import Failed, HomelabError
from homelab.git import Repository
from homelab.policy import Aim
from homelab.publication import Target
from homelab.repo import Objects
from homelab.wish import Wish


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
        """Return it as answers in JSON have it."""
        return {"ok": self.status in ("landed", "already-landed"), **asdict(self)}


_STATUS = {"refused": "refused", "usage": "refused", "conflict": "conflict", "review": "review", "unreachable": "unreachable"}


def land(wish: Wish, cwd: Path | None = None) -> Report:
    """The target on the remote contains HEAD's work, verified as it stands there. Raises what kept it from that."""
    report = Report()
    output.on_failure(report.document)
    try:
        _land(git.discover(cwd), wish, report)
    except HomelabError as error:
        report.status = _STATUS.get(error.kind, "failed")
        raise
    return report


def _land(repository: Repository, wish: Wish, report: Report) -> None:
    git.require_version()
    session = os.environ.get("HOMELAB_SESSION") or os.fspath(repository.worktree or "")
    # Drawn before anything is looked at, so that a leader sees who is about to come.
    with queue.drawn(repository, verification.user(), session) as place:
        report.branch = readiness.branch(repository)
        objects = Objects(repository.common_dir, piped={})
        aim = policy.aim(repository, objects)
        report.remote = aim.require_remote()
        if aim.target is None:
            git.ask_remote_head(repository, report.remote)  # unreachable is another answer than not to say
        report.target = aim.require_target()
        readiness.check(repository, report.branch, report.target)
        readiness.check_hook(repository)
        head = repository.oid("HEAD^{commit}")
        assert head is not None
        place.ready(report.branch, head, alone=wish.alone)
        told = place.wait(lambda count: output.say(f"waiting for {count} landing{'s' if count > 1 else ''} ahead"))
        if told is not None:
            _take(report, told)
        else:
            target = Target(repository, objects, report.remote, report.target, not aim.protects(report.branch))
            door = admission.Door(repository, objects, aim, report.remote)
            leader = leading.Leader(
                target,
                aim.config.land,
                lambda: None if aim.config.gate.claims else memo.refresh(repository, aim),
                lambda base, commit: admission.guard(door, [push.moved(target.ref, base, commit)]),
                wish,
                report,
                place,
            )
            with _mutex(aim, target, report.branch):
                leader.run()


@contextlib.contextmanager
def _mutex(aim: Aim, target: Target, branch: str) -> Iterator[None]:
    """No other host that shares the claim store lands on the target meanwhile, where `[land] mutex` asks for that."""
    if not aim.config.land.mutex:
        yield
        return
    from homelab.claims import taking

    label = "infra:land/" + re.sub(r"[^A-Za-z0-9._/@-]", "-", f"{target.remote}/{target.branch}")
    with taking.holding([label], f"landing {branch}", aim.config.land.deadline):
        yield


def _take(report: Report, told: dict[str, Any]) -> None:
    """The report says what a leader did with our ticket. Raises `Failed` where it is red."""
    report.status, report.commit, report.tree = told["status"], told["commit"], told["tree"]
    report.attempts, report.suites = told["attempts"], told["suites"]
    if report.status != "landed":
        raise Failed(told["message"], hint=told["hint"], evidence=verification.evidence(report.suites))
