"""A checkout for a suite with `secrets = true`: git-crypt's paths are plaintext in it, and nobody else can read it.

It has no caches, so that no other suite sees what this one saw, and it is wiped when the suite ends, or by the next run here
where that was killed. The key is never copied: git-crypt is told where the clone has it.
"""

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator

from homelab.git.repository import Repository
from homelab.gitcrypt import linked, rules
from homelab.system import private
from homelab.verify.checkout import Checkout


class Locked(Exception):
    """The secrets cannot be read here; its words say why."""


@contextlib.contextmanager
def slot(repository: Repository, commit: str) -> Iterator[Checkout]:
    """Yield a checkout of its own for one run. Raises `Locked` where this clone cannot read the commit's secrets."""
    settings = plaintext_settings(repository, commit)
    private.sweep()
    with private.folder() as (folder, fd):
        yield Checkout(folder, fd, repository, dict(os.environ), settings)


def plaintext_settings(repository: Repository, commit: str) -> tuple[str, ...]:
    """Return git's options with which a checkout has a commit's secrets as plaintext, none where it has none.

    Raises `Locked` where git-crypt is not installed or the clone has not been unlocked.
    """
    filters = sorted(linked.names(repository, repository.objects.commit(commit).tree))
    if filters and not shutil.which("git-crypt"):
        raise Locked("git-crypt is not installed")
    settings: list[str] = []
    for name in filters:
        wanted = name.removeprefix("git-crypt").removeprefix("-")
        key = rules.key_file(repository.common_dir, name)
        if not key.is_file():
            raise Locked("this clone is locked (`git-crypt unlock`)")
        # git-crypt takes the place of a key besides its name, so it stays the one copy in the clone.
        named = [f"--key-name={wanted}"] if wanted else []
        for way in ("smudge", "clean"):
            settings += ["-c", f"filter.{name}.{way}={shlex.join(['git-crypt', way, *named, f'--key-file={key}'])}"]
        settings += ["-c", f"filter.{name}.required=true"]
    return tuple(settings)
