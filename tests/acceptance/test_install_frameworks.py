"""The gate beside pre-commit, prek, lefthook and husky: before, behind and instead of them."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.hooks import CONFIG, assert_guarded, framework, hook, install, snapshot, uninstall
from tests.support.world import World

FRAMEWORKS = ["pre-commit", "prek"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_under_a_framework_the_gate_stands_in_its_legacy_slot(world: World, name: str) -> None:
    world.commit({".pre-commit-config.yaml": CONFIG})
    framework(world, name)
    before = snapshot(world)
    install(world)
    answer = world.json("hooks", "status")
    assert (answer["gate"], answer["chained"]) == ("whole", [name])
    assert answer["ours"].endswith("pre-push.legacy")
    assert_guarded(world)
    assert (world.clone / "framework-ran").exists()
    framework(world, name)  # its next install leaves us where we are
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_is_installed_later_takes_the_gate_along(world: World, name: str) -> None:
    hook(world, 'touch "$(git rev-parse --show-toplevel)/hand-written-ran"')
    world.commit({".pre-commit-config.yaml": CONFIG})
    install(world)
    framework(world, name)
    assert world.json("hooks", "status")["gate"] == "whole"
    assert_guarded(world)
    assert (world.clone / "framework-ran").exists()
    assert (world.clone / "hand-written-ran").exists()
    install(world)
    assert_guarded(world)
    uninstall(world)
    assert "hand-written-ran" in (world.clone / ".git/hooks/pre-push.legacy").read_text()
    assert not (world.clone / ".git/hooks/pre-push.homelab-next").exists()
    framework(world, name, "uninstall")
    assert "hand-written-ran" in (world.clone / ".git/hooks/pre-push").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_leaves_first_gives_the_gate_its_place_back(world: World, name: str) -> None:
    hook(world, "exit 0")
    before = snapshot(world)
    world.commit({".pre-commit-config.yaml": CONFIG})
    framework(world, name)
    install(world)
    framework(world, name, "uninstall")
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_forced_install_takes_the_gate_out_and_status_says_so(world: World, name: str) -> None:
    world.commit({".pre-commit-config.yaml": CONFIG})
    install(world)
    framework(world, name)
    framework(world, name, "install", "-f")
    assert world.json("hooks", "status")["gate"] == "none"
    install(world)
    assert_guarded(world)


@pytest.mark.slow
def test_a_legacy_hook_that_is_not_executable_is_not_a_gate(world: World) -> None:
    world.commit({".pre-commit-config.yaml": CONFIG})
    framework(world, "pre-commit")
    install(world)
    (world.clone / ".git/hooks/pre-push.legacy").chmod(0o644)
    assert world.json("hooks", "status")["gate"] == "none"
    install(world)
    assert_guarded(world)


def npm(world: World, package: str) -> None:
    """The package is installed in the clone by npm."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    world.write({"package.json": '{"name": "x", "private": true}\n', ".gitignore": "node_modules\n"})
    env = {name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")}
    argv = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package)
    done = world.run(*argv, check=False, env={**env, "HOME": os.environ["HOME"]}, timeout=110)
    if done.returncode:
        pytest.skip(f"npm cannot install {package}: {done.stderr[-300:]}")


def lefthook_runs(world: World) -> bool:
    """Push a change of a file, since lefthook skips jobs for a push without one."""
    world.commit({"a-file": "1"})
    world.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/a-feature")
    return (world.clone / "framework-ran").exists()


LEFTHOOK = "pre-push:\n  jobs:\n  - run: touch framework-ran\n"


@pytest.mark.slow
def test_lefthook_runs_behind_the_gate(world: World) -> None:
    npm(world, "lefthook")
    world.write({"lefthook.yml": LEFTHOOK})
    world.run("npx", "lefthook", "install")
    before = snapshot(world)
    install(world)
    assert world.json("hooks", "status")["chained"] == ["lefthook"]
    assert_guarded(world)
    assert lefthook_runs(world)
    uninstall(world)
    assert snapshot(world) == before


@pytest.mark.slow
def test_lefthook_that_is_installed_over_the_gate_is_found_and_chained(world: World) -> None:
    npm(world, "lefthook")
    world.write({"lefthook.yml": LEFTHOOK})
    install(world)
    world.run("npx", "lefthook", "install")
    assert world.json("hooks", "status")["gate"] == "none"
    assert [finding["id"] for finding in world.json("doctor")["findings"] if finding["severity"] == "failure"] == [
        "overwritten"
    ]
    install(world)
    assert_guarded(world)
    assert lefthook_runs(world)


@pytest.mark.slow
def test_husky_runs_behind_the_gate_in_every_worktree_that_has_it(world: World) -> None:
    npm(world, "husky")
    world.run("npx", "husky")
    world.write({".husky/pre-push": "touch framework-ran\n", ".husky/commit-msg": 'echo by-husky >>"$1"\n'})
    before = snapshot(world)
    tracked = world.git("status", "--porcelain")
    install(world)
    assert world.git("status", "--porcelain") == tracked
    assert_guarded(world)
    assert (world.clone / "framework-ran").exists()
    assert "by-husky" in world.git("log", "-1", "--format=%B", world.commit({"a": "1"}))
    linked = world.root / "linked"
    world.git("worktree", "add", "--quiet", linked)
    assert_guarded(world, cwd=linked)  # where husky itself is silent: .husky/_ is ignored
    world.run("npx", "husky")  # every npm install does it, and moves the path away
    assert world.json("hooks", "status")["gate"] == "none"
    install(world)
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before
    assert world.git("config", "core.hooksPath") == ".husky/_"


def test_lefthook_keeps_its_slot_and_the_gate_stands_where_it_does_not_write(world: World) -> None:
    path = hook(world, 'call_lefthook() { :; }; call_lefthook run "pre-push" "$@"; touch "$(git rev-parse --git-dir)/seen"')
    before = snapshot(world)
    install(world)
    assert path.read_bytes() == before[str(path)][1]
    assert world.git("config", "core.hooksPath") == str(world.clone / ".git/homelab/hooks")
    assert_guarded(world)
    assert (world.clone / ".git/seen").exists()
    uninstall(world)
    assert snapshot(world) == before
