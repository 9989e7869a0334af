"""One hook in front of another: ours in a slot, and the hook that stood there kept beside it, the very same file.

At no moment is the kept hook neither in its place nor kept, and after a kill at any instruction the next call goes on.
"""

import os
from pathlib import Path

from homelab.install import shim
from homelab.system import files

_KEPT = ".homelab-next"


def following(folder: Path, hook: str) -> Path:
    """Return where the hook is kept that ours runs when the gate is content."""
    return folder / f"{hook}{_KEPT}"


def word(hook: str) -> bytes:
    """Return the word of sh that names the kept hook from ours, wherever the clone or the slot has moved."""
    return b'${0%/*}/"' + f"{hook}{_KEPT}".encode() + b'"'


def put(state: Path, slot: Path, kept: Path, content: bytes) -> None:
    """Ours stands at `slot`; a foreign hook that stood there is at `kept`, the very same file."""
    if shim.owner(slot) not in (None, "homelab"):
        if os.path.lexists(kept) and not _is_one_file(slot, kept):
            set_aside(kept)
        if not os.path.lexists(kept):
            # A second name first: at no moment is the hook neither in its place nor kept.
            os.link(slot, kept, follow_symlinks=False)
    # Not beside it: a temporary file that a kill leaves there would be one more thing to restore.
    files.replace(slot, content, mode=0o755, by_way_of=state)


def _is_one_file(one: Path, other: Path) -> bool:
    a, b = one.lstat(), other.lstat()
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def set_aside(path: Path) -> None:
    """What no longer belongs to the chain keeps its content under a free name."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.{number}")):
        number += 1
    path.rename(kept)


def take_out(slot: Path, kept: Path) -> None:
    """Ours is gone from `slot`, and the hook that it kept is back there."""
    if shim.owner(slot) != "homelab":
        if os.path.lexists(kept) and os.path.lexists(slot) and _is_one_file(slot, kept):
            kept.unlink()  # an install that was killed between its two steps
        return
    if os.path.lexists(kept):
        kept.rename(slot)
    else:
        slot.unlink()
