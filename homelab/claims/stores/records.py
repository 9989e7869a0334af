"""Claims and tickets as JSON records. A record that cannot be understood is a damaged claim, never an absent one."""

import json
from typing import Any

from homelab.claims.model import EXCLUSIVE, LEASED, MODES, PROCESS, Claim, Holder, Ticket
from homelab.system.clock import Deadline
from homelab.system.proc import Process

VERSION = 1


def holder(document: dict[str, Any]) -> Holder:
    """Return the holder that a record names."""
    return Holder(str(document["user"]), str(document["host"]), str(document["session"]), int(document["pid"]))


def process(document: dict[str, Any] | None) -> Process | None:
    """Return the process that a record names."""
    return Process(int(document["pid"]), int(document["start"]), str(document["boot"])) if document else None


def claim_document(claim: Claim) -> dict[str, Any]:
    """Return what any store keeps of a claim; when it ends is the store's to say."""
    keeper = claim.keeper
    return {
        "v": VERSION,
        "id": claim.id,
        "label": claim.label,
        "mode": claim.mode,
        "binding": claim.binding,
        "purpose": claim.purpose,
        "holder": claim.holder.document(),
        "fence": claim.fence,
        "claimed_at": claim.claimed_at,
        "duration": claim.duration,
        "fixed": claim.fixed,
        "keeper": keeper and {"pid": keeper.pid, "start": keeper.start, "boot": keeper.boot},
        "outer": list(claim.outer),
    }


def claim(document: dict[str, Any]) -> Claim:
    """Return the claim that a record says, without its end. Raises `KeyError`, `TypeError`, `ValueError`."""
    if document["mode"] not in MODES or document["binding"] not in (LEASED, PROCESS):
        raise ValueError("its mode or binding is none that exists")
    return Claim(
        id=str(document["id"]),
        label=str(document["label"]),
        mode=document["mode"],
        binding=document["binding"],
        purpose=str(document["purpose"]),
        holder=holder(document["holder"]),
        fence=int(document["fence"]),
        claimed_at=str(document["claimed_at"]),
        expires_at=None,
        duration=None if document["duration"] is None else int(document["duration"]),
        fixed=bool(document["fixed"]),
        keeper=process(document["keeper"]),
        outer=tuple(map(str, document["outer"])),
    )


def ticket_document(ticket: Ticket) -> dict[str, Any]:
    """Return what any store keeps of a place in a queue."""
    return {
        "v": VERSION,
        "id": ticket.id,
        "number": ticket.number,
        "label": ticket.label,
        "mode": ticket.mode,
        "holder": ticket.holder.document(),
        "purpose": ticket.purpose,
        "since": ticket.since,
    }


def ticket(document: dict[str, Any]) -> Ticket:
    """Return the ticket that a record says. Raises `KeyError`, `TypeError`, `ValueError`."""
    return Ticket(
        str(document["id"]), int(document["number"]), str(document["label"]), str(document["mode"]),
        holder(document["holder"]), str(document["purpose"]), str(document["since"]),
    )  # fmt: skip


def parse(content: bytes) -> tuple[dict[str, Any], str | None]:
    """Return a record's document, and what is wrong with it."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}, "it is not whole JSON"
    if not isinstance(document, dict):
        return {}, "it is not a record"
    return document, _version_problem(document)


def sound_claim(document: dict[str, Any], unreadable: str | None = None) -> tuple[Claim | None, str]:
    """Return the claim that a record says, or None and what is wrong with it."""
    wrong = unreadable or _version_problem(document)
    if wrong is None:
        try:
            return claim(document), ""
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            wrong = "parts of it are missing or make no sense"
    return None, wrong


def _version_problem(document: dict[str, Any]) -> str | None:
    version = document.get("v")
    if isinstance(version, int) and version > VERSION:
        return "it was made by a newer homelab"
    return None if version == VERSION else "it says no version"


def read_claim(content: bytes, id: str, label: str) -> tuple[Claim, Deadline | None, bool]:
    """Return the claim, its deadline and whether it is one of a group; one that makes no sense is damaged."""
    document, unreadable = parse(content)
    found, wrong = sound_claim(document, unreadable)
    if found is not None and (found.id, found.label) != (id, label):
        found, wrong = None, "it speaks of another claim than its name"
    if found is not None:
        try:
            deadline = Deadline.read(document["deadline"]) if found.binding == LEASED else None
            return found, deadline, bool(document.get("group"))
        except (KeyError, TypeError, ValueError, OverflowError):
            wrong = "when it ends is missing or makes no sense"
    return damaged(id, label, wrong), None, False


def damaged(id: str, label: str, why: str) -> Claim:
    """Return the claim that stands for a record which cannot be understood."""
    nobody = Holder("?", "?", "?", 0)
    purpose = f"(its record is damaged: {why})"
    return Claim(id, label, EXCLUSIVE, LEASED, purpose, nobody, 0, "1970-01-01T00:00:00Z", None, damaged=why)
