"""Claims in PostgreSQL, for many machines: records in a table, the server's clock, exclusion by transaction locks.

Invariant: a claim is decided on and changed in one transaction that holds its label, so it works behind a pooler, and the
history has the event or nothing has happened. A command's claim lives by its keeper's heartbeat.
"""

import contextlib
import json
import math
import select
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homelab.claims.model import Binding, Blocked, Board, Claim, State, Ticket, with_queue
from homelab.claims.stores import connection as server
from homelab.claims.stores import records
from homelab.claims.stores.base import BEATS, HeartbeatStore
from homelab.errors import Refused, Unreachable

if TYPE_CHECKING:
    import psycopg

#: How long a command's claim lives after the last heartbeat, and a waiter's ticket after its last look, in seconds.
PATIENCE = 30.0
_WAITER = 5.0
# A waiter is told when it is its turn; behind a pooler, which drops that, it looks by itself.
_LOOK = 1.0
_CHANNEL = "homelab_claims"


def connect(url: str) -> "PostgresStore":
    """Return the store. Raises `Unreachable` within four seconds, `Refused` when the schema is another homelab's."""
    store = PostgresStore(url)
    with store.session() as connection:
        version = connection.execute("SELECT homelab.version()").fetchone()
    if version is None or version[0] != records.VERSION:
        raise Refused("the claim store's schema was made by a newer homelab", hint="install the newer homelab")
    return store


def create_schema(url: str, grant: str | None) -> str:
    """Create or renew the schema, let the role `grant` execute its functions, and return the store's name."""
    schema = Path(__file__).with_name("schema.sql").read_text("utf-8")
    store = PostgresStore(url)
    with store.session() as connection, connection.transaction():
        from psycopg import sql

        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":  # only there does a purpose or a path in any script fit
            hint = "create one with `createdb --template=template0 --encoding=UTF8 NAME` and name it"
            raise Refused(f"the database {connection.info.dbname} has the encoding {encoding}, claims need UTF8", hint=hint)
        owner = connection.execute(
            "SELECT pg_get_userbyid(nspowner), current_user FROM pg_namespace WHERE nspname = 'homelab'"
        ).fetchone()
        if owner and owner[0] != owner[1]:  # its functions and triggers would run with the rights of whoever comes now
            words = f"the schema homelab of {connection.info.dbname} belongs to {owner[0]}"
            raise Refused(words, hint=f"run it as {owner[0]}, or drop the schema if it is not the claim store")
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('homelab.schema', 0))")
        connection.execute(schema.encode())
        if grant is not None:
            role = sql.Identifier(grant)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA homelab TO {}").format(role))
            connection.execute(sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA homelab TO {}").format(role))
    return store.name


class PostgresStore(HeartbeatStore):
    """Claims in the schema `homelab` of a database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.patience = PATIENCE
        self._connection: psycopg.Connection[Any] | None = None
        self._listening = False
        self._woken: set[str] = set()

    @property
    def name(self) -> str:
        """The database and its host, for people."""
        info = self._connection.info if self._connection else None
        return f"the database {info.dbname} on {info.host or 'this machine'}" if info else "a database"

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @contextlib.contextmanager
    def session(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection that answers in time. Raises `Unreachable` or `Refused`."""
        with server.in_words(self.url):
            connection = self._connected()
            with server.answering(connection):
                yield connection

    def _connected(self) -> "psycopg.Connection[Any]":
        connection = self._connection
        if connection is not None and not connection.closed and not server.is_stale(connection):
            return connection
        self._connection = connection = server.dial(self.url)
        self._listening = False
        connection.add_notify_handler(lambda notify: self._woken.add(notify.payload))
        return connection

    @contextlib.contextmanager
    def transaction(self, labels: Collection[str]) -> Iterator["_Rows"]:
        """Hold the labels' transaction locks for the block."""
        with self.session() as connection, connection.transaction():
            yield _Rows(connection, labels)

    def look(self) -> Board:
        """Return all that is claimed and waited for."""
        with self.session() as connection:
            rows = connection.execute("SELECT kind, record::text, ends, seconds FROM homelab.board()").fetchall()
        return with_queue(*_sort(rows))

    def events(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events, oldest first."""
        with self.session() as connection:
            rows = connection.execute("SELECT homelab.history(%s)::text", [label]).fetchall()
        return [event for (text,) in rows if (event := records.parse(text)[0])]

    def record(self, document: dict[str, Any]) -> None:
        """Append an event to the history."""
        with self.session() as connection:
            connection.execute("SELECT homelab.tell(%s)", [json.dumps(document)])

    def beat(self, id: str, state: str, pids: Sequence[int]) -> list[str]:
        """Let a command's claims live on. Return the labels that still are its."""
        with self.session() as connection:
            rows = connection.execute("SELECT homelab.beat(%s, %s, %s, %s)", [id, self.patience, state, list(pids)])
            return [row[0] for row in rows.fetchall()]

    def grasp(self, id: str) -> None:
        """Do nothing: heartbeats prove who lives."""

    def let_go(self, id: str) -> None:
        """Do nothing: a claim without heartbeats ends by itself."""

    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        with self.session() as connection:
            if not self._listening:
                connection.execute(f"LISTEN {_CHANNEL}")
                self._listening = True
            connection.execute("SELECT homelab.stay(%s, %s)", [ticket, _WAITER])
        ends = [claim.left for claim in blocked.claims if claim.binding is Binding.LEASE and claim.left]
        again = min([until, time.monotonic() + _LOOK, *(time.monotonic() + left for left in ends)])
        while ticket not in self._woken and (left := again - time.monotonic()) > 0:
            if select.select([connection.fileno()], [], [], left)[0]:
                with self.session() as connection:
                    connection.execute("SELECT 1")  # hands arrived calls to our handler
        self._woken.clear()


class _Rows:
    """The records of some labels, which the transaction holds: a `Ledger`."""

    def __init__(self, connection: "psycopg.Connection[Any]", labels: Collection[str]) -> None:
        self._connection = connection
        query = "SELECT kind, record::text, ends, seconds, moment FROM homelab.enter(%s)"
        rows = connection.execute(query, [list(labels)]).fetchall()
        self._claims, tickets = _sort(row[:4] for row in rows)
        self._tickets = sorted(tickets, key=lambda ticket: ticket.number)
        self._moment = str(rows[-1][-1])

    def claims(self, label: str) -> list[Claim]:
        return [claim for claim in self._claims if claim.label == label]

    def tickets(self, label: str) -> list[Ticket]:
        return [ticket for ticket in self._tickets if ticket.label == label]

    def number(self) -> int:
        row = self._connection.execute("SELECT homelab.next_number()").fetchone()
        assert row is not None
        return int(row[0])

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        # A command's claim stands until its keeper's heartbeats end.
        document = records.claim_document(claim)
        row = self._connection.execute("SELECT homelab.put(%s, %s)", [json.dumps(document), seconds or PATIENCE]).fetchone()
        assert row is not None
        return claim._replace(expires_at=row[0] if claim.binding is Binding.LEASE else None, left=seconds)

    def remove(self, claim: Claim) -> None:
        # The server wakes the first in the queue.
        self._connection.execute("SELECT homelab.remove(%s, %s)", [claim.label, claim.id])

    def enqueue(self, ticket: Ticket) -> None:
        self._connection.execute("SELECT homelab.enqueue(%s, %s)", [json.dumps(records.ticket_document(ticket)), _WAITER])

    def dequeue(self, ticket_id: str, label: str) -> None:
        self._connection.execute("SELECT homelab.dequeue(%s, %s)", [label, ticket_id])

    def event(self, document: dict[str, Any]) -> None:
        self._connection.execute("SELECT homelab.tell(%s)", [json.dumps(document)])

    def now(self) -> str:
        return self._moment


def _sort(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Claim], list[Ticket]]:
    """Return the claims and the tickets that rows hold. Raises `Unreachable` on any other row.

    A row that nobody understands may be somebody's claim, so it must not be passed over.
    """
    claims, tickets = [], []
    for kind, record, ends, seconds in rows:
        match kind:
            case "claim":
                claims.append(_claim(record, ends, seconds))
            case "ticket":
                # A place in a queue excludes nobody: a damaged one is passed over.
                if found := records.sound_ticket(*records.parse(record))[0]:
                    tickets.append(found)
            case "moment":
                pass
            case _:
                raise Unreachable(
                    f"the claim store answers with a row of kind {kind!r}", hint="run `homelab claims init-store`"
                )
    return claims, tickets


def _claim(record: str, ends: Any, seconds: Any) -> Claim:
    """Return the claim that a row says; one that makes no sense is damaged."""
    document, unreadable = records.parse(record)
    found, wrong = records.sound_claim(document, unreadable)
    if found is None or not isinstance(ends, str) or not math.isfinite(seconds):
        return records.damaged(str(document.get("id")), str(document.get("label")), wrong or "when it ends makes no sense")
    if found.binding is Binding.LEASE:
        return found._replace(expires_at=ends, left=seconds)
    pids = records.pids(document.get("pids"))
    if seconds < PATIENCE - 3 * PATIENCE / BEATS:  # three heartbeats have stayed away: nobody may be there any more
        return found._replace(state=State.ORPHANED, expires_at=ends, left=seconds, pids=pids)
    state = State.ORPHANED if document.get("state") == State.ORPHANED else State.HELD
    return found._replace(state=state, pids=pids)
