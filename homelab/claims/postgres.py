"""Claims in PostgreSQL, for many machines: records in a table, the server's clock, exclusion by transaction locks.

Invariant: a claim is decided on and changed in one transaction that holds its label, so it works behind a pooler, and the
history has the event or nothing has happened. A command's claim lives by its keeper's heartbeat.
"""

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homelab.claims import records
from homelab.claims.model import LEASED, PROCESS, Blocked, Claim, Ticket, with_queue
from homelab.claims.store import Store
from homelab.errors import Refused, Unreachable

if TYPE_CHECKING:
    import psycopg

#: How long a command's claim lives after the last heartbeat, and a waiter's ticket after its last look, in seconds.
PATIENCE = 30.0
_WAITER = 5.0
# A waiter is told when it is its turn; behind a pooler, which drops that, it looks by itself.
_LOOK = 1.0
# No answer in this time is none: the contract gives five seconds in all, and the program has to start too.
_ANSWER = 3.5
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
        with _in_words():
            connection = self._connected()
            guard = threading.Timer(_ANSWER, _cut, [connection])
            guard.daemon = True
            guard.start()
            try:
                yield connection
            finally:
                guard.cancel()

    def _connected(self) -> "psycopg.Connection[Any]":
        connection = self._connection
        if connection is not None and not connection.closed and not _is_stale(connection):
            return connection
        self._connection = connection = _open(self.url)
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
        claims = [_claim(record, ends, seconds) for kind, record, ends, seconds in rows if kind == "claim"]
        return with_queue(claims, [records.ticket(record) for kind, record, _, _ in rows if kind == "ticket"])

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
        self._claims = [_claim(record, ends, seconds) for kind, record, ends, seconds, _ in rows if kind == "claim"]
        tickets = [records.ticket(record) for kind, record, _, _, _ in rows if kind == "ticket"]
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


def _claim(record: dict[str, Any], ends: str, seconds: float) -> Claim:
    """Return the claim that a row says; one that makes no sense is damaged."""
    found, wrong = records.sound_claim(record)
    if found is None:
        return records.damaged(str(record.get("id")), str(record.get("label")), wrong)
    if found.binding == PROCESS:
        return replace(found, state=str(record.get("state", found.state)), pids=tuple(map(int, record.get("pids") or ())))
    return replace(found, expires_at=ends, left=seconds)


def _open(url: str) -> "psycopg.Connection[Any]":
    """Return a new connection. Name resolution and a list of hosts have no time limit of their own, so a thread has."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError:
        hint = "install it with `pip install 'homelab-hooks[postgres]'`"
        raise Unreachable("the claim store is PostgreSQL, and psycopg is not installed here", hint=hint) from None

    given = conninfo_to_dict(url)
    ours: dict[str, Any] = {
        "connect_timeout": "3",
        "application_name": "homelab",
        "target_session_attrs": "read-write",
        "tcp_user_timeout": "4000",
    }
    text = make_conninfo(**{**ours, **given})
    found: list[Any] = []

    def connect() -> None:
        try:
            # A pooler hands each transaction to another server: nothing may be prepared.
            found.append(psycopg.connect(text, autocommit=True, prepare_threshold=None))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_ANSWER)
    if not found:
        raise psycopg.OperationalError(f"no answer in {_ANSWER:.0f} seconds")
    if isinstance(found[0], BaseException):
        raise found[0]
    connection: psycopg.Connection[Any] = found[0]
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


def _is_stale(connection: "psycopg.Connection[Any]") -> bool:
    """Tell whether the server has hung up on an idle connection: then there is something to read, and it is the end."""
    try:
        if not select.select([connection.fileno()], [], [], 0)[0]:
            return False
        connection.execute("SELECT 1")
    except Exception:
        connection.close()
        return True
    return False


def _cut(connection: "psycopg.Connection[Any]") -> None:
    """Whoever waits for the server on this connection stops waiting: no timeout of libpq ends a read from a frozen one."""
    with contextlib.suppress(Exception):
        ours = socket.socket(fileno=os.dup(connection.fileno()))
        with ours:
            ours.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """What the database says becomes an error of ours, without the URL, which may hold a password."""
    try:
        import psycopg
        from psycopg import errors
    except ImportError:
        yield
        return
    try:
        yield
    except errors.InsufficientPrivilege as error:
        hint = "let the store's owner run `homelab claims init-store --grant ROLE`"
        raise Refused(f"the claim store does not let us: {_line(error)}", hint=hint) from None
    except (errors.UndefinedFunction, errors.InvalidSchemaName, errors.UndefinedTable):
        words = "the claim store's database has no claims in it yet"
        raise Unreachable(words, hint="`homelab claims init-store` prepares it", next="homelab claims init-store") from None
    except psycopg.Error as error:
        hint = "look at the server and at HOMELAB_CLAIMS or [claims] store; nothing was started or changed"
        raise Unreachable(f"the claim store cannot be reached: {_line(error)}", hint=hint) from None


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
