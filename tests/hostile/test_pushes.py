"""A red commit and a protected branch: however the push is spelled, whatever surrounds it, the remote's branches stay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import eventually, is_alive
from tests.support.world import SUITE, World

RULES = '[gate]\nprotect = ["release/*"]\n' + SUITE
PROTECTED = ("refs/heads/master", "refs/heads/release/1")


@pytest.fixture
def red(gated: World) -> World:
    """The clone's master and release/1 are one red commit ahead of the remote's, and other names lead to the same commit."""
    oid = gated.commit({"homelab.toml": RULES})
    gated.git("push", "--quiet", "--no-verify", "origin", "HEAD:master", "HEAD:release/1")
    gated.git("fetch", "--quiet")
    gated.commit({"bad": "1"})
    gated.git("branch", "release/1")
    gated.git("branch", "topic")
    gated.git("symbolic-ref", "refs/heads/alias", "refs/heads/topic")
    gated.git("tag", "master")
    gated.git("tag", "--annotate", "--message=t", "v1")
    assert gated.tip() == oid
    return gated


def moved(world: World, *argv: str | Path, env: dict[str, str] | None = None) -> object:
    """Run what pushes, and return what happened if a protected branch moved, or git took it for done."""
    before = [world.tip(ref) for ref in PROTECTED]
    done = world.run(*argv, env=env, check=False)
    after = [world.tip(ref) for ref in PROTECTED]
    return None if after == before and done.returncode != 0 else (argv, env, done.stderr)


SPELLINGS = """
    push origin HEAD:master
    push origin master:master
    push origin heads/master:master
    push origin refs/tags/master:refs/heads/master
    push origin v1^0:refs/heads/master
    push origin alias:refs/heads/master
    push origin @:heads/master
    push origin :
    push origin +:
    push origin +refs/heads/*:refs/heads/*
    push origin topic:refs/heads/topic topic:refs/heads/release/1
    push --all origin
    push --mirror origin
    push --prune origin refs/heads/*:refs/heads/*
    push --atomic origin topic master refs/heads/release/1
    push --follow-tags origin heads/master
    push --tags origin heads/master
    push --force-with-lease origin HEAD:master
    push --force-with-lease --force-if-includes origin HEAD:master
    push --set-upstream origin HEAD:master
    push --porcelain --no-thin --ipv4 origin HEAD:master
    push --signed=if-asked origin HEAD:master
    push --receive-pack=git-receive-pack origin HEAD:master
    push --recurse-submodules=check origin HEAD:master
    push --delete origin master
    push origin :refs/heads/release/1 topic
    push {remote} HEAD:master
    push file://{remote} HEAD:master
    push {remote}/. HEAD:master
    push {clone}/../remote.git HEAD:master
    push second HEAD:master
    push lab:remote.git HEAD:master
    -c push.default=matching push origin
    -c push.default=current push
    -c push.default=upstream -c branch.master.remote=origin -c branch.master.merge=refs/heads/release/1 push
    -c remote.origin.push=refs/heads/topic:refs/heads/master push origin
    -c remote.origin.mirror=true push origin
    -c remote.pushDefault=second push
    -c branch.master.pushRemote=second push
    -c remote.origin.pushurl=file://{remote} push origin HEAD:master
    -c url.{remote}.pushInsteadOf=elsewhere: push elsewhere: HEAD:master
    -c protocol.version=0 push origin HEAD:master
"""


@pytest.mark.slow
def test_no_spelling_of_a_push_moves_a_protected_branch(red: World) -> None:
    red.git("remote", "add", "second", red.remote)
    red.git("config", f"url.{red.root}/.insteadOf", "lab:")
    lines = [line.format(remote=red.remote, clone=red.clone).split() for line in SPELLINGS.splitlines()]
    assert [wrong for words in lines if words and (wrong := moved(red, "git", *words))] == []


def variables(world: World) -> dict[str, str]:
    """Return variables of git's, of Python's and of ours that somebody's shell may carry, each with a value that misleads."""
    elsewhere = world.root / "elsewhere"
    world.git("init", "--quiet", elsewhere, cwd=world.root)
    broken = world.root / "broken"
    broken.mkdir()
    for name in ("homelab", "homelab_hooks", "sitecustomize"):
        (broken / f"{name}.py").write_text("import os\nos._exit(0)\n")
    rules = world.root / "rules.toml"
    rules.write_text('[[suite]]\nname = "check"\nrun = "true"\n')
    git = elsewhere / ".git"
    return {
        "GIT_DIR": str(world.clone / ".git"),
        "GIT_WORK_TREE": str(elsewhere),
        "GIT_COMMON_DIR": str(world.clone / ".git"),
        "GIT_NAMESPACE": "x",
        "GIT_SHALLOW_FILE": str(rules),
        "GIT_QUARANTINE_PATH": str(git / "objects"),
        "GIT_OBJECT_DIRECTORY": str(world.clone / ".git/objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git / "objects"),
        "GIT_INDEX_FILE": str(git / "index"),
        "GIT_PREFIX": "x/",
        "GIT_CONFIG": str(rules),
        "GIT_CONFIG_GLOBAL": str(broken / "none"),
        "GIT_CONFIG_SYSTEM": str(broken / "none"),
        "GIT_CONFIG_PARAMETERS": "'gate.protect'='x'",
        "GIT_REPLACE_REF_BASE": "refs/x/",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": str(rules),
        "GIT_ATTR_SOURCE": "HEAD~",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_DEFAULT_REF_FORMAT": "reftable",
        "GIT_CEILING_DIRECTORIES": str(world.root),
        "GIT_TEMPLATE_DIR": str(elsewhere),
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_GLOB_PATHSPECS": "1",
        "GIT_REFLOG_ACTION": "x",
        "GIT_PROTOCOL": "version=0",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_PAGER": "false",
        "GIT_REF_PARANOIA": "0",
        "GIT_IMPLICIT_WORK_TREE": "0",
        "GIT_INTERNAL_SUPER_PREFIX": "x/",
        "GIT_FLUSH": "0",
        "GIT_TRACE": "1",
        "HOMELAB_CONFIG": str(rules),
        "HOMELAB_SESSION": "x",
        "HOMELAB_CLAIM_ID": "x",
        "PYTHONPATH": str(broken),
        "PYTHONHOME": str(broken),
        "PYTHONSTARTUP": str(broken / "homelab.py"),
        "PYTHONINSPECT": "1",
        "PYTHONOPTIMIZE": "2",
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "error",
        "PRE_COMMIT_TO_REF": "HEAD~",
        "SKIP": "verified-push",
        "HOME": "/nowhere",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": "/nowhere",
        "XDG_CACHE_HOME": "/proc",
        "XDG_STATE_HOME": "/proc",
        "LC_ALL": "tr_TR.UTF-8",
        "LANGUAGE": "de",
        "IFS": "/",
        "CDPATH": str(elsewhere),
        "POSIXLY_CORRECT": "1",
        "ENV": str(broken / "homelab.py"),
        "BASH_ENV": str(broken / "homelab.py"),
        "SHELLOPTS": "noglob",
        "BASHOPTS": "extglob",
        "BASH_FUNC_exec%%": "() { exit 0; }",
        "BASH_FUNC_read%%": "() { return 1; }",
        "BASH_FUNC_exit%%": "() { command exit 0; }",
    }


@pytest.mark.slow
def test_no_variable_moves_a_protected_branch(red: World) -> None:
    push = ("git", "push", "origin", "HEAD:master")
    assert [wrong for name, value in variables(red).items() if (wrong := moved(red, *push, env={name: value}))] == []
    bare = {name: red.env[name] for name in ("PATH",)}
    done = subprocess.run(push, cwd=red.clone, env=bare, capture_output=True, check=False)
    assert done.returncode == 1 and b"Traceback" not in done.stderr and red.tip() == red.git("rev-parse", "HEAD~")


LIMITS = ["-n 8", "-n 20", "-v 60000", "-v 200000", "-f 0", "-f 8", "-d 5000", "-s 256", "-t 1", "-u 4"]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_no_limit_of_the_shell_moves_a_protected_branch(red: World, kept: bool) -> None:
    for limit in LIMITS:
        if not kept:
            shutil.rmtree(red.clone / ".git/homelab/gate", ignore_errors=True)
        for branch in ("master", "release/1"):
            script = f"ulimit {limit}; exec git push origin HEAD:refs/heads/{branch}"
            assert moved(red, "sh", "-c", script) is None


HOUSEKEEPING = """
    git gc --quiet --prune=now
    git pack-refs --all
    git repack -adq
    git maintenance run --quiet
    git reflog expire --expire=now --all
    git remote prune origin
    git remote set-head origin --delete
    git update-ref -d refs/homelab/target
    git remote set-head origin --auto
    git fetch --quiet --prune --all
    git worktree prune
    git config --unset core.hooksPath || true
    rm -rf .git/homelab/gate
    rm -rf .git/homelab
    rm -rf ../home/.cache ../home/.local
    git rm -q homelab.toml
    git checkout -q --detach
    git update-ref -d refs/remotes/origin/HEAD
    git update-ref -d refs/remotes/origin/master
    git for-each-ref --format='delete %(refname)' refs/remotes refs/homelab | git update-ref --no-deref --stdin
    git remote rename origin upstream && git remote add origin "$(git remote get-url upstream)"
"""


@pytest.mark.slow
def test_nothing_that_tidies_a_clone_opens_it(red: World) -> None:
    for line in filter(None, map(str.strip, HOUSEKEEPING.splitlines())):
        red.run("sh", "-c", line)
        for branch in ("master", "release/1"):
            assert moved(red, "git", "push", "origin", f"topic:refs/heads/{branch}") is None, line


def as_link(path: Path) -> None:
    path.rename(path.with_name("weaker"))
    path.symlink_to("weaker")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").touch()


FILES: dict[str, bytes | Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": b"",
    "weaker": b"[[suite]]\nname = 'check'\nrun = 'true'\n",
    "a byte order mark": b"\xef\xbb\xbf" + SUITE.encode(),
    "CRLF": SUITE.replace("\n", "\r\n").encode(),
    "not UTF-8": b"# \xff\n",
    "NUL": b"\0",
    "two megabytes": SUITE.encode() + b"#" * (2 << 20),
    "no TOML": b"[[suite",
    "deep": b"x = " + b"[" * 5000 + b"]" * 5000,
    "other rules": b"[gate]\ntarget = 'nowhere'\nunverified = 'refuse'\n",
    "a link": as_link,
    "a folder": as_folder,
}


@pytest.mark.slow
def test_no_file_of_rules_lets_its_own_change_through(red: World) -> None:
    path = red.clone / "homelab.toml"
    for what, change in FILES.items():
        red.git("reset", "--quiet", "--hard", "topic")
        if isinstance(change, bytes):
            path.write_bytes(change)
        else:
            path.write_text('[[suite]]\nname = "check"\nrun = "true"\n')
            change(path)
        red.git("add", "--all")
        red.git("commit", "--quiet", "-m", what)
        for branch in ("master", "release/1"):
            assert moved(red, "git", "push", "origin", f"HEAD:refs/heads/{branch}") is None, what


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_push_that_is_ended_in_its_suite_leaves_nothing(gated: World, number: signal.Signals) -> None:
    started = gated.root / "started"
    waits = f"[[suite]]\nname = 'waits'\nrun = 'echo $$ >{started}; exec sleep 4321'\n"
    gated.commit({"homelab.toml": waits})
    before = gated.refs()
    push = ["git", "push", "--quiet", "origin", "HEAD:master"]
    child = subprocess.Popen(push, cwd=gated.clone, env=gated.env, stderr=subprocess.DEVNULL, start_new_session=True)
    eventually(lambda: started.exists() and started.read_text())
    suite = int(started.read_text())
    os.killpg(child.pid, number)
    assert child.wait(30) != 0 and gated.refs() == before
    eventually(lambda: not is_alive(suite))
    gated.commit({"homelab.toml": SUITE})
    gated.git(*push[1:])
    assert gated.tip() == gated.git("rev-parse", "HEAD")
