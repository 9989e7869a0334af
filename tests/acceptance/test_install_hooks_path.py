"""The gate where core.hooksPath leads elsewhere, or into what the tree tracks."""

from __future__ import annotations

import shutil

import pytest

from homelab.git.version import git_version
from tests.support.hooks import assert_guarded, hook, install, snapshot, uninstall
from tests.support.world import World


@pytest.mark.slow
def test_a_tracked_hooks_path_is_not_written_to_and_all_its_hooks_still_run(world: World) -> None:
    hook(
        world,
        'touch "$(git rev-parse --git-common-dir)/pushed"; echo "$0" >"$(git rev-parse --git-common-dir)/name"',
        ".githooks/pre-push",
    )
    hook(world, 'echo checked >>"$1"', ".githooks/commit-msg")
    world.git("add", ".githooks")
    world.git("commit", "--quiet", "-m", "hooks")
    world.git("config", "core.hooksPath", ".githooks")
    before = snapshot(world)
    install(world)
    assert world.git("status", "--porcelain") == ""
    assert world.json("hooks", "status")["chained"] == [str(world.clone / ".githooks/pre-push")]
    world.commit({"a": "1"})
    assert "checked" in world.git("log", "-1", "--format=%B")
    linked = world.root / "linked"
    world.git("worktree", "add", "--quiet", linked)
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/f", cwd=linked)
    assert (world.clone / ".git/name").read_text() == ".githooks/pre-push\n"
    assert (world.clone / ".git/pushed").exists()
    install(world, cwd=linked)
    assert_guarded(world)
    assert_guarded(world, cwd=linked)
    uninstall(world)
    assert {**snapshot(world)} == before
    assert not (world.clone / ".git/homelab/hooks").exists()


def test_a_worktree_without_the_tracked_folder_is_still_guarded(world: World) -> None:
    world.git("config", "core.hooksPath", ".githooks")
    install(world)
    assert_guarded(world)


def test_a_global_hooks_path_is_honoured_and_left_alone(world: World) -> None:
    hook(world, 'touch "$HOME/global-ran"; exit 0', "../home/my hooks/pre-push")
    world.git("config", "--global", "core.hooksPath", "~/my hooks")
    before = snapshot(world)
    install(world)
    assert_guarded(world)
    assert (world.root / "home/global-ran").exists()
    uninstall(world)
    assert snapshot(world) == before
    assert world.git("config", "core.hooksPath") == "~/my hooks"


@pytest.mark.slow
def test_a_hooks_folder_that_is_a_link_into_the_tree_is_not_written_to(world: World) -> None:
    shutil.rmtree(world.clone / ".git/hooks")
    hook(world, "exit 0", "hooks.d/pre-push")
    (world.clone / ".git/hooks").symlink_to("../hooks.d")
    install(world)
    assert [path.name for path in (world.clone / "hooks.d").iterdir()] == ["pre-push"]
    assert_guarded(world)
    uninstall(world)
    assert world.run("git", "config", "core.hooksPath", check=False).returncode == 1


@pytest.mark.slow
def test_a_hooks_path_that_names_gits_own_folder_runs_the_gate_once(world: World) -> None:
    install(world)
    world.git("config", "core.hooksPath", str(world.clone / ".git/hooks"))
    install(world)
    assert not (world.clone / ".git/hooks/pre-push").exists()
    assert_guarded(world)
    uninstall(world)
    assert world.json("hooks", "status")["gate"] == "none"


@pytest.mark.slow
def test_a_hooks_path_of_one_worktree_is_given_back_from_any_other(world: World) -> None:
    linked = world.root / "linked"
    world.git("worktree", "add", "--quiet", linked)
    world.git("config", "extensions.worktreeConfig", "true")
    world.git("config", "--worktree", "core.hooksPath", ".githooks", cwd=linked)
    install(world)
    assert world.json("hooks", "status", cwd=linked)["gate"] == "none"
    install(world, cwd=linked)
    assert_guarded(world)
    assert_guarded(world, cwd=linked)
    uninstall(world)
    assert world.git("config", "core.hooksPath", cwd=linked) == ".githooks"
    assert world.run("git", "config", "core.hooksPath", check=False).returncode == 1


def test_a_hooks_path_that_cannot_be_overruled_is_refused_and_left_as_it_was(world: World) -> None:
    (world.root / "more").write_text("[core]\n\thooksPath = .githooks\n")
    with (world.clone / ".git/config").open("a") as file:
        file.write(f"[include]\n\tpath = {world.root / 'more'}\n")
    before = snapshot(world)
    done = world.homelab("hooks", "install")
    assert done.returncode == 3
    assert "homelab: hint: " in done.stderr
    assert snapshot(world) == before
    assert not (world.clone / ".git/homelab/hooks").exists()


def test_several_values_of_the_hooks_path_come_back(world: World) -> None:
    world.git("config", "--add", "core.hooksPath", "one")
    world.git("config", "--add", "core.hooksPath", "two")
    install(world)
    assert_guarded(world)
    uninstall(world)
    assert world.git("config", "--get-all", "core.hooksPath") == "one\ntwo"
    assert "homelab" not in (world.clone / ".git/config").read_text()


@pytest.mark.slow
def test_a_hooks_path_that_is_set_after_us_is_taken_again(world: World) -> None:
    install(world)
    world.git("config", "core.hooksPath", ".husky/_")
    assert world.json("hooks", "status")["gate"] == "none"
    install(world)
    assert_guarded(world)
    uninstall(world)
    assert world.git("config", "core.hooksPath") == ".husky/_"
    assert not (world.clone / ".git/hooks/pre-push").exists()


def test_a_hook_that_another_tool_put_into_our_folder_is_not_removed(world: World) -> None:
    world.git("config", "core.hooksPath", ".githooks")
    install(world)
    theirs = hook(world, "exit 0", ".git/homelab/hooks/post-commit")
    uninstall(world)
    assert theirs.exists()


@pytest.mark.slow
def test_a_tool_that_takes_our_folder_for_its_own_goes_on_running(world: World) -> None:
    world.git("config", "core.hooksPath", ".githooks")
    install(world)
    theirs = hook(world, 'touch "$(git rev-parse --git-dir)/theirs"', ".git/homelab/hooks/pre-push")
    assert world.json("hooks", "status")["gate"] == "none"
    install(world)
    assert_guarded(world)
    assert (world.clone / ".git/theirs").exists()
    uninstall(world)
    assert theirs.with_name("pre-push.homelab-next").exists()
    (world.clone / ".git/theirs").unlink()
    hook(world, 'touch "$(git rev-parse --git-dir)/former"', ".githooks/pre-push")
    install(world)
    assert_guarded(world)
    assert (world.clone / ".git/former").exists()
    assert not (world.clone / ".git/theirs").exists()


@pytest.mark.slow
@pytest.mark.skipif(git_version() < (2, 52), reason="git has paths that are optional from 2.52 on")
@pytest.mark.parametrize("scope", ["--local", "--global"])
def test_a_hooks_path_that_counts_once_it_is_there_is_found_before_that(world: World, scope: str) -> None:
    world.git("config", scope, "core.hooksPath", ":(optional).githooks")
    install(world)
    found = {row["id"]: row["repair"] for row in world.json("doctor")["findings"]}
    world.run("sh", "-c", found["hooks-path-later"])
    assert "hooks-path-later" not in {row["id"] for row in world.json("doctor")["findings"]}
    hook(world, 'touch "$(git rev-parse --git-common-dir)/theirs"', ".githooks/pre-push")
    assert_guarded(world)
    assert (world.clone / ".git/theirs").exists()
    uninstall(world)
    assert world.git("config", scope, "core.hooksPath") == ":(optional).githooks"
