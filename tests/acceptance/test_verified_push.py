"""The hook `verified-push` where pre-commit or prek start it: a part of the gate, which says so."""

import pytest

from tests.support.world import SUITE, World

CONFIG = """\
repos:
- repo: local
  hooks:
  - id: verified-push
    name: verified-push
    entry: homelab-verified-push
    language: system
    stages: [pre-push]
    always_run: true
    pass_filenames: false
    verbose: true
    args: [{args}]
"""


@pytest.fixture(params=["pre-commit", "prek"])
def framed(request: pytest.FixtureRequest, world: World) -> World:
    """A clone whose pre-push belongs to a framework that runs our hook."""
    world.commit({".pre-commit-config.yaml": CONFIG.format(args="")})
    world.git("push", "--quiet", "origin", "master")
    world.run(request.param, "install", "--hook-type", "pre-push")
    return world


def push(world: World, *args: str) -> tuple[int, str]:
    done = world.run("git", "push", *args, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_green_push_passes_and_the_missing_part_is_named(framed: World) -> None:
    head = framed.commit({"x": "1"})
    code, words = push(framed, "origin", "master")
    assert (code, framed.tip()) == (0, head)
    assert "homelab hooks install" in words


@pytest.mark.slow
def test_a_red_push_is_refused(framed: World) -> None:
    framed.commit({"bad": "1"})
    before = framed.refs()
    code, words = push(framed, "origin", "master")
    assert code == 1 and framed.refs() == before and "red" in words and "Traceback" not in words


def test_the_pushed_commit_decides_whatever_is_checked_out(framed: World) -> None:
    framed.commit({"bad": "1"})
    framed.git("checkout", "--quiet", "-b", "elsewhere", "HEAD~1")
    before = framed.refs()
    assert push(framed, "origin", "master")[0] == 1 and framed.refs() == before


@pytest.mark.slow
def test_where_the_whole_gate_is_asked_for_a_part_is_refused(framed: World) -> None:
    framed.commit({".pre-commit-config.yaml": CONFIG.format(args="--whole")})
    before = framed.refs()
    code, words = push(framed, "origin", "master")
    assert code == 1 and framed.refs() == before and "whole gate" in words
    assert framed.homelab("hooks", "install").returncode == 0
    assert push(framed, "origin", "master")[0] == 0


@pytest.mark.slow
def test_beside_the_whole_gate_nothing_is_run_twice(framed: World) -> None:
    count = framed.root / "count"
    framed.commit({"homelab.toml": SUITE.replace("test ! -e bad", f"echo >> {count}; test ! -e bad")})
    assert framed.homelab("hooks", "install").returncode == 0
    assert push(framed, "origin", "master")[0] == 0
    assert count.read_text() == "\n"
    framed.commit({"bad": "1"})
    before = framed.refs()
    assert push(framed, "origin", "master")[0] == 1 and framed.refs() == before
    assert count.read_text() == "\n\n"


@pytest.mark.slow
def test_what_a_framework_does_not_show_is_seen_by_the_whole_gate(framed: World) -> None:
    framed.git("branch", "aaa")
    assert push(framed, "origin", "aaa")[0] == 0
    assert framed.homelab("hooks", "install").returncode == 0
    framed.commit({"bad": "1"})
    before = framed.refs()
    assert push(framed, "origin", "aaa", "master")[0] == 1
    assert push(framed, "origin", ":master")[0] == 1
    done = framed.run("git", "push", "origin", "master", env={"SKIP": "verified-push"}, check=False)
    assert done.returncode == 1 and framed.refs() == before


def test_outside_a_push_there_is_nothing_to_judge(world: World) -> None:
    done = world.run("homelab-verified-push")
    assert "no push to judge" in done.stderr
