"""What became of a push: every case made by a real server that says no, dies, races or lies; then git's and the forges' words.

A case makes its push and returns how it ended. The remote is asked as publishing asks it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from homelab.landing import target
from homelab.landing.push_result import Outcome, Pushed, Seen, classify, review_url, words
from tests.landing import server_cases, transport_cases  # noqa: F401 - whoever imports them has their cases
from tests.support.push_scene import CASES, OURS, SAME, THEIRS, Scene
from tests.support.smart_http import Faults, serving
from tests.support.world import World


@pytest.fixture
def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    base = world.tip()
    world.git("switch", "--quiet", "-c", "ada/x")
    opened = []

    def http() -> tuple[str, Faults]:
        server = serving(world.root, world.env)
        opened.append(server)
        address, faults = server.__enter__()
        world.git("config", "http.receivepack", "true", cwd=world.remote)
        world.git("remote", "set-url", "origin", f"{address}/remote.git")
        return address, faults

    made = Scene(world, base=base, commit=world.commit({"x": "1"}), http=http)
    yield made
    for server in opened:
        server.__exit__(None, None, None)


def place(scene: Scene) -> str:
    tip = scene.world.tip(f"refs/heads/{scene.branch}")
    return OURS if tip == scene.commit else SAME if tip == (scene.base or "") else THEIRS


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_push_is_judged_by_what_became_of_it(scene: Scene, name: str) -> None:
    expected, after, make = CASES[name]
    pushed = make(scene)
    seen = Seen(False) if name == "broken_server_repo" else scene.seen()
    print(pushed, seen)
    assert place(scene) == after
    assert classify(pushed, f"refs/heads/{scene.branch}", seen) is expected
    assert "failed to push some refs" not in words(pushed.stderr)


def refused(summary: str, *said: str) -> Pushed:
    rows = "".join(f"remote: {row}\n" for row in said)
    return Pushed(1, f"To origin\n!\tabc:refs/heads/master\t[remote rejected] ({summary})\nDone\n", rows)


@pytest.mark.parametrize(
    ("summary", "said", "expected"),
    [
        # git 2.55
        ("incorrect old value provided", "", Outcome.BUSY),
        ("reference already exists", "", Outcome.BUSY),
        ("refname conflict", "", Outcome.CONTENT),
        ("unable to migrate objects to permanent storage", "", Outcome.BUSY),
        ("missing necessary objects", "", Outcome.CONTENT),
        ("shallow update not allowed", "", Outcome.CONTENT),
        ("n/a (unpacker error)", "", Outcome.CONTENT),
        ("unpacker error", "error: insufficient permission for adding an object to repository database", Outcome.BUSY),
        ("proc-receive failed to report status", "", Outcome.OPEN),
        # the forges
        ("protected branch hook declined", "error: GH006: Cannot change this locked branch", Outcome.DECLINED),
        ("protected branch hook declined", 'error: Required status check "build" is expected.', Outcome.DECLINED),
        ("push declined due to email privacy restrictions", "error: GH007: Your push would publish a private", Outcome.CONTENT),
        ("Internal Server Error", "", Outcome.BUSY),
        ("pre-receive hook declined", "GitLab: You are not allowed to force push code to a protected branch", Outcome.DECLINED),
        ("pre-receive hook declined", "PUSH BLOCKED: Secrets detected in code changes", Outcome.CONTENT),
        (
            "pre-receive hook declined",
            "GitLab: You are attempting to check in one or more blobs which exceed the",
            Outcome.CONTENT,
        ),
        ("pre-receive hook declined", "Gitea: User permission denied for writing.", Outcome.DECLINED),
        ("pre-receive hook declined", "Forgejo: Internal Server Connection Error", Outcome.BUSY),
        ("pre-receive hook declined", "Permission denied to update branch master.", Outcome.DECLINED),
        ("prohibited by Gerrit: not permitted: update", "", Outcome.DECLINED),
    ],
)
def test_the_words_of_other_servers_are_understood(summary: str, said: str, expected: Outcome) -> None:
    assert classify(refused(summary, said), "refs/heads/master", Seen(True, unmoved=True)) is expected


def test_what_the_remote_answers_counts_more_than_any_words() -> None:
    ref = "refs/heads/master"
    assert classify(refused("pre-receive hook declined"), ref, Seen(True, contains=True)) is Outcome.LANDED
    assert classify(refused("pre-receive hook declined"), ref, Seen(True)) is Outcome.MOVED
    assert (
        classify(Pushed(0, "To x\n \tabc:refs/heads/master\ta..b\nDone\n", ""), ref, Seen(True, unmoved=True)) is Outcome.OPEN
    )
    assert classify(Pushed(0, "", ""), ref, Seen(False)) is Outcome.UNREACHABLE


def test_a_server_that_dies_without_a_report_leaves_it_open() -> None:
    text = "To x\n!\tabc:refs/heads/master\t[remote failure] (remote failed to report status)\n"
    assert classify(Pushed(1, text, ""), "refs/heads/master", Seen(True, unmoved=True)) is Outcome.OPEN


def test_the_aborted_transaction_of_a_newer_git_leaves_it_open() -> None:
    said = "fatal: in 'prepared' phase, update aborted by the reference-transaction hook\n"
    assert classify(Pushed(128, "", said), "refs/heads/master", Seen(True, unmoved=True)) is Outcome.OPEN


def test_the_review_address_is_the_one_for_opening_a_review() -> None:
    said = (
        "remote: Bypassed? see https://docs.example.org/rules\nremote: Create a pull request for 'x' by visiting:\n"
        "remote:      https://github.com/a/b/pull/new/ada/x\x1b[0m\nhttps://not.said.by/the/server/pull\n"
    )
    assert review_url(said) == "https://github.com/a/b/pull/new/ada/x"
    assert review_url("https://not.said.by/the/server/pull\n") is None


@pytest.mark.slow
@pytest.mark.parametrize("answers", [True, False])
def test_a_push_is_given_up_only_where_the_remote_answers_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(target, "_SILENCE", 0.6)
    script = scene.world.root / "ssh"
    silent = "sleep 3" if answers else "sleep 60"
    others = "eval" if answers else "sleep 60; eval"
    script.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncase $last in *receive*) {silent}; eval "$last";; *) {others} "$last";; esac\n'
    )
    script.chmod(0o755)
    scene.world.git("config", "core.sshCommand", str(script))
    scene.world.git("remote", "set-url", "origin", f"host:{scene.world.remote}")
    pushed = scene.push()
    assert (pushed.code == 0) is answers  # waited for to its end, the other would have gone well after a minute
    if not answers:
        assert classify(pushed, "refs/heads/master", Seen(False)) is Outcome.UNREACHABLE
        assert "said nothing more" in words(pushed.stderr)
