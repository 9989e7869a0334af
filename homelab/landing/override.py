"""What a person asked for besides landing: a verification of their own or none, many deletions, more or less of CI.

No permission is good for more than the one commit: it is granted by its id while that is pushed, and taken back where it did
not land. Whether it may land is `homelab.landing.leader`'s.
"""

from collections.abc import Iterator
from typing import NamedTuple

from homelab import output
from homelab.gate import grants
from homelab.gate.grants import Grant, Kind
from homelab.landing.target import Target
from homelab.policy.config import Suite, Verify
from homelab.system import clock, identity
from homelab.verify import suites, verification
from homelab.verify.suites import Demand
from homelab.verify.verification import Waived


class Override(NamedTuple):
    """What the person asked for."""

    verify_cmd: str | None = None
    no_verify: bool = False
    allow_deletions: bool = False
    #: Whether to follow CI afterwards; None: as `[land] watch` says.
    watch: bool | None = None
    #: False: push although CI runs on the target, whatever `[land] hold` says.
    hold: bool = True

    @property
    def alone(self) -> bool:
        """Whether it is about one landing, so that no other may come along."""
        return self.no_verify or self.allow_deletions or self.verify_cmd is not None


def demanded(target: Target, asked: Override, demand: Demand) -> Demand:
    """Return what the rules and the person demand together: --verify-cmd runs besides the suites, never instead."""
    if asked.verify_cmd is None:
        return demand
    own = _own_run(target, asked.verify_cmd, demand.tree)
    whole = suites.digest([demand.whole, own.whole])
    return Demand(demand.tree, whole, (*demand.runs, *own.runs), True, True)


def _own_run(target: Target, command: str, tree: str) -> Demand:
    """Return the demand of --verify-cmd: one suite on the whole tree."""
    keys = suites.Keys(target.repository.objects, tree, suites.filters(target.repository.settings()))
    run = keys.run(Suite("verify-cmd", command), ".", Verify())
    return Demand(tree, run.key, (run,), True, False)


def trailers(target: Target, asked: Override, demand: Demand) -> list[str]:
    """Return what a merge commit says of this: who waived its verification, or the key of their own command."""
    if asked.no_verify:
        return [f"Homelab-Unverified: {output.line(identity.user())} {clock.now()}"]
    if asked.verify_cmd is not None:
        return [f"Homelab-Verified: verify-cmd {_own_run(target, asked.verify_cmd, demand.tree).whole}"]
    return []


def waive(commit: str, tree: str) -> Waived:
    """Return a person's word that the commit may land without verification, said aloud."""
    output.warn(f"landing {commit[:12]} WITHOUT verification, as asked; the journal says who and when")
    return verification.waive(commit, tree)


def grant(target: Target, asked: Override, demand: Demand, commit: str) -> None:
    """Grant the commit, and no other, what was asked for it. Taken back by the push where it did not land."""
    for kind, key in _kinds(target, asked, demand):
        grants.grant(target.repository, Grant(commit, target.branch, kind, identity.user(), clock.now(), key))


def _kinds(target: Target, asked: Override, demand: Demand) -> Iterator[tuple[Kind, str | None]]:
    if asked.no_verify:
        yield Kind.NO_VERIFY, None
    if asked.verify_cmd is not None:
        yield Kind.VERIFY_CMD, _own_run(target, asked.verify_cmd, demand.tree).whole
    if asked.allow_deletions:
        yield Kind.DELETIONS, None
