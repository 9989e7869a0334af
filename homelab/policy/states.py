"""What can be known of the rules: they are known, there is nothing to land on yet, or nobody can say.

Not knowing is one of the three, since a gate that took it for "no rules" would open with every remote that is added, renamed or
not fetched. How they are read is `homelab.policy.rules`'s. See docs/adr/0019.
"""

import fnmatch
from collections.abc import Iterable
from typing import NamedTuple

from homelab.errors import Refused, Unreachable, Usage
from homelab.git.repository import USUAL
from homelab.policy.config import Config, Gate

HEADS = "refs/heads/"
#: Where a server takes a repair of rules that nobody can read: no branch, so no rule says anything about it.
REPAIR = "refs/repair/1"
_NOTHING_SAID = Config()
#: What holds while nothing can be read: no setting that could let more through.
_STRICTEST = Config(gate=Gate(claims=True))


class Rules(NamedTuple):
    """The rules are known: where work lands, and which branches only take verified commits."""

    #: None on a server, which has the branches itself.
    remote: str | None
    target: str
    #: Names and patterns, of all of the clone's remotes.
    protect: tuple[str, ...]
    config: Config
    #: The branch that the rules were read from, the object id of its tip, and that of the file in it, where there is one.
    default: str
    tip: str | None = None
    blob: str | None = None
    #: Whether `remote` is a remote's name; else it is an address.
    is_named: bool = True
    #: Whether no plain fetch brings them, as in a clone of another branch alone: they are asked for at each push.
    is_narrow: bool = False

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits. Its name decides, whatever remote is pushed to."""
        return _matches(branch, self.protect)


class NoTarget(NamedTuple):
    """It is known that there is nothing to land on yet: no remote, or one without a branch."""

    remote: str | None = None
    protect: tuple[str, ...] = USUAL
    target: None = None
    config: Config = _NOTHING_SAID

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits."""
        return _matches(branch, self.protect)


class Unknown(NamedTuple):
    """The rules cannot be read. Every branch counts as protected until the command `repair` makes them known."""

    remote: str | None
    #: Why, as a sentence.
    reason: str
    repair: str
    #: The target, where that much is known: only its file cannot be read.
    target: str | None = None
    #: The protection that was last known, or None where none ever was.
    protect: tuple[str, ...] | None = None
    #: What is protected by other remotes' rules, or always.
    certain: tuple[str, ...] = USUAL
    config: Config = _STRICTEST
    #: Whether it is for want of an answer from the remote.
    is_unreachable: bool = False

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits: as was last known, else every one."""
        return self.protect is None or _matches(branch, self.protect)

    def is_certain(self, branch: str) -> bool:
        """Return whether a branch is protected whatever the rules turn out to be."""
        return _matches(branch, self.certain)


State = Rules | NoTarget | Unknown


def protected(rules: State, refs: Iterable[str]) -> frozenset[str]:
    """Return those of the refs that are branches which only take verified commits."""
    return frozenset(ref for ref in refs if ref.startswith(HEADS) and rules.protects(ref.removeprefix(HEADS)))


def _matches(branch: str, patterns: Iterable[str]) -> bool:
    return any(branch == pattern or fnmatch.fnmatchcase(branch, pattern) for pattern in patterns)


def on_server(rules: State) -> str:
    """Return what makes the rules of a receiving repository known, in words: only who may write to it can run it."""
    repair = rules.repair if isinstance(rules, Unknown) else f"git update-ref refs/heads/{rules.target} {REPAIR}"
    return f"{f'push the repair as {REPAIR}, then ' if REPAIR in repair else ''}`{repair}` in the server's repository"


def require_target(rules: State) -> tuple[str, str]:
    """Return the remote and the branch that work lands on. Raises `Refused` or `Unreachable` when nothing says which."""
    match rules:
        case Rules(remote=str(remote), target=target) | Unknown(remote=str(remote), target=str(target)):
            return remote, target
        case Unknown(reason=reason, repair=repair, is_unreachable=True):
            raise Unreachable(reason, hint=f"`{repair}`")
        case Unknown(reason=reason, repair=repair):
            raise Refused(f"nothing says where work lands: {reason}", hint=f"`{repair}`")
        case NoTarget(remote=str(remote)):
            raise Refused(f"{remote} has no branch to land on yet", hint=f"push a first one: `git push {remote} BRANCH`")
        case _:
            raise Refused("there is no remote to land on", hint="`git remote add origin URL`")


def require_settings(rules: State) -> Config:
    """Return the settings that the rules state. Raises `Usage` where the file that states them cannot be read."""
    if isinstance(rules, Unknown) and rules.target is not None:
        raise Usage(rules.reason, hint=f"mend it on a branch (`git switch -c repair`) and land that: `{rules.repair}`")
    return rules.config
