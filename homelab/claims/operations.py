"""Taking and releasing claims on someone's behalf: the store is found, who is in the way is told, nothing is half done."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from homelab import output
from homelab.claims import identity, locate, renewal, words
from homelab.claims.model import EXCLUSIVE, LEASED, PROCESS, Blocked, Claim, Holder, Request
from homelab.claims.stores.base import Store
from homelab.claims.stores.ledger import Taken
from homelab.errors import Busy, Refused
from homelab.system.identity import new_id


def store() -> Store:
    """Return the store that claims are kept in here; the session's leases in it have been renewed."""
    found = locate.open(locate.url())
    renewal.within(found)
    return found


def take(store: Store, request: Request, wait: float | None) -> Taken:
    """Return what the request got. Raises `Busy` with who is in the way, after `wait` seconds in the queue."""
    request = replace(request, inside=store.inside(identity.claim_id()))
    found = store.attempt(request) if wait is None else store.wait(request, wait)
    if isinstance(found, Taken):
        if request.binding == LEASED:
            renewal.note(store.url, [claim for claim in found.claims if not claim.fixed])
        return found
    raise _in_the_way(found, waited=wait is not None)


def _in_the_way(found: Blocked, *, waited: bool) -> Refused | Busy:
    fields = {
        "blockers": [claim.document() for claim in found.claims],
        "waiting": [ticket.document() for ticket in found.tickets],
    }
    damaged = [claim for claim in found.claims if claim.damaged is not None]
    if damaged:
        return Refused(words.damage(damaged[0]), hint=words.steal_hint(damaged[0]), fields=fields)
    hint = (
        "`homelab claims` shows the queue"
        if waited
        else "add `--wait 15m` to queue for it, `homelab claims` shows who holds what"
    )
    return Busy(words.blocked(found), hint=hint, next="homelab claims", fields=fields)


@contextlib.contextmanager
def holding(labels: Sequence[str], purpose: str, wait: float | None) -> Iterator[Taken]:
    """The labels are ours while the block runs, and no longer than this process lives. Raises `Busy`, `Unreachable`."""
    request = Request(new_id(), tuple(labels), EXCLUSIVE, PROCESS, purpose, identity.holder())
    with contextlib.closing(store()) as place:
        taken = take(place, request, wait)
        beating = None
        if taken.new and place.patience:
            from homelab.claims import heartbeat

            beating = heartbeat.Heart(
                place.url, request.id, labels, lambda _: output.warn(f"the claim on {', '.join(labels)} is lost")
            )
            beating.start()
        try:
            yield taken
        finally:
            if beating is not None:
                beating.stop()
            if taken.new:
                place.end(request.id, [claim.label for claim in taken.new])


def release(store: Store, labels: Sequence[str], holder: Holder, *, all: bool) -> list[Claim]:
    """The session's leases on the labels, or all of them, are released; return them. Raises `Refused`."""
    if all:
        own = [claim for claim in store.board() if claim.binding == LEASED and claim.holder.is_same(holder)]
        labels = sorted({claim.label for claim in own})
    return store.release(sorted(labels), holder) if labels else []


def renew(store: Store, labels: Sequence[str], holder: Holder) -> list[Claim]:
    """The session's leases on the labels, or all of them, last for their duration from now; return them.

    Raises `Busy` when a named one is someone else's by now, `Refused` when it has ended.
    """
    board = store.board()
    own = sorted({claim.label for claim in board if claim.binding == LEASED and claim.holder.is_same(holder)})
    for label in labels:
        if label not in own:
            standing = [claim for claim in board if claim.label == label]
            if standing:
                raise _in_the_way(Blocked(tuple(standing)), waited=False)
            raise Refused(f"this session holds no lease on {label}", hint=f"`homelab claim {label} --purpose TEXT` takes one")
    wanted = list(labels) or own
    return store.renew(wanted, holder, all=True) if wanted else []


def steal(store: Store, request: Request, reason: str, *, force: bool) -> tuple[Claim, list[Claim]]:
    """The label is the request's; return its claim and those that were taken. Raises `Refused`."""
    claim, gone = store.steal(request, reason, force=force)
    renewal.note(store.url, [claim])
    return claim, gone
