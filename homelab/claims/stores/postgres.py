"""Claims in PostgreSQL, for many machines: records in a table, the server's clock, exclusion by transaction locks.

Invariant: a claim is decided on and changed in one transaction that holds its label, so it works behind a pooler, and the
history has the event or nothing has happened. A command's claim lives by its keeper's heartbeat.
"""

import contextlib
import json
import select
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homelab.claims.model import LEASED, PROCESS, Blocked, Claim, Ticket, with_queue
from homelab.claims.stores import connection as server
from homelab.claims.stores import records
from homelab.claims.stores.base import Store
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


def prepare(url: str, grant: str | None) -> str:
    """The schema exists, and `grant` may execute its functions; return the store's name for people."""
    schema = Path(__file__).with_name("schema.sql").read_text("utf-8")
    store = PostgresStore(url)
    with store.session() as connection, connection.transaction():
        from psycopg import sql

        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":  # only there does a purpose or a path in any script fit
            hint = "create one with `createdb --template=template0 --encoding=UTF8 NAME` and name it"
            raise Refused(f"the database {connection.info.dbname} has the encoding {encoding}, claims need UTF8", hint=hint)
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('homelab.schema', 0))")
        connection.execute(schema.encode())
        if grant is not None:
            role = sql.Identifier(grant)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA homelab TO {}").format(role))
            connection.execute(sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA homelab TO {}").format(role))
        info = connection.info
        return f"{info.dbname} on {info.host or 'this machine'}"


class PostgresStore(Store):
    """Claims in the schema `homelab` of a database."""

    @property
    def patience(self) -> float:
        """How long a command's claim lives without a heartbeat of its keeper."""
        return PATIENCE

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._listening = False
        self._woken: set[str] = set()

    def close(self) -> None:
        """The connection is closed."""
        if self._connection is not None:
            self._connection.close()

    @contextlib.contextmanager
    def session(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection that answers in time. Raises `Unreachable` or `Refused`."""
        with server.in_words():
            connection = self._connected()
            with server.answering(connection):
                yield connection

    def _connected(self) -> "psycopg.Connection[Any]":
        connection = self._connection
        if connection is not None and not connection.closed and not server.is_stale(connection):
            return connection
        self._connection = connection = server.open(self.url)
        self._listening = False
        connection.add_notify_handler(lambda notify: self._woken.add(notify.payload))
        return connection

    @contextlib.contextmanager
    def transaction(self, labels: Collection[str]) -> Iterator["_Rows"]:
        """The labels are ours until the transaction ends."""
        with self.session() as connection, connection.transaction():
            yield _Rows(connection, labels)

    def board(self) -> list[Claim]:
        """Return all live claims with their queues."""
        with self.session() as connection:
            rows = connection.execute("SELECT kind, record, ends, seconds FROM homelab.board()").fetchall()
        return with_queue(*_sort(rows))

    def history(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events, oldest first."""
        with self.session() as connection:
            return [row[0] for row in connection.execute("SELECT homelab.history(%s)", [label]).fetchall()]

    def record(self, document: dict[str, Any]) -> None:
        """The history ends with this event."""
        with self.session() as connection:
            connection.execute("SELECT homelab.tell(%s)", [json.dumps(document)])

    def beat(self, id: str, state: str, pids: Sequence[int]) -> list[str]:
        """The command's claims live on; return the labels that still are its."""
        with self.session() as connection:
            rows = connection.execute("SELECT homelab.beat(%s, %s, %s, %s)", [id, self.patience, state, list(pids)])
            return [row[0] for row in rows.fetchall()]

    def _grasp(self, id: str) -> None:
        return None

    def _let_go(self, id: str) -> None:
        pass

    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        """Return when the ticket has been called, or a moment has passed."""
        with self.session() as connection:
            if not self._listening:
                connection.execute(f"LISTEN {_CHANNEL}")
                self._listening = True
            connection.execute("SELECT homelab.stay(%s, %s)", [ticket, _WAITER])
        ends = [claim.left for claim in blocked.claims if claim.binding == LEASED and claim.left]
        again = min([until, time.monotonic() + _LOOK, *(time.monotonic() + left for left in ends)])
        while ticket not in self._woken and (left := again - time.monotonic()) > 0:
            if select.select([connection.fileno()], [], [], left)[0]:
                with self.session() as connection:
                    connection.execute("SELECT 1")  # hands arrived calls to our handler
        self._woken.clear()


class _Rows:
    """The records of some labels, which the transaction holds."""

    def __init__(self, connection: "psycopg.Connection[Any]", labels: Collection[str]) -> None:
        self._connection = connection
        rows = connection.execute("SELECT * FROM homelab.enter(%s)", [list(labels)]).fetchall()
        self._claims, tickets = _sort(row[:4] for row in rows)
        self._tickets = sorted(tickets, key=lambda ticket: ticket.number)
        self._moment = str(rows[-1][-1])

    def claims(self, label: str) -> list[Claim]:
        """Return the claims that stood when the label became ours."""
        return [claim for claim in self._claims if claim.label == label]

    def tickets(self, label: str) -> list[Ticket]:
        """Return who waits, first come first."""
        return [ticket for ticket in self._tickets if ticket.label == label]

    def number(self) -> int:
        """Return a number larger than any that the store has seen."""
        row = self._connection.execute("SELECT homelab.next_number()").fetchone()
        assert row is not None
        return int(row[0])

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        """The claim stands, a command's until its keeper's heartbeats end."""
        document = records.claim_document(claim)
        query = "SELECT homelab.put(%s, %s)"
        row = self._connection.execute(query, [json.dumps(document), seconds or PATIENCE]).fetchone()
        assert row is not None
        return replace(claim, expires_at=row[0] if claim.binding == LEASED else None, left=seconds)

    def remove(self, claim: Claim) -> None:
        """The claim is gone, and the first in the queue knows."""
        self._connection.execute("SELECT homelab.remove(%s, %s)", [claim.label, claim.id])

    def enqueue(self, ticket: Ticket) -> None:
        """The ticket waits."""
        self._connection.execute("SELECT homelab.enqueue(%s, %s)", [json.dumps(records.ticket_document(ticket)), _WAITER])

    def dequeue(self, ticket_id: str, label: str) -> None:
        """The ticket waits no more, and the next in the queue knows."""
        self._connection.execute("SELECT homelab.dequeue(%s, %s)", [label, ticket_id])

    def event(self, document: dict[str, Any]) -> None:
        """The history ends with this event."""
        self._connection.execute("SELECT homelab.tell(%s)", [json.dumps(document)])

    def now(self) -> str:
        """Return the server's moment when the labels became ours."""
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
                tickets.append(records.ticket(record))
            case "moment":
                pass
            case _:
                raise Unreachable(
                    f"the claim store answers with a row of kind {kind!r}", hint="run `homelab claims init-store`"
                )
    return claims, tickets


def _claim(record: dict[str, Any], ends: str, seconds: float) -> Claim:
    """Return the claim that a row says; one that makes no sense is damaged."""
    found, wrong = records.sound_claim(record)
    if found is None:
        return records.damaged(str(record.get("id")), str(record.get("label")), wrong)
    if found.binding == PROCESS:
        return replace(found, state=str(record.get("state", found.state)), pids=tuple(map(int, record.get("pids") or ())))
    return replace(found, expires_at=ends, left=seconds)
