"""A round of the leader: what it begins with. It changes nothing in that, and returns what the next one begins with."""

from dataclasses import dataclass, replace

from homelab.landing.superseded import Reason


@dataclass(frozen=True, slots=True)
class Round:
    """What one round begins with."""

    #: Whether others may come along; not any more once a push of several was refused.
    may_batch: bool
    #: Whether a run was given up once already because the queue had grown.
    grown: bool = False
    #: How often a candidate was built in vain since others moved the target.
    overtaken: int = 0
    count: int = 1

    def given_up(self, why: Reason | None) -> "Round":
        """Return what the round after this one begins with, a run having been given up."""
        again = replace(self, count=self.count + 1)
        return replace(again, grown=True) if why is Reason.GROWN else replace(again, overtaken=self.overtaken + 1)
