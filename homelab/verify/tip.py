"""The target's tip as what a change is measured by: which key the same suite has there."""

from homelab.git.repository import Repository
from homelab.verify import suites
from homelab.verify.suites import Run


class Tip:
    """The keys of one commit, each made when it is asked for."""

    def __init__(self, repository: Repository, commit: str, filters: str) -> None:
        self.commit = commit
        self._objects = repository.objects
        self._tree = repository.objects.commit(commit).tree
        self._keys = suites.Keys(repository.objects, self._tree, filters)

    def run(self, run: Run) -> Run | None:
        """Return the same suite in the same folder of the tip, or None where the tip has no such folder."""
        entry = self._objects.entry(self._tree, run.dir)
        return self._keys.run(run.suite, run.dir, run.verify) if entry is not None and entry.is_folder else None

    def key(self, run: Run) -> str | None:
        """Return the key that the same suite has on the tip, or None."""
        there = self.run(run)
        return there.key if there else None
