"""`homelab board`: who may see the page, and what a browser makes of it."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from homelab.board import page
from tests.support.needs import needs
from tests.support.world import BIN, World


@dataclass(frozen=True)
class Answer:
    """What the server answered, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Board:
    """A page that is served, and how to ask for it."""

    world: World
    process: subprocess.Popen[str]
    port: int
    token: str
    cookie: str = ""

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in {"Cookie": self.cookie, **headers}.items():
                for one in filter(None, value.split("|")):
                    connection.putheader(name.replace("_", "-"), one)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def enter(self) -> None:
        answer = self.ask(f"/?t={self.token}")
        assert answer.status == 303 and answer.headers["Location"] == "/"
        set_cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in set_cookie and "SameSite=Strict" in set_cookie and self.token not in set_cookie
        self.cookie = set_cookie.partition(";")[0]


@contextlib.contextmanager
def serving(world: World, *args: str) -> Iterator[Board]:
    process = subprocess.Popen(
        [BIN / "homelab", "board", *args], cwd=world.clone, env=world.env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        assert url.hostname == "127.0.0.1" and url.port is not None
        yield Board(world, process, url.port, url.query.removeprefix("t="))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def board(world: World) -> Iterator[Board]:
    world.homelab("claim", "stack:dns", "--purpose", "<script>alert(1)</script>")
    with serving(world) as made:
        yield made


@pytest.mark.slow
def test_the_token_becomes_a_cookie_and_nothing_is_shown_without(board: Board) -> None:
    for path in ("/", "/board.json", "/events", "/board.css", "/?t=wrong", "/?t="):
        refused = board.ask(path)
        assert refused.status == 403 and b"stack:dns" not in refused.body
        assert refused.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert board.ask("/", Cookie=f"homelab_board_{board.port}={board.token}").status == 403
    board.enter()
    answer = board.ask()
    text = answer.body.decode()
    assert answer.status == 200 and "stack:dns" in text and "<script>alert" not in text and board.token not in text
    assert answer.headers["Cache-Control"] == "no-store" and "inline" not in answer.headers["Content-Security-Policy"]
    for path in ("/board.css", "/board.js", "/board.json"):
        assert board.ask(path).status == 200
    assert board.ask("/nothing").status == 404


def test_it_answers_its_own_name_and_its_own_pages_alone(board: Board) -> None:
    board.enter()
    here = f"127.0.0.1:{board.port}"
    for host in ("evil.example", f"localhost:{board.port}", "127.0.0.1", "", f"{here}|{here}", f"{here}."):
        answer = board.ask(Host=host)
        assert answer.status == 421 and b"stack:dns" not in answer.body, host
    for site, status in (("cross-site", 403), ("same-site", 403), ("x", 403), ("same-origin", 200), ("none", 200)):
        assert board.ask(Sec_Fetch_Site=site).status == status, site
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"):
        answer = board.ask(method=method)
        assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD", method
        assert answer.headers["Content-Security-Policy"]
    head = board.ask(method="HEAD")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 1000


@pytest.mark.slow
def test_the_document_is_that_of_status(board: Board) -> None:
    board.enter()
    told, shown = board.world.json("status"), json.loads(board.ask("/board.json").body)
    for document in (told, shown):
        for claim in document["claims"]:
            del claim["left"]
    assert shown == told


@pytest.mark.slow
def test_a_change_by_another_process_is_told(board: Board) -> None:
    board.enter()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", board.port, timeout=30)) as connection:
        connection.request("GET", "/events", headers={"Cookie": board.cookie})
        with connection.getresponse() as events:
            assert events.headers["Content-Type"].startswith("text/event-stream")
            board.world.homelab("claim", "host:nas", "--purpose", "x")
            while events.readline() != b"event: changed\n":
                pass
            assert b"host:nas" in board.ask().body
            board.process.send_signal(signal.SIGINT)
            out, err = board.process.communicate(timeout=30)
    assert board.process.returncode == 130 and "Traceback" not in out + err


def test_it_is_reached_from_this_machine_alone(board: Board) -> None:
    for line in Path(f"/proc/{board.process.pid}/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A" and int(local.partition(":")[2], 16) == board.port:
            assert local.startswith("0100007F:")


def test_a_port_that_is_taken_is_said(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = world.homelab("board", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2 and "cannot be had" in done.stderr and "hint:" in done.stderr


@pytest.mark.slow
def test_a_page_in_a_file_replaces_a_page_and_nothing_else(world: World) -> None:
    page = world.root / "board.html"
    assert world.homelab("board", "--once", str(page)).stdout == f"{page}\n"
    assert world.homelab("board", "--once", str(page)).returncode == 0 and b"Needs somebody" in page.read_bytes()
    for path in (world.clone / "README", world.root / "no/such/folder.html"):
        before = path.read_bytes() if path.exists() else None
        assert world.homelab("board", "--once", str(path)).returncode in (2, 3)
        assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.slow
@needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_live_on_any_screen(board: Board, scheme: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    world = board.world
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        view, words = context.new_page(), []
        view.on("console", lambda message: words.append(message.text))
        view.on("pageerror", lambda error: words.append(str(error)))
        view.goto(f"http://127.0.0.1:{board.port}/?t={board.token}")
        assert view.url == f"http://127.0.0.1:{board.port}/"
        expect(view.get_by_role("heading", name="Held")).to_be_visible()
        expect(view.get_by_role("region", name="Held")).to_contain_text("<script>alert(1)</script>")
        view.get_by_role("link", name="held").focus()
        world.homelab("claim", "host:nas", "--purpose", "new disks")
        expect(view.get_by_text("new disks")).to_be_visible(timeout=20_000)
        expect(view.get_by_role("link", name="2 held")).to_be_focused()
        for width in (360, 390, 1200):
            view.set_viewport_size({"width": width, "height": 800})
            assert view.evaluate("document.documentElement.scrollWidth") <= width
        names = []
        for _ in range(7):
            view.keyboard.press("Tab")
            names.append(view.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
        assert [name for name in names if "held" in name] and all(names), names
        assert min(_contrasts(view)) >= 4.5
        assert words == []
        browser.close()


@pytest.mark.slow
@needs("chromium")
def test_a_browser_without_script_shows_it_too(board: Board) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        view = browser.new_context(java_script_enabled=False).new_page()
        view.goto(f"http://127.0.0.1:{board.port}/?t={board.token}")
        board.world.homelab("claim", "host:nas", "--purpose", "new disks")
        expect(view.get_by_text("new disks")).to_be_visible(timeout=60_000)  # refreshed every ten seconds
        browser.close()


@pytest.mark.slow
@needs("chromium")
def test_much_and_nothing_fit_any_screen_and_can_be_read(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    from tests.board.test_page import document

    much = document()
    many = {name: much[name] * 40 for name in ("claims", "queue", "landings", "suites")}
    many["landings"] = [{**row, "branch": f"{'b' * 60}{n}"} for n, row in enumerate(many["landings"])]
    nothing: dict[str, Any] = {**{key: [] for key in many}, "ci": None, "problems": [], "gate": "whole", "target": None}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, shown in (("much", document(**many)), ("nothing", document(**nothing))):
            path = tmp_path / f"{name}.html"
            path.write_text(page.render(shown, alone=True))
            for scheme in ("light", "dark"):
                view = browser.new_context(color_scheme=scheme).new_page()
                view.on("console", lambda message: pytest.fail(message.text))
                for width in (390, 1280):
                    view.set_viewport_size({"width": width, "height": 800})
                    view.goto(path.as_uri())
                    assert view.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                    if name == "much":
                        view.locator("summary").press("Enter")
                        expect(view.get_by_text("is orphaned").last).to_be_visible()
                    assert min(_contrasts(view)) >= 4.5, (name, scheme, width)
                regions = ["Needs somebody", "Held", "Waiting to land", "Landed", "Suites"]
                assert [len(view.get_by_role("region", name=one, exact=True).all()) for one in regions] == [1] * 5
                for link in view.get_by_role("navigation").get_by_role("link").all():
                    assert view.locator(link.get_attribute("href") or "").count() == 1
        browser.close()


_COLOURS = """() => [...document.querySelectorAll('main *')].filter(e => e.childElementCount === 0 && e.textContent.trim())
  .map(e => {
    let back = e;
    while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
    return [getComputedStyle(e).color, back ? getComputedStyle(back).backgroundColor : 'rgb(255, 255, 255)'];
  })"""


def _contrasts(view: object) -> list[float]:
    """Return the contrast of every text with what is behind it, as WCAG counts it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = view.evaluate(_COLOURS)  # type: ignore[attr-defined]
    return [(max(map(light, pair)) + 0.05) / (min(map(light, pair)) + 0.05) for pair in pairs]
