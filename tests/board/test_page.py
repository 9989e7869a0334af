"""The page as text: whatever comes from outside stays text, and no table grows without end."""

from html.parser import HTMLParser
from typing import Any

import pytest

from homelab.board import needs, page
from homelab.board.state import State
from homelab.system import clock

EVIL = '<script>alert("x")</script>\x1b[31m\u202e'


def document(**parts: Any) -> dict[str, Any]:
    now = clock.now()
    holder = {"user": EVIL, "host": "h", "session": EVIL, "pid": 1}
    claim = {
        "label": "stack:dns", "mode": "shared", "binding": "process", "state": "orphaned", "purpose": EVIL, "holder": holder,
        "fence": 1, "claimed_at": now, "expires_at": None, "waiting": [{"user": EVIL}], "mine": False, "left": None,
    }  # fmt: skip
    landing = {
        "started": now, "finished": now, "user": EVIL, "session": EVIL, "branch": EVIL, "target": "master", "commit": "c" * 40,
        "pushed": None, "status": "failed", "verified": True, "reason": EVIL, "counts": {"cached": 3},
        "suites": [{"name": EVIL, "result": "failed", "seconds": 1}], "ci": {"verdict": "red", "checks": [EVIL]},
    }  # fmt: skip
    ticket = {
        "position": 0,
        "branch": EVIL,
        "user": EVIL,
        "host": "h",
        "session": EVIL,
        "worktree": "/",
        "since": now,
        "verifying": True,
        "holding": EVIL,
        "running": [],
    }
    suite = {"name": EVIL, "runs": 3, "passed": 2, "flaky": 1, "median": 1.0, "times": [0.0, 1.0, 2.0]}
    target = {"remote": EVIL, "branch": EVIL, "commit": "a" * 40, "verdict": "red", "since": now, "red": [EVIL]}
    checks = [{"name": EVIL, "word": EVIL, "verdict": "red", "url": None}]
    return {
        "repository": EVIL, "gate": "none", "problems": [EVIL], "target": target, "claims": [claim], "queue": [ticket],
        "landings": [landing], "suites": [suite], "ci": {"verdict": "red", "commit": "a" * 40, "at": now, "checks": checks},
    } | parts  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


@pytest.mark.parametrize("alone", [False, True])
def test_what_comes_from_outside_is_text(alone: bool) -> None:
    text = page.render(document(), alone=alone)
    found = read(text)
    assert found.tags.count("script") == (0 if alone else 1) and found.tags.count("style") == (1 if alone else 0)
    assert not found.inline and "\x1b" not in text and "\u202e" not in text and "alert(" in text


def test_a_file_allows_its_own_style_and_nothing_else() -> None:
    text = page.render(document(), alone=True)
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in text and "frame-ancestors" not in text


@pytest.mark.parametrize("claims", [None, []])
def test_a_page_shows_what_is_known(claims: list[Any] | None) -> None:
    text = page.render(document(claims=claims, queue=[], landings=[], suites=[], ci=None, target=None, gate=None, problems=[]))
    assert ("Not known." in text) == (claims is None) and "Nobody waits." in text


def test_outside_of_a_repository_claims_are_shown_alone() -> None:
    claims = document()["claims"]
    text = page.render({"repository": None, "claims": claims, "problems": [], "next": None, "hint": "cd"})
    assert "stack:dns" in text and "Waiting to land" not in text


def test_ten_thousand_rows_are_cut_with_their_number() -> None:
    rows = document()
    text = page.render(document(**{name: rows[name] * 10_000 for name in ("claims", "queue", "landings", "suites")}))
    assert len(text) < 300_000 and "and 9900 more" in text


def test_what_needs_somebody_comes_with_a_command() -> None:
    found = needs.needs(document())
    assert [need.command for need in found if need.command] == [
        "homelab log", f"homelab ci status {'a' * 12}", "homelab claims steal stack:dns --reason '…' --force", "homelab log",
        "homelab hooks install",
    ]  # fmt: skip


def test_a_landing_that_was_made_good_needs_nobody() -> None:
    (failed,) = document()["landings"]
    later = {**failed, "status": "landed"}
    assert not [need for need in needs.needs(document(landings=[later, failed])) if "land" in need.what]


def test_claims_of_a_store_that_went_away_are_kept_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homelab.board.state._FRESH", 0)
    answers = iter([document(), document(claims=None), document()])
    state = State(lambda: next(answers))
    first, away, back = state.shown(), state.shown(), state.shown()
    assert first.claims_at is None and back.claims_at is None
    assert away.claims_at is not None and away.document["claims"] is None and len(away.page["claims"]) == 1
    assert "does not answer" in page.render(away.page, claims_at=away.claims_at)


def test_the_time_that_a_lease_has_left_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homelab.board.state._FRESH", 0)
    one = document()
    other = {**one, "claims": [{**one["claims"][0], "left": 5.0}]}
    purpose = {**one, "claims": [{**one["claims"][0], "purpose": "another"}]}
    answers = iter([one, other, purpose])
    state = State(lambda: next(answers))
    digests = [state.shown().digest for _ in range(3)]
    assert digests[0] == digests[1] != digests[2]
