"""What goes over the wire: the token to one host and port alone, redirects, proxies, waits, pages."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest

from homelab.ci.client import Client
from homelab.ci.trouble import Away, Denied, Missing, Throttled
from tests.support.forge import Answer, Request, serving


def always(answer: Answer) -> Callable[[Request], Answer]:
    return lambda _: answer


SECRET = {"Authorization": "token s3cret"}


def test_a_redirect_to_another_port_or_host_gets_no_token() -> None:
    with serving("forgejo") as forge, serving("forgejo") as other:
        port = forge.url.rpartition(":")[2]
        for there in (other.url, other.url.replace("127.0.0.1", "localhost"), f"http://localhost:{port}"):
            moved = Answer(302, None, {"Location": f"{there}/api/v1/version"})
            forge.instead["/away"] = always(moved)
            assert Client(forge.url, SECRET).ask("/away")["version"]
        assert all("s3cret" not in str(request.headers) for request in other.requests)
        assert [str(request.headers).count("s3cret") for request in forge.requests] == [1, 1, 1, 0]


def test_a_redirect_on_the_same_host_keeps_the_token() -> None:
    with serving("forgejo") as forge:
        forge.instead["/old"] = lambda _: Answer(301, None, {"Location": "/api/v1/version"})
        assert Client(forge.url, SECRET).ask("/old")["version"]
        assert all("s3cret" in str(request.headers) for request in forge.requests)


def test_a_redirect_without_end_is_no_answer() -> None:
    with serving("forgejo") as forge:
        forge.instead["/loop"] = lambda _: Answer(302, None, {"Location": "/loop"})
        with pytest.raises(Away):
            Client(forge.url).ask("/loop")


def test_no_token_goes_out_in_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy, which is what stands between us and a host that is not this machine."""
    with serving("forgejo") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(Missing):
            Client("http://git.example", SECRET).ask("/api/v1/x")
        assert len(proxy.requests) == 1 and "s3cret" not in str(proxy.requests[0].headers)


def test_no_proxy_is_heeded_and_loopback_never_goes_through_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("forgejo") as proxy, serving("forgejo") as forge:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "git.invalid")
        monkeypatch.setenv("NO_PROXY", "git.invalid")
        assert Client(forge.url).ask("/api/v1/version")
        with pytest.raises(Away):
            Client("http://git.invalid").ask("/api/v1/version")
        assert proxy.requests == []


def test_https_goes_through_the_proxy_as_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=listen)
        thread.start()
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://ada:pr%40xy@127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(Away):
            Client("https://git.example", SECRET).ask("/api/v1/x")
        thread.join()
    assert heard[0].startswith(b"CONNECT git.example:443") and b"s3cret" not in heard[0]
    assert b"YWRhOnByQHh5" in heard[0]  # ada:pr@xy


@pytest.mark.parametrize(
    ("answer", "error", "seconds"),
    [
        (Answer(401), Denied, None),
        (Answer(403), Denied, None),
        (Answer(404), Missing, None),
        (Answer(500), Away, None),
        (Answer(200, text="<html>"), Away, None),
        (Answer(429, None, {"Retry-After": "30"}), Throttled, 30),
        (Answer(429), Throttled, 30),
        (Answer(503, None, {"Retry-After": "7"}), Throttled, 7),
        (Answer(403, None, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), Throttled, 1),
    ],
)
def test_each_bad_answer_is_a_kind_of_its_own(answer: Answer, error: type[Exception], seconds: float | None) -> None:
    with serving("forgejo") as forge:
        forge.instead["/x"] = lambda _: answer
        with pytest.raises(error) as caught:
            Client(forge.url, SECRET).ask("/x")
        assert type(caught.value) is error
        assert getattr(caught.value, "seconds", None) == seconds
        assert "s3cret" not in f"{caught.value!r} {caught.value.__dict__} {Client(forge.url, SECRET)!r}"


def test_an_unchanged_answer_is_asked_for_by_its_tag() -> None:
    with serving("forgejo") as forge:
        seen: list[str | None] = []

        def answer(request: Request) -> Answer:
            seen.append(request.headers.get("If-None-Match"))
            return Answer(304) if seen[-1] else Answer(200, {"a": 1}, {"ETag": '"7"'})

        forge.instead["/x"] = answer
        client = Client(forge.url)
        assert client.ask("/x") == client.ask("/x") == {"a": 1}
        assert seen == [None, '"7"']


@pytest.mark.parametrize("how", ["total", "link", "neither"])
def test_all_pages_are_read(how: str) -> None:
    rows = [{"id": n} for n in range(125)]

    def answer(request: Request) -> Answer:
        page = int(request.query["page"])
        given = rows[(page - 1) * 50 : page * 50]
        headers = {"total": {"X-Total-Count": "125"}, "link": {"Link": '<x>; rel="next"'} if page < 3 else {}}
        return Answer(200, given, headers.get(how, {}))

    with serving("forgejo") as forge:
        forge.instead["/x"] = answer
        assert list(Client(forge.url).pages("/x", size="limit", most=50)) == rows
        assert len(forge.requests) == 3


def test_a_closed_port_is_told_in_words(forge_port: int) -> None:
    with pytest.raises(Away, match="refused"):
        Client(f"http://127.0.0.1:{forge_port}").ask("/x")


@pytest.fixture
def forge_port() -> int:
    """A port on which nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_hostile_answers_are_no_verdict() -> None:
    from homelab.ci.site import system
    from homelab.ci.where import Place

    for document in (
        [1],
        {"a": [2]},
        "x",
        [None],
        [{"context": ["a"], "status": {"x": 1}, "id": "n", "target_url": "javascript:1"}],
    ):
        with serving("forgejo") as forge:
            forge.instead["/statuses"] = always(Answer(200, document))
            checks = system(Place("forgejo", forge.url, "a/b"), Client(forge.url)).look("c" * 40, "master")
            assert all(check.verdict == "unknown" and check.url is None for check in checks)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-A: b\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n["])
def test_an_answer_that_never_ends_is_none(first: bytes) -> None:
    """A byte now and then holds nobody up: not in front of the headers, not among them, not in the body."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.sendall(first)
                while True:
                    time.sleep(0.1)
                    connection.send(b" ", getattr(socket, "MSG_NOSIGNAL", 0))

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(Away, match="does not answer \\(timeout\\)"):  # without its deadline it is never raised
            Client(f"http://127.0.0.1:{server.getsockname()[1]}", patience=0.4).ask("/x")
