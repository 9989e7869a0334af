"""git as people have set it up: whatever its configuration and environment say, every command does and answers the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.world import World

Setting = Callable[[World], dict[str, str]]


def configured(**values: str) -> Setting:
    """Return what sets configuration variables, whose dots are written as two underscores."""

    def apply(world: World) -> dict[str, str]:
        for name, value in values.items():
            world.git("config", "--global", name.replace("__", "."), value)
        return {}

    return apply


def environment(**values: str) -> Setting:
    return lambda world: values


def colours(world: World) -> dict[str, str]:
    apply = configured(
        color__ui="always", color__status="always", column__ui="always", log__decorate="full", status__short="true",
        status__branch="true", status__showUntrackedFiles="no", core__abbrev="4", format__pretty="oneline",
        log__date="relative", core__quotePath="false", log__showSignature="false", log__abbrevCommit="true",
    )  # fmt: skip
    return apply(world)


def patches(world: World) -> dict[str, str]:
    apply = configured(
        diff__noprefix="true", diff__mnemonicPrefix="true", diff__external="false", diff__renames="copies",
        diff__algorithm="patience", diff__context="0", diff__ignoreSubmodules="all", diff__suppressBlankEmpty="true",
    )  # fmt: skip
    return apply(world)


def habits(world: World) -> dict[str, str]:
    apply = configured(
        merge__ff="only", push__default="nothing", push__followTags="true", push__autoSetupRemote="true", fetch__prune="true",
        fetch__all="true", pull__rebase="true", rerere__enabled="true", commit__verbose="true", branch__autoSetupMerge="always",
        protocol__version="0", checkout__defaultRemote="origin", remote__pushDefault="nowhere", core__pager="false",
        merge__conflictStyle="zdiff3", core__logAllRefUpdates="false", gc__auto="1", advice__statusHints="false",
    )  # fmt: skip
    return apply(world)


def own_worktree(world: World) -> dict[str, str]:
    world.git("config", "core.worktree", str(world.clone))
    return {}


def shared(world: World) -> dict[str, str]:
    for folder in (world.clone, world.remote):
        world.git("config", "core.sharedRepository", "group", cwd=folder)
    return {}


def ssh(world: World) -> dict[str, str]:
    program = world.root / "ssh"
    program.write_text(f'#!/bin/sh\nfor last; do :; done\nexec sh -c "git ${{last#git-}}"\n# {world.remote}\n')
    program.chmod(0o755)
    world.git("config", "core.sshCommand", str(program))
    world.git("remote", "set-url", "origin", f"git@host.example:{world.remote}")
    return {}


def ssh_by_include(world: World) -> dict[str, str]:
    ssh(world)
    program = world.git("config", "core.sshCommand")
    world.git("config", "--unset", "core.sshCommand")
    included = world.root / "included"
    world.git("config", "--file", included, "core.sshCommand", program)
    world.git("config", "--global", f"includeIf.gitdir:{world.clone}/.path", str(included))
    return {}


def second_address(world: World) -> dict[str, str]:
    mirror = world.root / "mirror.git"
    world.git("clone", "--quiet", "--bare", world.remote, mirror, cwd=world.root)
    for address in (world.remote, mirror):
        world.git("remote", "set-url", "--add", "--push", "origin", str(address))
    return {}


#: As an option of the command would have it: the tests' own git has to find the bare remote.
EXPLICIT = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.bareRepository", "GIT_CONFIG_VALUE_0": "explicit"}

SETTINGS: dict[str, Setting] = {
    "colours": colours,
    "patches": patches,
    "habits": habits,
    "core.worktree": own_worktree,
    "safe.bareRepository": environment(**EXPLICIT),
    "core.sharedRepository": shared,
    "core.sshCommand": ssh,
    "includeIf": ssh_by_include,
    "two push addresses": second_address,
    "traces": environment(GIT_TRACE="1", GIT_TRACE2="1", GIT_TRACE_PACKET="true", GIT_TRACE_SETUP="2"),
    "words": environment(LC_ALL="de_DE.UTF-8", LANGUAGE="de", GIT_PAGER="false", PAGER="false", GIT_EDITOR="false"),
    "flags": environment(GIT_LITERAL_PATHSPECS="1", GIT_ICASE_PATHSPECS="0", GIT_REFLOG_ACTION="x", GIT_ADVICE="0"),
    "places": environment(GIT_CEILING_DIRECTORIES="/", GIT_DISCOVERY_ACROSS_FILESYSTEM="0", GIT_OPTIONAL_LOCKS="1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_work_starts_lands_and_is_cleaned_away(gated: World, name: str) -> None:
    world = gated
    env = SETTINGS[name](world)
    done = world.homelab("work", "start", "x", env=env)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    (path / "mine").write_text("1\n")
    world.git("add", "mine", cwd=path)
    world.git("commit", "--quiet", "-m", "mine", cwd=path)
    world.publish({"theirs": "1"})
    row = next(row for row in world.json("work", "list", env=env) if row["topic"] == "x")
    assert (row["dirty"], row["landed"], row["ahead"], row["missing"]) == (False, False, 1, False)
    landed = world.json("work", "land", cwd=path, env=env)
    assert landed["status"] == "landed" and world.tip() == landed["pushed"], landed
    assert world.git("ls-tree", "--name-only", "HEAD", cwd=world.remote).split() == ["README", "homelab.toml", "mine", "theirs"]
    assert world.homelab("verify", cwd=path, env=env).returncode == 0
    world.git("fetch", "--quiet", cwd=path)
    world.git("reset", "--quiet", "--hard", "origin/master", cwd=path)
    (path / "bad").write_text("1\n")
    world.git("add", "bad", cwd=path)
    world.git("commit", "--quiet", "-m", "bad", cwd=path)
    pushed = world.run("git", "push", "origin", "HEAD:master", cwd=path, env=env, check=False)
    assert pushed.returncode == 1 and world.tip() == landed["pushed"] and "red" in pushed.stderr, pushed.stderr
    kept = world.homelab("work", "clean", "x", env=env)
    assert kept.returncode == 3 and "unlanded: 1 commit" in kept.stderr and path.exists(), kept.stderr
    world.git("reset", "--quiet", "--hard", "HEAD~", cwd=path)
    cleaned = world.homelab("work", "clean", "x", env=env)
    assert cleaned.returncode == 0 and not path.exists(), cleaned.stderr


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_server_that_is_named_needs_not_be_found(world: World, verb: str) -> None:
    assert world.homelab("hooks", "install", "--server", world.remote).returncode == 0
    done = world.homelab("hooks", verb, "--server", world.remote, env=EXPLICIT)
    assert done.returncode == 0, done.stderr
