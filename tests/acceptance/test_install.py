"""The gate in a clone: put in front of whatever is there, reached by every push, and taken out without a trace."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from homelab.gate import sources
from homelab.git.version import git_version
from homelab.install import shim
from tests.support.hooks import (
    CONFIG,
    assert_guarded,
    framework,
    hook,
    install,
    lose_the_program,
    snapshot,
    uninstall,
    without_program,
)
from tests.support.world import World


@pytest.mark.slow
def test_a_clone_without_hooks_gets_one_and_loses_it_again(world: World) -> None:
    before = snapshot(world)
    install(world)
    assert (world.clone / ".git/hooks/pre-push").stat().st_mode & 0o111
    assert world.json("hooks", "status")["gate"] == "whole"
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before
    assert world.json("hooks", "status")["gate"] == "none"


def test_the_hook_starts_the_python_that_installed_it(world: World) -> None:
    install(world)
    program = shim.program(world.clone / ".git/hooks/pre-push")
    assert program is not None and Path(program).resolve() == Path(sys.executable).resolve()
    assert world.git("symbolic-ref", sources.TARGET) == "refs/remotes/origin/master"


def test_a_clone_whose_template_had_no_hooks_folder_gets_one(world: World) -> None:
    shutil.rmtree(world.clone / ".git/hooks")
    install(world)
    assert_guarded(world)


@pytest.mark.slow
def test_installing_twice_is_installing_once(world: World) -> None:
    hook(world, "exit 0")
    before = snapshot(world)
    install(world)
    once = snapshot(world)
    install(world)
    assert snapshot(world) == once
    uninstall(world)
    uninstall(world)
    assert snapshot(world) == before


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_a_hand_written_hook_runs_behind_the_gate_and_comes_back_as_it_was(world: World, mode: int) -> None:
    hook(world, 'cat >"$(git rev-parse --git-dir)/seen"; echo "$@" >>"$(git rev-parse --git-dir)/seen"', mode=mode)
    before = snapshot(world)
    install(world)
    head = world.git("rev-parse", "HEAD")
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/feature")
    seen = world.clone / ".git/seen"
    if mode & 0o100:
        line = f"HEAD {head} refs/heads/feature {'0' * 40}"
        assert seen.read_text() == f"{line}\norigin {world.remote}\n"
    else:
        assert not seen.exists()
    assert_guarded(world)
    uninstall(world)
    assert {k: v[0] for k, v in snapshot(world).items()} == {k: v[0] for k, v in before.items()}
    assert snapshot(world) == before


def test_a_hand_written_hook_may_still_refuse(world: World) -> None:
    hook(world, "exit 1")
    install(world)
    assert world.run("git", "push", "origin", "HEAD:refs/heads/feature", check=False).returncode != 0
    assert world.tip("refs/heads/feature") == ""


def test_a_hook_that_is_a_link_stays_a_link(world: World) -> None:
    world.write({"scripts/pre-push": "#!/bin/sh\nexit 0\n"})
    (world.clone / "scripts/pre-push").chmod(0o755)
    (world.clone / ".git/hooks/pre-push").symlink_to("../../scripts/pre-push")
    before = snapshot(world)
    install(world)
    assert (world.clone / "scripts/pre-push").read_text() == "#!/bin/sh\nexit 0\n"
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before


def test_a_linked_worktree_shares_the_gate_and_may_install_it(world: World) -> None:
    linked = world.root / "linked worktree"
    world.git("worktree", "add", "--quiet", "-b", "wt", linked)
    install(world, cwd=linked)
    assert world.json("hooks", "status")["gate"] == "whole"
    assert_guarded(world, cwd=linked)
    assert_guarded(world)


def test_install_answers_in_json(world: World) -> None:
    hook(world, "exit 0")
    answer = world.json("hooks", "install")
    assert answer["ok"] is True
    assert answer["gate"] == "whole"
    assert answer["chained"] == [str(world.clone / ".git/hooks/pre-push.homelab-next")]
    assert world.json("hooks", "uninstall")["gate"] == "none"


def test_outside_a_repository_it_is_wrong_usage(world: World) -> None:
    done = world.homelab("hooks", "install", cwd=world.root)
    assert done.returncode == 2
    assert "homelab: hint: " in done.stderr


def test_without_a_remote_main_and_master_are_guarded(world: World) -> None:
    world.git("remote", "remove", "origin")
    install(world)
    lose_the_program(world)
    done = world.run("git", "push", world.remote, "HEAD:refs/heads/main", check=False)
    assert "gone" in done.stderr
    assert world.tip("refs/heads/main") == ""


# -- at any moment ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_install_that_was_killed_between_its_steps_is_finished_by_the_next(world: World) -> None:
    path = hook(world, "exit 0")
    before = snapshot(world)
    os.link(path, path.with_name("pre-push.homelab-next"))
    uninstall(world)
    assert snapshot(world) == before
    os.link(path, path.with_name("pre-push.homelab-next"))
    install(world)
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before


def test_a_kept_hook_that_lost_its_place_is_set_aside_and_not_overwritten(world: World) -> None:
    hook(world, "echo one")
    install(world)
    hook(world, "echo two")  # over ours
    install(world)
    contents = sorted(path.read_text() for path in (world.clone / ".git/hooks").glob("pre-push.homelab-next*"))
    assert contents == ["#!/bin/sh\necho one\n", "#!/bin/sh\necho two\n"]


@pytest.mark.slow
def test_many_installs_at_once_make_one_chain(world: World) -> None:
    hook(world, "exit 0")
    before = snapshot(world)
    program = Path(sys.executable).parent / "homelab"
    running = [
        subprocess.Popen([program, "hooks", "install"], cwd=world.clone, env=world.env, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert [child.wait(60) for child in running] == [0] * 4
    assert_guarded(world)
    uninstall(world)
    assert snapshot(world) == before


@pytest.mark.slow
@pytest.mark.parametrize("hooks_path", [None, ".githooks"])
def test_killed_at_any_moment_the_hooks_still_run_and_everything_can_be_undone(world: World, hooks_path: str | None) -> None:
    hook(world, 'touch "$(git rev-parse --show-toplevel)/ran"', f"{hooks_path or '.git/hooks'}/pre-push")
    if hooks_path:
        world.git("config", "core.hooksPath", hooks_path)
    before = snapshot(world)
    program = Path(sys.executable).parent / "homelab"
    for round_ in range(40):
        verb = ("install", "uninstall")[round_ % 2]
        child = subprocess.Popen([program, "hooks", verb], cwd=world.clone, env=world.env, stderr=subprocess.DEVNULL)
        time.sleep(0.1 + 0.012 * (round_ % 20))
        child.send_signal(signal.SIGKILL)
        child.wait()
        (world.clone / "ran").unlink(missing_ok=True)
        world.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/feature")
        assert (world.clone / "ran").exists()
        (world.clone / "ran").unlink()
    install(world)
    uninstall(world)
    assert snapshot(world) == before


# -- the receiving side -----------------------------------------------------------------------------------------------


def test_a_server_refuses_what_its_program_cannot_judge(world: World) -> None:
    world.server_hook("pre-receive", "cat >seen")
    before = (world.remote / "hooks/pre-receive").read_bytes()
    assert world.homelab("hooks", "install", "--server", world.remote, cwd=world.root).returncode == 0
    ours = world.remote / "hooks/pre-receive"
    ours.write_bytes(without_program(ours.read_bytes()))
    tip = world.tip()
    world.commit({"a": "1"})
    done = world.run("git", "push", "--no-verify", "origin", "HEAD:refs/heads/f", "HEAD:refs/heads/master", check=False)
    assert done.returncode != 0
    assert world.tip() == tip
    assert world.tip("refs/heads/f") == ""
    for branch in ("release/1", "master2"):  # nobody can say what is protected
        assert world.run("git", "push", "--no-verify", "origin", f"HEAD:refs/heads/{branch}", check=False).returncode != 0
    world.git("push", "--quiet", "--no-verify", "origin", "HEAD:refs/tags/v1")
    assert "refs/tags/v1" in (world.remote / "seen").read_text()
    assert world.homelab("hooks", "uninstall", "--server", world.remote).returncode == 0
    assert ours.read_bytes() == before


@pytest.mark.parametrize("where", ["clone", "clone/.git", "nowhere", "remote.git/objects"])
def test_a_server_is_a_bare_repository(world: World, where: str) -> None:
    done = world.homelab("hooks", "install", "--server", world.root / where, cwd=world.root)
    assert done.returncode == 2
    assert "homelab: hint: " in done.stderr


# -- kept by its own name ---------------------------------------------------------------------------------------------

#: Goes by its own name, as autohook, husky 4 and most hand-written dispatchers do, and reads what lies beside it.
DISPATCHER = '. "$(dirname "$0")/beside.sh"; basename "$0" >>"$(git rev-parse --git-common-dir)/called"'


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "link", "behind pre-commit", "hooks path", "server"])
def test_a_chained_hook_is_called_by_its_own_name_and_finds_its_neighbours(world: World, how: str) -> None:
    name = "pre-receive" if how == "server" else "pre-push"
    folder = world.remote / "hooks" if how == "server" else world.clone / (".hooks" if how == "hooks path" else ".git/hooks")
    folder.mkdir(exist_ok=True)
    (folder / "beside.sh").write_text("")
    real = folder.parent / "scripts/dispatch" if how == "link" else folder / name
    real.parent.mkdir(exist_ok=True)
    real.write_text(f"#!/bin/sh\n{DISPATCHER}\n")
    real.chmod(0o755)
    if how == "link":
        (folder / name).symlink_to("../scripts/dispatch")
    if how == "hooks path":
        world.git("config", "core.hooksPath", ".hooks")
    if how == "behind pre-commit":
        world.commit({".pre-commit-config.yaml": CONFIG})
        framework(world, "pre-commit")
    before = {path.name: path.lstat().st_ino for path in folder.iterdir()}
    server: list[str | Path] = ["--server", world.remote] if how == "server" else []
    for _ in range(2):
        assert world.homelab("hooks", "install", *server).returncode == 0
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/feature")
    called = (world.remote if how == "server" else world.clone / ".git") / "called"
    assert called.read_text() == f"{name}\n"
    assert world.homelab("hooks", "uninstall", *server).returncode == 0
    assert {path.name: path.lstat().st_ino for path in folder.iterdir()} == before


# -- what takes the gate out by itself --------------------------------------------------------------------------------


DISPLACED: dict[str, Callable[[World], object]] = {
    "husky": lambda world: world.git("config", "core.hooksPath", ".husky/_"),
    "renamed": lambda world: (world.clone / ".git/hooks/pre-push").rename(world.clone / ".git/hooks/pre-push.old"),
    "overwritten": lambda world: hook(world, "exit 0"),
    "removed": lambda world: (world.clone / ".git/hooks/pre-push").unlink(),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", DISPLACED)
def test_every_command_says_in_one_line_that_the_gate_was_taken_out(world: World, how: str) -> None:
    world.commit({"x": "1"})
    assert "taken out" not in world.homelab("work", "list").stderr
    install(world)
    assert "taken out" not in world.homelab("work", "list").stderr
    DISPLACED[how](world)
    for command in (["work", "list"], ["verify"], ["claims"], ["manifest", "--json"]):
        done = world.homelab(*command)
        assert [row for row in done.stderr.splitlines() if "taken out" in row and "homelab hooks install" in row], done
    install(world)
    assert "taken out" not in world.homelab("work", "list").stderr
    uninstall(world)
    assert "taken out" not in world.homelab("work", "list").stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [["work", "list"], ["hooks", "install"], ["verify"]])
def test_a_clone_that_was_moved_gets_its_gate_back_and_can_lose_it_as_before(world: World, command: list[str]) -> None:
    world.git("config", "core.hooksPath", ".husky")
    install(world)
    world.clone.rename(world.root / "moved")
    moved = World(world.root / "m", world.env)
    moved.root.mkdir()
    (world.root / "moved").rename(moved.clone)
    world.remote.rename(moved.remote)
    moved.git("remote", "set-url", "origin", moved.remote)
    assert [row["id"] for row in moved.json("doctor")["findings"] if row["severity"] == "failure"] == ["hooks-path-gone"]
    assert moved.homelab(*command).returncode == 0
    assert moved.json("hooks", "status")["gate"] == "whole"
    assert_guarded(moved)
    uninstall(moved)
    assert moved.git("config", "core.hooksPath") == ".husky"


@pytest.mark.slow
def test_a_hook_of_another_version_is_renewed_by_any_command(world: World) -> None:
    install(world)
    path = world.clone / ".git/hooks/pre-push"
    path.write_bytes(path.read_bytes() + b"# another version\n")
    assert "renewed" in world.homelab("work", "list").stderr
    assert shim.is_current(path)
    path.write_bytes(re.sub(rb"(?m)^python=.*$", b"python=/bin/sh", path.read_bytes()) + b"# of another installation\n")
    assert "renewed" not in world.homelab("work", "list").stderr
    assert not shim.is_current(path)


def test_a_server_may_be_named_where_only_explicit_bare_repositories_are_trusted(world: World) -> None:
    world.git("config", "--global", "safe.bareRepository", "explicit")
    for verb in ("install", "uninstall"):
        done = world.homelab("hooks", verb, "--server", world.remote)
        assert done.returncode == 0, done.stderr


def named(world: World, *settings: tuple[str, str]) -> None:
    for number, (name, value) in enumerate(settings):
        world.env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    world.env["GIT_CONFIG_COUNT"] = str(len(settings))


@pytest.mark.slow
def test_no_command_of_the_configuration_takes_the_place_of_the_gate(gated: World) -> None:
    one, other = [("hook.one.event", "pre-push"), ("hook.one.command", "cat")], ("hook.other.event", "pre-push")
    parallel = [("hook.jobs", "4"), ("hook.one.parallel", "true")]
    red = gated.commit({"bad": "1"})
    for settings in (
        one, [*one, *parallel], [*one, ("hook.one.enabled", "false")], [*one, ("hook.pre-push.enabled", "false")],
        [("hook.pre-push.enabled", "false")], [*one, other], [("hook.pre-push.event", "pre-push")],
    ):  # fmt: skip
        named(gated, *settings)
        assert gated.run("git", "push", "origin", "HEAD:master", check=False).returncode, settings
        assert red not in gated.refs(), settings
        if git_version() < (2, 54):
            continue
        # A command that is missing, or one with a hook's name, and git ends before any hook.
        is_broken = settings[-1] in (other, ("hook.pre-push.event", "pre-push"))
        found = [row["id"] for row in gated.json("doctor")["findings"]]
        assert ("hooks-config" in found) is is_broken, settings
        runs = one[0] in settings and not is_broken and settings[-1][1] != "false"
        assert gated.json("hooks", "status")["chained"] == ["hook.one"] * runs, settings
