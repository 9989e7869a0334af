"""A repository that judges what it receives: the gate for those who come without one."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.world import SUITE, World, build


@pytest.fixture
def server(world: World) -> World:
    done = world.homelab("hooks", "install", "--server", world.remote)
    assert done.returncode == 0, done.stderr
    return world


def push(world: World, *specs: str) -> subprocess.CompletedProcess[str]:
    """Push as somebody who has no hooks at all."""
    return world.run("git", "push", "--no-verify", "origin", *specs, check=False)


def refused(world: World, *specs: str) -> str:
    before = world.refs()
    done = push(world, *specs)
    assert done.returncode == 1 and world.refs() == before, (done, world.refs())
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["updated", "deleted", "created"])
def test_a_second_name_of_a_protected_branch_is_judged_as_that_branch(server: World, verb: str) -> None:
    world = server
    world.git("symbolic-ref", "refs/heads/main", "refs/heads/master", cwd=world.remote)
    world.git("symbolic-ref", "refs/heads/again", "refs/heads/main", cwd=world.remote)
    if verb == "created":
        world.git("symbolic-ref", "refs/heads/next", "refs/heads/release/1", cwd=world.remote)
        world.commit({"homelab.toml": '[gate]\nprotect = ["release/*"]\n' + SUITE})
        assert push(world, "HEAD:master").returncode == 0
    world.commit({"bad": "1"})
    names = ["next"] if verb == "created" else ["main", "again"]
    for name in names:
        refused(world, f":{name}" if verb == "deleted" else f"HEAD:{name}")


@pytest.mark.slow
def test_where_head_names_no_branch_yet_a_change_does_not_judge_itself_alone(server: World) -> None:
    world = server
    world.git("symbolic-ref", "HEAD", "refs/heads/new", cwd=world.remote)
    world.commit({"bad": "1", "homelab.toml": SUITE.replace("test ! -e bad", "true")})
    for name in ("master", "main", "new"):
        refused(world, f"HEAD:{name}")


@pytest.mark.slow
@pytest.mark.parametrize("rule", ['target = "prod"', 'protect = ["prod"]'])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_branch_that_only_its_second_name_protects_is_judged_by_either(server: World, rule: str, is_there: bool) -> None:
    world = server
    world.commit({"homelab.toml": f"[gate]\n{rule}\n{SUITE}"})
    assert push(world, "HEAD:master", *(["HEAD:live"] if is_there else [])).returncode == 0
    world.git("symbolic-ref", "refs/heads/prod", "refs/heads/live", cwd=world.remote)
    world.commit({"bad": "1"})
    for name in ("prod", "live"):
        refused(world, f"HEAD:{name}")
    assert push(world, "HEAD:other").returncode == 0
    world.git("rm", "--quiet", "bad")
    world.commit({})
    assert push(world, "HEAD:prod").returncode == 0 and world.tip("refs/heads/live") == world.git("rev-parse", "HEAD")


@pytest.mark.parametrize("how", ["gone", "no memory", "no module", "aborted"])
def test_a_program_that_cannot_be_started_refuses_every_branch(server: World, how: str) -> None:
    world = server
    hook = world.remote / "hooks/pre-receive"
    text = hook.read_text()
    if how == "no memory":
        text = text.replace("#!/bin/sh\n", "#!/bin/sh\nulimit -v 8000\n", 1)
    else:
        python = world.root / "python"
        if how != "gone":
            python.write_text("#!/bin/sh\n" + {"no module": "exit 1", "aborted": "kill -ABRT $$"}[how] + "\n")
            python.chmod(0o755)
        text = text.replace(f"python={sys.executable}", f"python={python}")
    hook.write_text(text)
    world.commit({"x": "1"})
    for branch in ("master", "release/1", "feature"):
        assert "cannot be started" in refused(world, f"HEAD:refs/heads/{branch}")
    assert push(world, "HEAD:refs/tags/v1").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("head", ["refs/heads/main", None])
def test_where_head_names_no_branch_every_branch_is_judged_and_it_is_said_how_that_ends(world: World, head: str | None) -> None:
    if head:
        world.git("symbolic-ref", "HEAD", head, cwd=world.remote)
    else:
        world.git("update-ref", "--no-deref", "HEAD", world.tip(), cwd=world.remote)
    done = world.homelab("hooks", "install", "--server", world.remote)
    assert done.returncode == 0 and "every branch is judged" in done.stderr
    world.commit({"bad": "1"})
    for branch in ("master", "feature"):
        said = refused(world, f"HEAD:refs/heads/{branch}")
        assert "every branch is judged" in said and "git symbolic-ref HEAD refs/heads/BRANCH" in said
    world.git("symbolic-ref", "HEAD", "refs/heads/master", cwd=world.remote)
    refused(world, "HEAD:master")
    assert push(world, "HEAD:feature").returncode == 0


@pytest.mark.slow
def test_rules_that_nobody_can_read_are_mended_by_what_the_server_says(world: World) -> None:
    world.publish({"homelab.toml": "[gaet]\n"})
    world.git("pull", "--quiet")
    done = world.homelab("hooks", "install", "--server", world.remote)
    assert done.returncode == 0 and "push the repair as refs/repair/1" in done.stderr
    world.commit({"homelab.toml": SUITE})
    said = [refused(world, f"HEAD:refs/heads/{branch}") for branch in ("master", "feature")]
    command = re.search(r"hint: push the repair as refs/repair/1, then `([^`]*)` in the server's repository", said[0])
    assert command and command[0] in said[1] and "every branch is judged" in said[1]
    world.git("switch", "--quiet", "--create", "repair")
    landed = world.json("work", "land", "--no-verify")
    assert landed["status"] == "refused" and landed["error"]["hint"] in command[0], landed
    assert push(world, "HEAD:refs/repair/1").returncode == 0
    world.run("sh", "-c", command[1], cwd=world.remote)
    world.commit({"bad": "1"})
    refused(world, "HEAD:master")
    assert push(world, "HEAD:feature").returncode == 0


@pytest.mark.slow
def test_where_nothing_is_verified_at_push_time_the_hint_leads_to_a_push_that_passes(server: World) -> None:
    world = server
    world.commit({"homelab.toml": '[gate]\nunverified = "refuse"\n' + SUITE})
    assert push(world, "HEAD:master").returncode == 0
    head = world.commit({"x": "1"})
    said = refused(world, "HEAD:master")
    assert "unprotected branch" in said and "in the server's repository" in said
    assert push(world, "HEAD:candidate").returncode == 0
    assert world.homelab("verify", head[:12], cwd=world.remote).returncode == 0
    assert push(world, "HEAD:master").returncode == 0 and world.tip() == head


@pytest.mark.slow
def test_pushes_that_come_at_once_run_their_suites_one_after_the_other(server: World) -> None:
    world = server
    suite = f'[[suite]]\nname = "one"\nrun = "mkdir {world.root}/busy && sleep 0.3 && rmdir {world.root}/busy"\n'
    world.commit({"homelab.toml": '[gate]\nprotect = ["release/*"]\n' + suite})
    assert push(world, "HEAD:master").returncode == 0
    old = world.remote / "homelab/receipts/00/old.json"
    old.parent.mkdir(parents=True)
    old.touch()
    os.utime(old, (1, 1))
    (world.remote / "homelab/collected").unlink()
    commits = [world.commit({"n": str(n)}) for n in range(3)]
    command = ["git", "push", "--quiet", "--no-verify", "origin"]
    running = [
        subprocess.Popen([*command, f"{oid}:refs/heads/release/{n}"], cwd=world.clone, env=world.env, stderr=subprocess.DEVNULL)
        for n, oid in enumerate(commits)
    ]
    assert [each.wait(60) for each in running] == [0, 0, 0]
    assert not old.exists(), "a server has nobody else who takes old receipts away"


@pytest.fixture
def open_world() -> Iterator[World]:
    """A world that other users reach: pytest closes its own folders to them."""
    root = Path(tempfile.mkdtemp(prefix="homelab-test-"))
    root.chmod(0o755)
    yield build(root / "w")
    shutil.rmtree(root)


def program_for_all(world: World) -> Path:
    """Return a Python that every user can start, with the packages of this one; the hook of the server starts it too."""
    as_other = ["setpriv", "--reuid=5001", "--regid=5000", "--clear-groups", "sh", "-c"]
    if subprocess.run([*as_other, f"{sys.executable} -c ''"], capture_output=True, check=False).returncode == 0:
        return Path(sys.executable)
    system = "/usr/bin/python3"
    if not Path(system).exists() or world.run(system, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 11))").returncode:
        pytest.skip("no Python here that another user can start")
    path = world.root / "python"
    path.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={ROOT}:{sysconfig.get_path("purelib")} exec {system} "$@"\n')
    path.chmod(0o755)
    hook = world.remote / "hooks/pre-receive"
    if hook.exists():
        hook.write_text(hook.read_text().replace(f"python={sys.executable}", f"python={path}"))
    return path


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_two_users_of_one_shared_clone_start_and_land_both(open_world: World) -> None:
    world = open_world
    python = program_for_all(world)
    for folder in (world.clone, world.remote):
        world.git("config", "core.sharedRepository", "group", cwd=folder)
        world.run("chgrp", "-R", "5000", folder)
        world.run("chmod", "-R", "g+rwX", folder)
        world.run("find", folder, "-type", "d", "-exec", "chmod", "g+s", "{}", "+")
    for user in (5001, 5002, 5001):
        home = world.root / f"home-{user}"
        home.mkdir(exist_ok=True)
        os.chown(home, user, 5000)
        env = world.env | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "c"), "XDG_STATE_HOME": str(home / "s")}
        script = f"""
            umask 022; topic=$(date +%s%N)
            git config --global --replace-all safe.directory '*'
            cd "$({python} -I -m homelab work start $topic)" && echo $topic >$topic && git add $topic && git commit -qm {user}
            {python} -I -m homelab work land && {python} -I -m homelab claim host:x --purpose x -- sh -c 'umask >"$HOME/umask"'
        """
        as_user = ["setpriv", f"--reuid={user}", "--regid=5000", "--clear-groups", "sh", "-c", script]
        done = world.run(*as_user, env=env | {"USER": f"u{user}"}, check=False)
        assert done.returncode == 0, done.stderr
        assert world.git("log", "-1", "--format=%s", "master", cwd=world.remote) == str(user)
        assert (home / "umask").read_text() == "0022\n"  # what we share is ours: whatever a person runs makes its files as ever


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_two_users_of_one_shared_repository_push_both(open_world: World, umask: int) -> None:
    world = open_world
    assert world.homelab("hooks", "install", "--server", world.remote).returncode == 0
    world.git("config", "core.sharedRepository", "group", cwd=world.remote)
    world.git("config", "receive.denyNonFastForwards", "false", cwd=world.remote)
    program_for_all(world)
    shutil.rmtree(world.remote / "homelab")
    world.run("chgrp", "-R", "5000", world.remote)
    world.run("chmod", "-R", "g+rwX", world.remote)
    world.run("find", world.remote, "-type", "d", "-exec", "chmod", "g+s", "{}", "+")
    for n, user in enumerate((5001, 5002, 5001)):
        home = world.root / f"home-{user}"
        home.mkdir(exist_ok=True)
        os.chown(home, user, 5000)
        clone = home / f"clone-{n}"
        env = world.env | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "c"), "XDG_STATE_HOME": str(home / "s")}
        script = f"""
            umask {umask:o}
            git config --global --replace-all safe.directory '*'
            git clone -q {world.remote} {clone} && cd {clone} && echo {n} >n && git add n && git commit -qm {n}
            git push -q origin HEAD:master
        """
        as_user = ["setpriv", f"--reuid={user}", "--regid=5000", "--clear-groups", "sh", "-c", script]
        done = world.run(*as_user, cwd=home, env=env, check=False)
        assert done.returncode == 0, done.stderr
        assert world.git("log", "-1", "--format=%s", "master", cwd=world.remote) == str(n)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what others cannot reach")
def test_a_program_that_the_owner_of_the_repository_cannot_start_is_refused_at_once(world: World) -> None:
    closed = world.root / "closed"
    shutil.copytree(Path(sys.executable).parent.parent, closed / "venv", symlinks=True, ignore=shutil.ignore_patterns("lib*"))
    closed.chmod(0o700)
    (closed / "venv" / "lib").symlink_to(Path(sys.executable).parent.parent / "lib")
    os.chown(world.remote, 5001, 5001)
    world.git("config", "--global", "safe.directory", "*", cwd=world.root)
    python = closed / "venv/bin/python"
    done = world.run(python, "-m", "homelab", "hooks", "install", "--server", world.remote, check=False)
    assert done.returncode == 3 and str(closed) in done.stderr and not (world.remote / "hooks/pre-receive").exists()


def test_a_suite_on_a_server_has_copies_and_no_path_variable_or_descriptor_that_leads_to_the_repository(server: World) -> None:
    """The suite looks wherever a program could find the repository, and writes down what it found."""
    found = server.root / "found"
    look = (
        f"name={server.remote.name}; {{ env; cat .git/config .git/objects/info/alternates .git/packed-refs; "
        "readlink /proc/self/fd/*; git remote -v; } 2>/dev/null | grep -F "
        f"{server.remote} > {found}; git log -1 --format=%H > {found}.log && git fsck && test ! -s {found}"
    )
    server.commit({"homelab.toml": f"[[suite]]\nname = 's'\nrun = '''{look}'''\n"})
    shutil.rmtree(server.clone / ".git/hooks")
    assert push(server, "HEAD:other").returncode == 0
    done = push(server, "HEAD:master")  # its objects are there already, the second time without a quarantine
    assert done.returncode == 0, done.stderr
    assert found.read_text() == "" and Path(f"{found}.log").read_text().strip() == server.git("rev-parse", "HEAD")
    commit = server.commit({"f": "new objects"})
    assert push(server, "HEAD:master").returncode == 0 and server.tip() == commit and found.read_text() == ""
