"""Claims in PostgreSQL."""

from homelab.claims.store import Store


def prepare(url: str, grant: str | None) -> str:
    """The schema exists."""
    raise NotImplementedError


def connect(url: str) -> Store:
    """Return the store."""
    raise NotImplementedError
