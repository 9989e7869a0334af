"""Taking and giving back claims on someone's behalf: find the store, say who is in the way, leave nothing half done."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from homelab import output
from homelab.claims import identity, locate, model, render, renewal, waiting
from homelab.claims.model import Binding, Blocked, Claim, Holder, Mode, Request
from homelab.claims.stores.base import HeartbeatStore, Store, Taken
from homelab.errors import Busy, HomelabError, Refused
from homelab.system.identity import new_id


def store() -> Store:
    """Return the store that claims are kept in here, after renewing the session's leases in it."""
    found = locate.open(locate.url())
    renewal.renew_in(found)
    return found


def request(
    store: Store,
    labels: Sequence[str],
    mode: Mode,
    binding: Binding,
    purpose: str,
    duration: int | None = None,
    *,
    nested: bool = False,
) -> Request:
    """Return the request that we make of a store, with our identity in it."""
    holder = identity.holder(one_machine=store.one_machine)
    inside = store.inside(identity.claim_id())
    return Request(new_id(), tuple(labels), mode, binding, purpose, holder, duration, inside, nested=nested)


def take(store: Store, request: Request, wait: float | None) -> Taken:
    """Return what the request got. Raises `Busy` with who is in the way, after `wait` seconds in the queue."""
    if wait is None:
        found = store.attempt(request)
    else:
        with waiting.shown(wait) as tell:
            found = store.wait(request, wait, tell)
    if isinstance(found, Blocked):
        raise _in_the_way(found, waited=wait is not None)
    for old in found.before:
        if old.holder.host != request.holder.host:
            where = output.line(old.holder.host)
            output.warn(
                f"{old.label} was leased on {where}: if that was somebody else, tell yourselves apart by HOMELAB_SESSION"
            )
    if request.mode is Mode.ADVISORY:
        for claim in beside(store, request):
            output.say(f"also there: {render.held(claim)}")
    if request.binding is Binding.LEASE:
        renewal.note(store.url, [claim for claim in found.claims if not claim.fixed])
    return found


def held_by_others(store: Store) -> list[str]:
    """Return a sentence for each claim that is not the session's own."""
    holder = identity.holder(one_machine=store.one_machine)
    return [render.held(claim) for claim in store.board() if not claim.holder.is_same(holder)]


def beside(store: Store, request: Request) -> list[Claim]:
    """Return the claims of others on the labels of a request."""
    return [claim for claim in store.look().of(request.labels).claims if not claim.holder.is_same(request.holder)]


def require_free(store: Store, request: Request) -> None:
    """Check that nobody else holds what a request names, or what is around or below it. Raises `Busy`."""
    board = store.look()
    found = [claim for claim in board.of(request.labels).claims if model.keeps_out(claim, request)]
    if found := [*found, *model.nearby(request, board.claims)]:
        raise _in_the_way(Blocked(tuple(found)), waited=True)


def _in_the_way(found: Blocked, *, waited: bool) -> Refused | Busy:
    fields = {
        "blockers": [claim.document() for claim in found.claims],
        "waiting": [ticket.document() for ticket in found.tickets],
    }
    damaged = [claim for claim in found.claims if claim.damaged is not None]
    if damaged:
        return Refused(render.damage(damaged[0]), hint=render.steal_hint(damaged[0]), fields=fields)
    hint = (
        "`homelab claims` shows the queue"
        if waited
        else "add `--wait 15m` to queue for it, `homelab claims` shows who holds what"
    )
    return Busy(render.blocked(found), hint=hint, next="homelab claims", fields=fields)


@contextlib.contextmanager
def holding(labels: Sequence[str], purpose: str, wait: float | None) -> Iterator[Taken]:
    """Hold the labels for the block, and no longer than this process lives. Raises `Busy`, `Unreachable`."""
    with contextlib.closing(store()) as place:
        asked = request(place, labels, Mode.EXCLUSIVE, Binding.PROCESS, purpose)
        taken = take(place, asked, wait)
        beating = None
        if taken.new and isinstance(place, HeartbeatStore):
            from homelab.claims import heartbeat

            lost = f"the claim on {', '.join(labels)} is lost"
            connect = partial(locate.reopen, place.url)
            beating = heartbeat.Heart(connect, place.patience, asked.id, labels, lambda _: output.warn(lost))
            beating.start()
        try:
            yield taken
        finally:
            if beating is not None:
                beating.stop()
            if taken.new:
                place.end(asked.id, [claim.label for claim in taken.new])


def give_back(store: Store, labels: Sequence[str] | None) -> list[Claim]:
    """Free the session's leases on the labels, or all of them, and return them. Raises `Refused`, and then none is freed."""
    holder = identity.holder(one_machine=store.one_machine)
    labels = _leased(store.board(), holder) if labels is None else labels
    found = store.drop_leases(sorted(labels), holder) if labels else []
    if isinstance(found, Blocked):
        raise _not_releasable(found.claims[0], holder)
    return found


def _leased(board: Sequence[Claim], holder: Holder) -> list[str]:
    return sorted({claim.label for claim in board if claim.is_lease_of(holder)})


def prolong(store: Store, labels: Sequence[str]) -> list[Claim]:
    """Let the session's leases on the labels, or all of them, last for their duration from now. Return them.

    Raises `Busy` when a named one is someone else's by now, `Refused` when it has ended.
    """
    board, holder = store.board(), identity.holder(one_machine=store.one_machine)
    own = _leased(board, holder)
    for label in labels:
        if label not in own:
            standing = [claim for claim in board if claim.label == label]
            if standing:
                raise _in_the_way(Blocked(tuple(standing)), waited=False)
            raise Refused(f"this session holds no lease on {label}", hint=f"`homelab claim {label} --purpose TEXT` takes one")
    wanted = list(labels) or own
    return store.extend_leases(wanted, holder, fixed=True) if wanted else []


def seize(store: Store, request: Request, reason: str, *, force: bool) -> tuple[Claim, list[Claim]]:
    """Take the request's label from whoever holds it. Return its claim and those that were taken. Raises `Refused`."""
    found = store.grant_instead(request, reason, force=force)
    if isinstance(found, Blocked):
        raise _not_takeable(found.claims[0])
    renewal.note(store.url, [found[0]])
    return found


def override(label: str, purpose: str, reason: str) -> None:
    """Tell the history that somebody acts without the claim; warn where it cannot be told."""
    try:
        found = store()
        holder = identity.holder(one_machine=found.one_machine).document()
        event = {"event": "overridden", "label": label, "fence": None, "purpose": purpose}
        found.record({**event, "holder": holder, "by": holder, "reason": reason})
    except HomelabError as error:
        output.warn(f"the history does not know of it: {error.message}")


def _not_releasable(claim: Claim, holder: Holder) -> Refused:
    if claim.damaged is not None:
        return Refused(render.damage(claim), hint=render.steal_hint(claim))
    if claim.holder.is_same(holder):
        hint = "it is free when the command ends; `homelab claims` shows who keeps it"
        return Refused(f"{claim.label} is held by a command that still runs{render.pids(claim)}", hint=hint)
    return Refused(f"{render.held(claim)}: it is not yours to release", hint=render.steal_hint(claim))


def _not_takeable(claim: Claim) -> Refused:
    if claim.damaged is not None:
        return Refused(render.damage(claim), hint="install the newer homelab and run it again")
    hint = f"wait for it, or take it all the same with `homelab claims steal {claim.label} --reason TEXT --force`"
    return Refused(f"{render.held(claim)}, and its command still runs{render.pids(claim)}", hint=hint)
