"""A run that the remote's CI decides, on a try branch: its result, and a log like any other's."""

import time
from pathlib import Path

from homelab.ci import try_branch
from homelab.errors import CiSilent, Failed, Refused
from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify.attempt import Abandoned
from homelab.verify.results import Result, State, log_name
from homelab.verify.suites import Run

_STATES = {
    try_branch.Result.PASSED: State.PASSED,
    try_branch.Result.FAILED: State.FAILED,
    try_branch.Result.TIMEOUT: State.TIMEOUT,
    try_branch.Result.UNABLE: State.UNABLE,
}


def make(repository: Repository, commit: str, run: Run, ended: Abandoned) -> Result:
    """Return what CI says of the commit; unable, not red, where it may not or cannot be asked. Raises `Unreachable`."""
    assert run.suite.ci is not None
    start = time.monotonic()
    try:
        found = try_branch.attempt(repository, commit, run.key, run.suite.ci, timeout=run.suite.timeout, abandoned=ended)
    except try_branch.Abandoned:
        return Result(run, State.FAILED, time.monotonic() - start, reason="it was abandoned")
    except (Refused, Failed, CiSilent) as error:  # of a batch, the others land without this one
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        return Result(run, State.UNABLE, time.monotonic() - start, reason=reason)
    log = _log(repository, run, found)
    return Result(run, _STATES[found.result], time.monotonic() - start, log, found.reason, url=found.url)


def _log(repository: Repository, run: Run, found: try_branch.Tried) -> Path:
    """Write down what each check said, and the last lines of what is red."""
    rows = [f"{check.name}: {check.word} ({check.verdict}) {check.url or ''}".rstrip() for check in found.checks]
    for sentence, lines in found.tails:
        rows += ["", sentence, lines]
    path = repository.state / "logs" / f"{log_name(run.suite.name, run)}-ci-{time.time_ns()}.log"
    files.replace(path, "\n".join([*rows, found.reason, ""]).encode(), passing=True)
    return path
