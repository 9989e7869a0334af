"""Which suites a tree shows by itself, where no configuration names one."""

from homelab.config import Suite
from homelab.repo import Objects


def detect(objects: Objects, tree: str) -> tuple[Suite, ...]:
    """Return the suites that the tree's own files show."""
    return ()
