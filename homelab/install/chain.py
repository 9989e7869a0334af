"""One hook in front of another: ours in a slot, and the hook that was there kept beside it, the very same file.

The kept hook is called by its own name, through a link in a folder of ours: dispatchers go by ``basename "$0"``. At no
moment is it neither in its place nor kept, and after a kill at any instruction the next call goes on.
"""

import contextlib
import os
from pathlib import Path

from homelab.install import shim
from homelab.system import files

_KEPT = ".homelab-next"
_DOOR = "homelab-next"


def following(folder: Path, hook: str) -> Path:
    """Return where the former hook is kept, which ours runs once it lets the push pass."""
    return folder / f"{hook}{_KEPT}"


def word(hook: str) -> bytes:
    """Return the word of sh that calls the kept hook from ours, wherever the clone or the slot has moved."""
    return b'${0%/*}/"' + f"{_DOOR}/{hook}".encode() + b'"'


def put(state: Path, slot: Path, kept: Path, content: bytes) -> None:
    """Install our hook at `slot`; keep a foreign hook that was there at `kept` (same inode)."""
    if shim.owner(slot) not in (None, "homelab"):
        if os.path.lexists(kept) and not _is_one_file(slot, kept):
            set_aside(kept)
        if not os.path.lexists(kept):
            # A second name first: at no moment is the hook neither in its place nor kept.
            os.link(slot, kept, follow_symlinks=False)
    if os.path.lexists(kept):
        _open_door(kept)
    # Not beside it: a temporary file that a kill leaves there would be one more thing to restore.
    files.replace(slot, content, mode=0o755, by_way_of=state)


def _open_door(kept: Path) -> None:
    """Make the folder in which the kept hook has its own name, and its neighbours theirs (``. "$(dirname "$0")/husky.sh"``)."""
    door = kept.parent / _DOOR
    door.mkdir(exist_ok=True)
    own = kept.name.removesuffix(_KEPT)
    targets = {path.name: path.name for path in kept.parent.iterdir() if not _is_ours(path)}
    for name, target in {**targets, own: kept.name}.items():
        with contextlib.suppress(FileExistsError):
            (door / name).symlink_to(Path("..", target))


def _is_ours(path: Path) -> bool:
    return path.name == _DOOR or _KEPT in path.name or path.suffix == ".sample" or shim.owner(path) == "homelab"


def close_door(folder: Path) -> None:
    """Remove the links, and the folder unless somebody put something of theirs into it."""
    door = folder / _DOOR
    for link in door.iterdir() if door.is_dir() else ():
        if link.is_symlink():
            link.unlink()
    with contextlib.suppress(OSError):
        door.rmdir()


def _is_one_file(one: Path, other: Path) -> bool:
    a, b = one.lstat(), other.lstat()
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def set_aside(path: Path) -> None:
    """Rename what no longer belongs to the chain to a free name."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.{number}")):
        number += 1
    path.rename(kept)


def take_out(slot: Path, kept: Path) -> None:
    """Remove our hook from `slot`, and put the hook back there that it kept."""
    if shim.owner(slot) != "homelab":
        if os.path.lexists(kept) and os.path.lexists(slot) and _is_one_file(slot, kept):
            kept.unlink()  # an install that was killed between its two steps
    elif os.path.lexists(kept):
        kept.rename(slot)
    else:
        slot.unlink()
    if not os.path.lexists(kept):
        close_door(slot.parent)
