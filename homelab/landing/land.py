"""Landing: the target on the remote contains HEAD's work, verified as it stands there; or a word on why not.

Landers of one clone draw tickets. The first leads: it lands its own work, together with what waits behind it where that
can be one batch, and tells the others what became of theirs. Whatever needs words or a worktree of its own (a conflict, a
review, a refusal) is left to the lander whose it is, when it leads. How a leader lands is
`homelab.landing.leader`'s, which those who wait do not import: of many that start at once, most only wait, and each should be
in the queue soon.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from homelab import output
from homelab.errors import Failed, HomelabError
from homelab.git.remotes import ask_remote_head
from homelab.git.repository import Repository, discover
from homelab.landing import preconditions, queue
from homelab.policy import policy
from homelab.system import identity


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


_STATUS = {"usage": "refused"} | {kind: kind for kind in ("refused", "busy", "conflict", "review", "unreachable")}


def land(*, verify_cmd: str | None = None, no_verify: bool = False, cwd: Path | None = None) -> Report:
    """The target on the remote contains HEAD's work, verified as it stands there. Raises what kept it from that.

    `verify_cmd` verifies where no suite does, and besides those that do; `no_verify` is a person's word for the work.
    """
    report = Report()
    output.on_failure(report.document)
    try:
        _land(discover(cwd), report, verify_cmd, no_verify)
    except HomelabError as error:
        report.status = _STATUS.get(error.kind, "failed")
        raise
    return report


def _land(repository: Repository, report: Report, verify_cmd: str | None, no_verify: bool) -> None:
    session = os.environ.get("HOMELAB_SESSION") or os.fspath(repository.worktree or "")
    # Drawn before anything is looked at, so that a leader sees who is about to come.
    with queue.drawn(repository, identity.user(), session) as place:
        report.branch, head = preconditions.branch(repository)
        aim = policy.aim(repository)
        report.remote = aim.require_remote()
        if aim.target is None:
            ask_remote_head(repository, report.remote)  # unreachable is another answer than not to say
        report.target = aim.require_target()
        preconditions.check(repository, report.branch, report.target)
        place.ready(report.branch, head, alone=no_verify or verify_cmd is not None)
        told = place.wait(lambda count: output.say(f"waiting for {count} landing{'s' if count > 1 else ''} ahead"))
        if told is not None:
            _take(report, told)
        else:
            from homelab.landing import leader

            leader.lead(repository, aim, report, place, verify_cmd=verify_cmd, no_verify=no_verify)


def _take(report: Report, told: dict[str, Any]) -> None:
    """The report says what a leader did with our ticket. Raises `Failed` where it is red."""
    report.status, report.commit, report.tree = told["status"], told["commit"], told["tree"]
    report.attempts, report.suites = told["attempts"], told["suites"]
    if report.status != "landed":
        from homelab.verify import verification

        raise Failed(told["message"], hint=told["hint"], evidence=verification.evidence(report.suites))
