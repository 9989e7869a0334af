"""What a red may be instead of a fault of the commit: an ignored file, a variable out of sight, a tool of another version.

Only hints: a suite sees the commit and an allow-list of the environment, which is the reason that people think of last.
"""

import os
import re

from homelab import output
from homelab.git.repository import Repository
from homelab.system import process
from homelab.verify.results import Result, end

_MISSING = re.compile(
    r"No such file or directory|not found|cannot (?:open|access|find)|does not exist|ENOENT|FileNotFound|Cannot find",
    re.IGNORECASE,
)
_UNSET = re.compile(r"unbound variable|not set|unset|KeyError|parameter (?:null|not set)|environment", re.IGNORECASE)
# The words of terraform, npm, pip, go and cargo for a tool that is older or newer than what they are to work on.
_VERSION = re.compile(
    r"Unsupported Terraform Core version|\bEBADENGINE\b|Unsupported engine|requires a different Python"
    r"|requires go >= ?[\d.]+|requires rustc [\d.]+|requires (?:Python|Node(?:\.js)?|Ruby) (?:version )?[<>=~^]"
)
_WORD = re.compile(r"[\w.@+/-]{2,200}")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9_]{3,60}\b")
_MOST = 200


def pointer(repository: Repository, result: Result) -> str | None:
    """Return what a red may come from besides the commit, as a sentence, or None."""
    if result.log is None:
        return None
    try:
        said = end(result.log, 1 << 15)
    except OSError:
        return None
    return _variable(result, said) or _ignored(repository, result, said) or _version(said)


def _version(said: str) -> str | None:
    line = next((line.strip() for line in said.splitlines() if _VERSION.search(line)), None)
    if line is None:
        return None
    return f"a tool here has another version than is asked for ({output.line(line[:120])}): install the one that is"


def _variable(result: Result, said: str) -> str | None:
    run = result.run
    seen = process.suite_environment((*run.verify.env, *run.suite.env))
    named = {name for line in said.splitlines() if _UNSET.search(line) for name in _VARIABLE.findall(line)}
    named |= set(re.findall(r"\$\{?([A-Z][A-Z0-9_]{3,60})\b", run.suite.run))
    for name in sorted(named):
        if name in os.environ and name not in seen and not name.startswith("GIT_"):
            return f"{name} is set here, and a suite does not see it unless its `env` names it"
    return None


def _ignored(repository: Repository, result: Result, said: str) -> str | None:
    if repository.worktree is None:
        return None
    folder = repository.worktree / result.run.dir
    lines = [result.run.suite.run, *(line for line in said.splitlines() if _MISSING.search(line))]
    words = list(dict.fromkeys(word.rstrip(".") for line in lines for word in _WORD.findall(line)))[:_MOST]
    here = [path for word in words if not word.startswith("/") and os.path.lexists(path := folder / word)]
    if not here:
        return None
    listed = repository.run(
        "check-ignore", "-z", "--stdin", input=b"".join(os.fsencode(path) + b"\0" for path in here), cwd=repository.worktree
    ).stdout
    for name in os.fsdecode(listed).split("\0"):
        if name:
            shown = os.path.relpath(name, repository.worktree)
            return f"{shown} is here and git ignores it, so a suite does not see it: commit it, or make it in `prepare`"
    return None
