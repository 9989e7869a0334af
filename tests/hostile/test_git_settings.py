"""git as people have set it up: whatever its configuration and environment say, every command does and answers the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from homelab.claims import stacks
from homelab.gate import markers
from homelab.git.repository import Repository
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


#: What people have `git log` show for their own eyes.
SHOWN = ("log.showRoot=false", "log.showSignature=true", "log.diffMerges=off", "log.diffMerges=first-parent", "log.follow=true")
SIGNATURE = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n"


def histories(world: World, files: dict[str, str]) -> dict[str, str]:
    """Return commits that bring the files each in its own way: as a root, signed, and by a merge whose parents have none."""
    program = world.root / "gpg"
    program.write_text("#!/bin/sh\necho gpg: a key that nobody has >&2\nexit 1\n")
    program.chmod(0o755)
    world.git("config", "gpg.program", str(program))
    base = world.git("rev-parse", "HEAD")
    plain = world.commit(files)
    tree = world.git("rev-parse", f"{plain}^{{tree}}")
    signed = world.git("cat-file", "commit", plain).replace("\n\n", f"\n{SIGNATURE}\n", 1) + "\n"
    other = world.git("commit-tree", "-p", base, "-m", "other", f"{base}^{{tree}}")
    return {
        "root": world.git("commit-tree", "-m", "root", tree),
        "signed": world.git("hash-object", "-t", "commit", "-w", "--stdin", input=signed),
        "merge": world.git("commit-tree", "-p", base, "-p", other, "-m", "merge", tree),
    }


@pytest.mark.parametrize("setting", SHOWN)
def test_a_history_is_read_the_same_whatever_people_have_it_show(world: World, setting: str) -> None:
    files = {".gitattributes": "secrets/** filter=git-crypt\n", "stacks/dns/main.tf": "1"}
    found = histories(world, files)
    world.git("config", *setting.split("="))
    repository = Repository(world.clone / ".git", world.clone / ".git", world.clone)
    for how, commit in found.items():
        shutil.rmtree(repository.state / "gate", ignore_errors=True)
        assert not markers._learn(repository, commit), how
        assert "stacks/dns/main.tf" in stacks.pushed(repository, commit), how


def test_a_history_is_read_in_one_way_only() -> None:
    package = Path(markers.__file__).parents[1]
    words = re.compile(r"(?:run|out|line|begin|ask|_ask)\(\s*\"(?:log|show|whatchanged|shortlog)\"")
    assert [path.name for path in package.rglob("*.py") if words.search(path.read_text())] == []


def test_a_stack_that_is_a_submodule_counts_whatever_gitmodules_says_of_it(world: World) -> None:
    hidden = '[submodule "dns"]\n\tpath = stacks/dns\n\turl = ../dns\n\tignore = all\n'
    world.commit({".gitmodules": hidden})
    world.git("update-index", "--add", "--cacheinfo", f"160000,{world.git('rev-parse', 'HEAD')},stacks/dns")
    repository = Repository(world.clone / ".git", world.clone / ".git", world.clone)
    assert stacks.staged(repository) == {"stacks/dns"}
    world.git("commit", "--quiet", "-m", "dns")
    assert stacks.pushed(repository, world.git("rev-parse", "HEAD")) == {".gitmodules", "stacks/dns"}
    assert stacks.touched(repository, "HEAD~1", "HEAD", frozenset({"stack:dns"})) == ["stack:dns"]


@pytest.mark.slow
def test_attributes_are_those_of_the_push_whatever_tree_git_is_told_to_read_them_from(gated: World) -> None:
    gated.publish({".gitattributes": "secrets/** filter=git-crypt\n"})
    gated.git("pull", "--quiet")
    gated.commit({"secrets/db": "password"})
    empty = gated.git("mktree", input="")
    ways: tuple[tuple[list[str], dict[str, str]], ...] = (
        (["-c", f"attr.tree={empty}"], {}),
        ([f"--attr-source={empty}"], {}),
        ([], {"GIT_ATTR_SOURCE": empty}),
    )
    for options, env in ways:
        done = gated.run("git", *options, "push", "origin", "HEAD:refs/heads/topic", env=env, check=False)
        assert done.returncode and "topic" not in str(gated.refs()), (options, done.stderr)
    gated.git("config", "--global", "attr.tree", empty)
    assert "plaintext" in gated.run("git", "push", "origin", "HEAD:refs/heads/topic", check=False).stderr


@pytest.mark.slow
def test_a_commit_of_a_year_that_no_calendar_has_is_shown_and_lands(gated: World) -> None:
    late = {"GIT_COMMITTER_DATE": "@999999999999 +0000", "GIT_AUTHOR_DATE": "@999999999999 +0000"}
    place = Path(gated.homelab("work", "start", "late").stdout.strip())
    gated.git("commit", "--quiet", "--allow-empty", "-m", "late", cwd=place, env=late)
    gated.commit({"mine": "1"}, cwd=place)
    for command in (("status",), ("work", "list"), ("work", "land"), ("work", "log"), ("status",), ("board", "--once")):
        done = gated.homelab(*command, cwd=place)
        assert done.returncode in (0, 2) and "Traceback" not in done.stderr, (command, done.stderr)
