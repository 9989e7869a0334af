"""Ref updates as git writes them, for any source a person may push."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homelab.errors import Refused
from homelab.gate import updates
from homelab.gate.updates import Create, Delete, Update

OIDS = st.sampled_from([40, 64]).flatmap(lambda width: st.text("0123456789abcdef", min_size=width, max_size=width))
REFS = st.text(st.characters(exclude_characters=" ~^:?*[\\\x7f", exclude_categories=["Cs", "Cc"]), min_size=1).map(
    lambda name: f"refs/heads/{name}"
)
SOURCES = st.binary(min_size=1).filter(lambda source: b"\0" not in source)


def expected(ref: str, old: str, new: str) -> updates.RefUpdate:
    if not new.strip("0"):
        return Delete(ref, old)
    return Update(ref, old, new) if old.strip("0") else Create(ref, new)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a machine that others load
@given(st.lists(st.tuples(SOURCES, OIDS, REFS, OIDS), max_size=5), st.booleans())
def test_a_push_written_as_git_writes_it_is_read_back(rows: list[tuple[bytes, str, str, str]], final: bool) -> None:
    text = b"\n".join(b" ".join([s, n.encode(), r.encode(), o.encode()]) for s, n, r, o in rows)
    read = updates.read(text + (b"\n" if final and rows else b""))
    # A source may hold newlines, and what then looks like a record of its own is judged as well: never fewer updates.
    wanted = [expected(r, o, n) for _, n, r, o in rows]
    assert [update for update in read if update in wanted] == wanted or not set(wanted) - set(read)


@pytest.mark.parametrize(
    "source", [b":/bad commit", b"master@{0 seconds ago}", b"a\nb", b"\xff\xfe", "a\u2028b".encode(), b"", b"x y z w"]
)
def test_an_odd_source_hides_no_update(source: bytes) -> None:
    assert updates.read(source + b" " + b"a" * 40 + b" refs/heads/master " + b"b" * 40 + b"\n") == (
        Update("refs/heads/master", "b" * 40, "a" * 40),
    )


@pytest.mark.parametrize("line", [b"refs/heads/master", b"a b c d", b"x " + b"a" * 40 + b" refs/heads/m short", b"\xff"])
def test_a_line_that_is_no_update_is_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        updates.read(line + b"\n")


def test_an_empty_push_carries_nothing() -> None:
    assert updates.read(b"") == ()


def test_what_the_framework_tells_is_read() -> None:
    told = updates.from_framework({"PRE_COMMIT_REMOTE_BRANCH": "refs/heads/master", "PRE_COMMIT_LOCAL_BRANCH": "HEAD~1"})
    assert told == updates.Framework("refs/heads/master", "HEAD~1", "")
    assert updates.from_framework({}) is None
