"""Claims and tickets as JSON records. A record that cannot be understood is a damaged claim, never an absent one.

Others may write to a shared store, so every field is checked here, once, and nothing behind it has to doubt a record.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from homelab.claims import labels, model
from homelab.claims.model import Binding, Claim, Holder, Mode, Ticket
from homelab.errors import Usage
from homelab.system.clock import Deadline
from homelab.system.proc import Process

VERSION = 1

_T = TypeVar("_T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INTEGER = 2**63 - 1
# The end of the calendar that `datetime` knows, less a day for time zones.
_LATEST = datetime(9999, 12, 30).timestamp()
_NOBODY = Holder("?", "?", "?", 0)


def claim_document(claim: Claim) -> dict[str, Any]:
    """Return what every store keeps of a claim: what listings show, less what changes by itself, and what only stores need."""
    shown = claim.document()
    for name in ("state", "expires_at", "waiting"):
        del shown[name]
    keeper = claim.keeper
    return {
        "v": VERSION,
        "id": claim.id,
        **shown,
        "holder": _holder_document(claim.holder),
        "duration": claim.duration,
        "fixed": claim.fixed,
        "keeper": keeper and {"pid": keeper.pid, "start": keeper.start, "boot": keeper.boot},
        "outer": list(claim.outer),
    }


def ticket_document(ticket: Ticket) -> dict[str, Any]:
    """Return what any store keeps of a place in a queue."""
    return {
        "v": VERSION,
        "id": ticket.id,
        "number": ticket.number,
        "label": ticket.label,
        "mode": ticket.mode,
        "holder": _holder_document(ticket.holder),
        "purpose": ticket.purpose,
        "since": ticket.since,
    }


def _holder_document(holder: Holder) -> dict[str, Any]:
    return {**holder.document(), **({"key": holder.key} if holder.key else {})}


def parse(content: bytes | str) -> tuple[dict[str, Any], str | None]:
    """Return a record's document, and what is wrong with it."""
    try:
        document = json.loads(content, parse_int=_short)
    except (ValueError, RecursionError):
        return {}, "it is not whole JSON"
    if not isinstance(document, dict):
        return {}, "it is not a record"
    return document, _version_problem(document)


def _short(digits: str) -> int | None:
    # Python refuses to convert thousands of digits. One such field must not make the whole record unreadable.
    return int(digits) if len(digits) < 20 else None


def _version_problem(document: dict[str, Any]) -> str | None:
    version = document.get("v")
    if isinstance(version, int) and version > VERSION:
        return model.NEWER
    return None if version == VERSION else "it says no version"


def sound_claim(document: dict[str, Any], unreadable: str | None) -> tuple[Claim | None, str]:
    """Return the claim that a record says, or None and what is wrong with it."""
    return _sound(_claim, document, unreadable)


def sound_ticket(document: dict[str, Any], unreadable: str | None = None) -> tuple[Ticket | None, str]:
    """Return the ticket that a record says, or None and what is wrong with it."""
    return _sound(_ticket, document, unreadable)


def _sound(read: Callable[[dict[str, Any]], _T], document: dict[str, Any], unreadable: str | None) -> tuple[_T | None, str]:
    wrong = unreadable or _version_problem(document)
    if wrong is None:
        try:
            return read(document), ""
        except (KeyError, TypeError, ValueError, OverflowError, Usage):
            wrong = "parts of it are missing or make no sense"
    return None, wrong


def read_claim(content: bytes, id: str, label: str) -> tuple[Claim, Deadline | None, bool]:
    """Return the claim, its deadline and whether it is one of a group. One that makes no sense is damaged."""
    document, unreadable = parse(content)
    found, wrong = sound_claim(document, unreadable)
    if found is not None and (found.id, found.label) != (id, label):
        found, wrong = None, "it speaks of another claim than its name"
    if found is not None:
        try:
            deadline = _deadline(document["deadline"]) if found.binding is Binding.LEASE else None
            return found, deadline, bool(document.get("group"))
        except (KeyError, TypeError, ValueError, OverflowError):
            wrong = "when it ends is missing or makes no sense"
    return damaged(id, label, wrong), None, False


def damaged(id: str, label: str, why: str) -> Claim:
    """Return the claim that represents a record which cannot be understood."""
    purpose = f"(its record is damaged: {why})"
    return Claim(id, label, Mode.EXCLUSIVE, Binding.LEASE, purpose, _NOBODY, 0, "1970-01-01T00:00:00Z", None, damaged=why)


def pids(found: Any) -> tuple[int, ...]:
    """Return the processes that a record lists, those that can be some."""
    return tuple(pid for pid in found if type(pid) is int and 0 < pid < 2**31) if isinstance(found, list) else ()


def _claim(document: dict[str, Any]) -> Claim:
    duration, outer = document["duration"], document["outer"]
    if not isinstance(outer, list):
        raise TypeError("no list")
    return Claim(
        id=_id(document["id"]),
        label=labels.label(_text(document["label"])),
        mode=Mode(_text(document["mode"])),
        binding=Binding(_text(document["binding"])),
        purpose=_text(document["purpose"]),
        holder=_holder(document["holder"]),
        fence=_integer(document["fence"]),
        claimed_at=_moment(document["claimed_at"]),
        expires_at=None,
        duration=None if duration is None else _integer(duration),
        fixed=bool(document["fixed"]),
        keeper=_process(document["keeper"]),
        outer=tuple(map(_id, outer)),
    )


def _ticket(document: dict[str, Any]) -> Ticket:
    return Ticket(
        _id(document["id"]), _integer(document["number"]), labels.label(_text(document["label"])),
        Mode(_text(document["mode"])), _holder(document["holder"]), _text(document["purpose"]), _moment(document["since"]),
    )  # fmt: skip


def _holder(document: dict[str, Any]) -> Holder:
    user, host, session = (_text(document[name]) for name in ("user", "host", "session"))
    return Holder(user, host, session, _integer(document["pid"]), _text(document.get("key", "")))


def _process(document: dict[str, Any] | None) -> Process | None:
    if document is None:
        return None
    return Process(_integer(document["pid"]), _integer(document["start"]), _text(document["boot"]))


def _deadline(document: dict[str, Any]) -> Deadline:
    found = Deadline.read(document)
    if not (0 <= found.wall < _LATEST and abs(found.boottime) < _LATEST / 2):  # false for NaN too
        raise ValueError("outside of the calendar")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _id(value: Any) -> str:
    # It becomes part of a file's name.
    if not _ID.fullmatch(_text(value)):
        raise ValueError("no id")
    return str(value)


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _INTEGER:
        raise ValueError("no number")
    return value


def _moment(value: Any) -> str:
    if not abs(datetime.fromisoformat(_text(value)).timestamp()) < _LATEST:
        raise ValueError("outside of the calendar")
    return str(value)
