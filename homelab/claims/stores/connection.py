"""A connection to PostgreSQL that answers in time or is given up, and whose errors are ours.

No timeout of libpq ends a read from a frozen server, and name resolution has none at all: a thread watches over both.
"""

import contextlib
import os
import re
import select
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from homelab.errors import Refused, Unreachable, Usage

if TYPE_CHECKING:
    import psycopg

#: No answer in this time is none, in seconds: five in all are promised, and the program has to start too.
ANSWER = 3.0


def dial(url: str) -> "psycopg.Connection[Any]":
    """Return a new connection. Raises one of our errors, or psycopg's where nobody answers."""
    try:
        import psycopg
    except ImportError:
        hint = "install it with `pip install 'homelab-hooks[postgres]'`"
        raise Unreachable("the claim store is PostgreSQL, and psycopg is not installed here", hint=hint) from None

    connection = _connected(_parameters(url))
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    if connection.info.parameter_status("client_encoding") != "UTF8":  # a pooler may have dropped it
        connection.close()
        raise Refused("the connection to the claim store is not in UTF-8", hint="let the pooler pass on `client_encoding`")
    return connection


def _parameters(url: str) -> str:
    """Return what libpq is asked for: what the URL says, and our limits where it says nothing. Raises `Usage`."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeEncodeError) as error:
        reason = "it is no UTF-8" if isinstance(error, UnicodeEncodeError) else _line(error, url)
        words = f"the claim store's URL cannot be read: {reason}"
        raise Usage(words, hint="write postgresql://HOST/DATABASE") from None
    ours: dict[str, Any] = {
        # For each host of a list; less than two seconds libpq does not take.
        "connect_timeout": "2" if "," in str(given.get("host")) else "3",
        "application_name": "homelab",
        "target_session_attrs": "read-write",
        "tcp_user_timeout": "4000",
    }
    # Above what the URL, a service file or PGCLIENTENCODING say: under SQL_ASCII psycopg hands out bytes, no text.
    return make_conninfo(**{**ours, **given, "client_encoding": "utf8"})


def _connected(parameters: str) -> "psycopg.Connection[Any]":
    """Return a connection. Name resolution and a list of hosts have no time limit of their own, so a thread has."""
    import psycopg

    found: list[Any] = []

    def connect() -> None:
        try:
            # A pooler hands each transaction to another server: nothing may be prepared.
            found.append(psycopg.connect(parameters, autocommit=True, prepare_threshold=None))
        except Exception as error:  # whatever it is, the caller raises it: a thread that ended by it would look like silence
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(ANSWER)
    if not found:
        raise psycopg.OperationalError(f"no answer in {ANSWER:.0f} seconds")
    if isinstance(found[0], BaseException):
        raise found[0]
    connection: psycopg.Connection[Any] = found[0]
    return connection


def is_stale(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the server has hung up on an idle connection: then there is something to read, and it is the end."""
    import psycopg

    try:
        if not select.select([connection.fileno()], [], [], 0)[0]:
            return False
        connection.execute("SELECT 1")
    except (psycopg.Error, OSError, ValueError):  # closed, cut off, or a descriptor that select does not take
        connection.close()
        return True
    return False


@contextlib.contextmanager
def answering(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Cut the connection when the block's question is not answered in time; the question then fails."""
    guard = threading.Timer(ANSWER, _cut, [connection])
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


def _cut(connection: "psycopg.Connection[Any]") -> None:
    """Wake whoever waits for the server on this connection: no timeout of libpq ends a read from a frozen one."""
    with contextlib.suppress(Exception):  # it may be closed already, and in a timer nobody hears of it
        ours = socket.socket(fileno=os.dup(connection.fileno()))
        with ours:
            ours.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def in_words(url: str) -> Iterator[None]:
    """Turn the database's errors into ours, leaving out whatever may be the password of the URL."""
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
        raise Refused(f"the claim store's database denies this to our role: {_line(error, url)}", hint=hint) from None
    except (errors.UndefinedFunction, errors.InvalidSchemaName, errors.UndefinedTable):
        words = "the claim store's database has no claims in it yet"
        raise Unreachable(words, hint="`homelab claims init-store` prepares it", next="homelab claims init-store") from None
    except errors.UndefinedObject as error:
        raise Usage(f"the claim store's database says: {_line(error, url)}", hint="`CREATE ROLE` makes one") from None
    except errors.QueryCanceled as error:
        hint = "raise statement_timeout of the role, or try again; nothing was started or changed"
        raise Unreachable(f"the claim store took longer than its role may: {_line(error, url)}", hint=hint) from None
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        hint = "look at the server and at HOMELAB_CLAIMS or [claims] store; nothing was started or changed"
        raise Unreachable(f"the claim store cannot be reached: {_line(error, url)}", hint=hint) from None
    except psycopg.Error as error:
        words = f"the claim store's database refuses: {_line(error, url)}"
        raise Refused(words, hint="`homelab claims init-store` brings its functions up to date") from None


def _line(error: Exception, url: str) -> str:
    """Return the first line of what the database or its library says, unless a piece of the password is in it."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if any(piece in line for piece in _secrets(url)):
        return "its URL is misread; in a password write @ as %40, / as %2F, % as %25 and a space as %20"
    return line


def _secrets(url: str) -> set[str]:
    """Return the pieces of what may be a password, however the URL is misread: libpq takes an `@` or `/` in it for the end."""
    found = re.findall(r"://[^:/?#@]*:(.*)@", url, re.DOTALL) + re.findall(r"password\s*=(.*)", url, re.DOTALL)
    pieces = (piece for text in found for piece in (text, unquote(text), *re.split(r"[^\w]+", text)))
    return {piece for piece in pieces if len(piece) > 2}
