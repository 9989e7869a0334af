"""What a person asked for besides landing: a verification of their own, or none.

Neither is good for more than the one commit: it is granted by its id. Whether it may land is `homelab.landing.leader`'s.
"""

from dataclasses import dataclass

from homelab.gate import grants
from homelab.gate.grants import Kind
from homelab.landing.publish import Target
from homelab.policy.config import Suite, Verify
from homelab.system import clock, identity
from homelab.verify import suites
from homelab.verify.runner import Reporter
from homelab.verify.suites import Demand


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asked for."""

    verify_cmd: str | None
    no_verify: bool
    reporter: Reporter


def own_run(target: Target, command: str, tree: str) -> Demand:
    """Return the demand of --verify-cmd: one suite on the whole tree."""
    keys = suites.Keys(target.repository.objects, tree, suites.filters(target.repository))
    run = keys.run(Suite("verify-cmd", command), ".", Verify())
    return Demand(tree, run.key, (run,), True, False)


def besides(demand: Demand, own: Demand) -> Demand:
    """Return what the rules and the person demand together."""
    whole = suites.digest([demand.whole, own.whole])
    return Demand(demand.tree, whole, (*demand.runs, *own.runs), True, True)


def grant(target: Target, commit: str, kind: str, key: str | None = None) -> None:
    """The commit, and no other, may land on the target by this person's word, or by the receipt under `key`."""
    grants.grant(target.repository, grants.Grant(commit, target.branch, Kind(kind), identity.user(), clock.now(), key))
