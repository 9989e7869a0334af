"""The branch of a remote that work lands on, as one clone knows it."""

from dataclasses import dataclass

from homelab.git.repository import Repository
from homelab.landing.journal import Journal
from homelab.landing.queue import Queue


@dataclass(frozen=True, slots=True)
class Target:
    """A branch of a remote, and this clone."""

    repository: Repository
    remote: str
    branch: str
    #: Whether the branch that lands may be pushed for a review; false where that branch takes verified commits only.
    reviewable: bool = True

    @property
    def ref(self) -> str:
        """Its full name on the remote."""
        return f"refs/heads/{self.branch}"

    @property
    def name(self) -> str:
        """Its name for people, and for git where it was fetched: ``origin/master``."""
        return f"{self.remote}/{self.branch}"

    @property
    def journal(self) -> Journal:
        """The journal of this clone's landings."""
        return Journal(self.repository.state)

    @property
    def queue(self) -> Queue:
        """Who waits to land in this clone."""
        return Queue(self.repository.state)

    def push_options(self, commit: str) -> list[str]:
        """Return the options that keep the user's configuration from pushing more than one ref.

        With `push.recurseSubmodules = only` git would push submodules and nothing else.
        """
        objects = self.repository.objects
        modules = objects.entry(objects.commit(commit).tree, ".gitmodules")
        return ["--no-follow-tags", f"--recurse-submodules={'check' if modules else 'no'}"]
