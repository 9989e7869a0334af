"""What a push carries: ref updates, read from git's own stdin or from the variables that pre-commit and prek set.

A source may contain spaces and newlines (``:/bad commit``), so a line is read as bytes and from its right end.
"""

from collections.abc import Mapping
from typing import NamedTuple

from homelab.errors import Refused

_HEADS = "refs/heads/"


class Create(NamedTuple):
    """A ref that the remote does not have."""

    ref: str
    new: str


class Update(NamedTuple):
    """A ref that moves from what the remote has."""

    ref: str
    old: str
    new: str


class Delete(NamedTuple):
    """A ref that is to go."""

    ref: str
    old: str


RefUpdate = Create | Update | Delete


def branch(update: RefUpdate) -> str | None:
    """Return the branch's name, or None where another kind of ref is updated."""
    return update.ref.removeprefix(_HEADS) if update.ref.startswith(_HEADS) else None


def old(update: RefUpdate) -> str | None:
    """Return what the remote's ref has before the push, or None where it has no such ref."""
    return None if isinstance(update, Create) else update.old


def _is_oid(field: bytes) -> bool:
    return len(field) in (40, 64) and not field.strip(b"0123456789abcdef")


def _is_zero(field: bytes) -> bool:
    return not field.strip(b"0")


def moved(ref: str, old: str | None, new: str) -> RefUpdate:
    """Return the update that brings a ref from `old`, or from nothing, to `new`."""
    return Update(ref, old, new) if old else Create(ref, new)


def read(stdin: bytes) -> tuple[RefUpdate, ...]:
    """Return the updates of a push as git writes them for pre-push. Raises `Refused` when a line cannot be understood.

    A source with a newline splits its record; all but the record's last line belong to the source and are passed over,
    since only a line that ends in OID REF OID is a record.
    """
    updates: list[RefUpdate] = []
    pending = False
    for line in stdin.split(b"\n"):
        if not line and not pending:
            continue
        fields = line.rsplit(b" ", 3)
        if len(fields) == 4 and _is_oid(fields[1]) and _is_oid(fields[3]) and fields[2].startswith(b"refs/"):
            updates.append(_update(fields[2], fields[3], fields[1]))
            pending = False
        else:
            pending = True
    if pending and stdin.strip():
        raise Refused(
            "the push could not be read: git handed over a line that is no ref update",
            hint="push the branches by their plain names: `git push REMOTE BRANCH`",
        )
    return tuple(updates)


def received(stdin: bytes) -> tuple[RefUpdate, ...]:
    """Return the updates as git writes them for pre-receive: ``OLD NEW REF``. Raises `Refused`."""
    updates = []
    for line in stdin.splitlines():
        fields = line.split(b" ", 2)
        if len(fields) != 3 or not _is_oid(fields[0]) or not _is_oid(fields[1]):
            raise Refused("the push could not be read", hint="push the branches by their plain names")
        updates.append(_update(fields[2], fields[0], fields[1]))
    return tuple(updates)


def _update(ref: bytes, old: bytes, new: bytes) -> RefUpdate:
    name = ref.decode("utf-8", "surrogateescape")
    if _is_zero(new):
        return Delete(name, old.decode())
    if _is_zero(old):
        return Create(name, new.decode())
    return Update(name, old.decode(), new.decode())


class Framework(NamedTuple):
    """The one ref that pre-commit or prek tells a hook of; `source` is what was pushed, as it was given."""

    ref: str
    source: str
    remote: str


def from_framework(environ: Mapping[str, str]) -> Framework | None:
    """Return what pre-commit's variables say of a push, or None outside a pre-push."""
    ref = environ.get("PRE_COMMIT_REMOTE_BRANCH")
    if not ref:
        return None
    source = environ.get("PRE_COMMIT_TO_REF") or environ.get("PRE_COMMIT_LOCAL_BRANCH") or "HEAD"
    return Framework(ref, source, environ.get("PRE_COMMIT_REMOTE_NAME", ""))
