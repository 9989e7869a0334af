"""The branch of a remote that work lands on, as one clone knows it."""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from homelab.errors import Failed, Unreachable
from homelab.git.remotes import ask_remote
from homelab.git.repository import Repository
from homelab.landing.journal import Journal
from homelab.landing.push_result import Pushed
from homelab.landing.queue import Queue
from homelab.system.conversation import Silent

#: Seconds of silence after which a push's remote is asked whether it is still there, and how long a push may take in all: git
#: itself waits for ever when the hook's interpreter is missing.
_SILENCE, _LONGEST = 25.0, 3600.0


class Target(NamedTuple):
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

    def push(self, commit: str, ref: str, *options: str, pass_fds: Sequence[int] = ()) -> Pushed:
        """Push a commit to a ref of the remote, and return how that ended. The push inherits `pass_fds`.

        Hooks on either side may be silent for as long as they like, so it is given up only when the remote answers nobody.
        """
        began = time.monotonic()

        def alive() -> bool:
            if time.monotonic() - began > _LONGEST:
                return False
            try:
                ask_remote(self.repository, self.remote, ref, timeout=_SILENCE)
            except (Unreachable, Failed):
                return False
            return True

        argv = ["push", "--porcelain", *self._options(commit), *options, "--", self.remote, f"{commit}:{ref}"]
        try:
            done = self.repository.ask(*argv, patience=_SILENCE, pass_fds=pass_fds, alive=alive)
        except Silent:
            return Pushed(-1, "", f"fatal: {self.remote} accepted the push and said nothing more")
        return Pushed(done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace"))

    def _options(self, commit: str) -> list[str]:
        """Return the options that keep the user's configuration from pushing more than one ref.

        With `push.recurseSubmodules = only` git would push submodules and nothing else.
        """
        objects = self.repository.objects
        modules = objects.entry(objects.commit(commit).tree, ".gitmodules")
        return ["--no-follow-tags", f"--recurse-submodules={'check' if modules else 'no'}"]
