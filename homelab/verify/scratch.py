"""Scratch checkouts in the cache, to run suites in: who has which.

Each belongs to who holds its lock; a suite inherits the lock, so one whose suite outlived us stays taken. What is in it is
`homelab.verify.checkout`'s.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify.checkout import Checkout, speaking_of


@contextlib.contextmanager
def slot(repository: Repository, *, env: Mapping[str, str] | None = None) -> Iterator[Checkout]:
    """Lock a free scratch checkout for the block. Raises `Failed` when the cache folder cannot be used."""
    variables = dict(os.environ if env is None else env)
    home = home_of(variables) / hashlib.sha256(os.fsencode(repository.common_dir)).hexdigest()[:16]
    with speaking_of(home):
        _announce(home, repository)
        folder, fd = _take(home)
    try:
        yield Checkout(folder, fd, repository, variables)
    finally:
        os.close(fd)


def home_of(env: Mapping[str, str]) -> Path:
    """Return the folder of every clone's scratch checkouts."""
    cache = env.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is to be ignored.
    base = Path(cache) if cache.startswith("/") else Path(env.get("HOME") or Path.home()) / ".cache"
    return base / "homelab" / "scratch"


def _announce(home: Path, repository: Repository) -> None:
    """Write down whose slots these are, and remove those of clones that are gone."""
    whose = home / "clone"
    if whose.exists():
        return
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.replace(home.parent / "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n")
    files.replace(whose, os.fsencode(repository.common_dir))
    forget_gone(home.parent)


def forget_gone(base: Path) -> None:
    """Remove the slots of clones that are gone from the folder of every clone's scratch checkouts."""
    for other in base.glob("*/clone"):
        with contextlib.suppress(OSError):
            if not os.path.lexists(files.content(other)):
                _forget(other.parent)


def _forget(home: Path) -> None:
    """Remove the slots of a clone, unless an orphaned suite still has one."""
    with contextlib.ExitStack() as stack:
        for lock in home.glob("*/lock"):
            fd = files.hold(lock)
            if fd is None:
                return
            stack.callback(os.close, fd)
        files.remove(home)


def _take(home: Path) -> tuple[Path, int]:
    number = 0
    while (fd := files.hold(home / str(number) / "lock")) is None:
        number += 1
    return home / str(number), fd
