"""Remotes that do not answer, that ask something, and branches whose names get in each other's way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from homelab.errors import Unreachable
from homelab.git import remotes
from homelab.git.remotes import ask_remote, ask_remote_head, fetch_branch
from homelab.git.repository import discover
from homelab.system import proc
from homelab.system.process import Completed
from tests.support.world import World


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"git://127.0.0.1:{server.getsockname()[1]}/x"
        for connection in kept:
            connection.close()


def test_a_remote_that_never_answers_is_given_up_whatever_it_is_asked(
    world: World, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.git("remote", "set-url", "origin", silent)
    monkeypatch.setattr(remotes, "_SILENCE", 0.5)
    repository = discover(world.clone)
    for question in (
        lambda: ask_remote(repository, "origin", timeout=0.5),
        lambda: ask_remote_head(repository, "origin", timeout=0.5),
        lambda: fetch_branch(repository, "origin", "master"),
    ):
        with pytest.raises(Unreachable, match="it has said nothing"):
            question()
    assert not [pid for pid in proc.descendants(1) if silent in proc.command(pid)]


def test_what_ssh_asks_is_passed_on_while_it_waits(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    ssh = world.root / "ssh"
    ssh.write_text(
        "#!/bin/sh\necho 'Confirm user presence for key ED25519-SK' >&2\nsleep 2\n"
        f"exec git upload-pack '{world.remote}'\n"
    )  # fmt: skip
    ssh.chmod(0o755)
    world.git("config", "core.sshCommand", str(ssh))
    world.git("remote", "set-url", "origin", "git@host.example:x.git")
    assert ask_remote(discover(world.clone), "origin")["refs/heads/master"] == world.tip()
    assert "Confirm user presence" in capfd.readouterr().err


@pytest.mark.parametrize("before, after", [("ann/dns", "ann/dns/part2"), ("release/1/x", "release"), ("a/b/c", "a/b")])
def test_a_branch_that_became_a_folder_is_fetched(world: World, before: str, after: str) -> None:
    oid, repository = world.tip(), discover(world.clone)
    world.git("update-ref", f"refs/heads/{before}", oid, cwd=world.remote)
    assert fetch_branch(repository, "origin", before) == oid
    world.git("update-ref", "-d", f"refs/heads/{before}", cwd=world.remote)
    world.git("update-ref", f"refs/heads/{after}", oid, cwd=world.remote)
    assert fetch_branch(repository, "origin", after) == oid
    assert world.git("rev-parse", f"refs/remotes/origin/{after}") == oid


@pytest.mark.parametrize(
    "said, words",
    [
        (
            "fatal: Unable to create 'x.lock': File exists.\n\nremove the file manually to continue.\n",
            "fatal: Unable to create",
        ),
        (
            "ssh: refused\nfatal: Could not read from remote repository.\n\nand the repository exists.\n",
            "ssh: refused",
        ),
        ("error: one\nfatal: two\nhint: three\n", "fatal: two"),
        ("something\n", "something"),
        ("", "it said nothing"),
    ],
)
def test_words_are_the_line_that_says_why(said: str, words: str) -> None:
    assert Completed(1, b"", said.encode()).words.startswith(words)


def test_a_stale_lock_is_named_with_what_to_do(world: World) -> None:
    lock = world.clone / ".git/index.lock"
    lock.touch()
    world.write({"README": "more\n"})
    with pytest.raises(Exception, match=r"index\.lock") as caught:
        discover(world.clone).out("add", "README")
    assert f"rm {lock}" in caught.value.hint  # type: ignore[attr-defined]
