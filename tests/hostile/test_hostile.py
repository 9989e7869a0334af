"""Landing where names, configurations, disks and remotes are odd: one sentence, the right code, nothing lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.landings import branch, land, nothing_left
from tests.support.world import SUITE, World


def on_branch(world: World, name: str | bytes) -> str:
    """Switch to a branch that git's porcelain may not want to make, with one commit; return the commit."""
    ref = b"refs/heads/" + (name if isinstance(name, bytes) else name.encode())
    for command in ([b"git", b"update-ref", ref, b"HEAD"], [b"git", b"symbolic-ref", b"HEAD", ref]):
        subprocess.run(command, cwd=world.clone, env=world.env, check=True)
    return world.commit({"x": "1"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ünï/çode", "-x", "HEAD", "refs/heads/x", "%s{}$(x);'", b"b\xff\xfe"])
def test_a_branch_of_any_name_lands_and_is_pushed_for_review(world: World, name: str | bytes) -> None:
    head = on_branch(world, name)
    theirs = world.publish({"theirs": "1"})
    land(world, 0)
    assert world.git("log", "-1", "--format=%P", world.tip(), cwd=world.remote) == f"{theirs} {head}"
    world.server_hook("update", 'test "$1" != refs/heads/master')
    head = world.commit({"more": "1"})
    before = world.tip()
    land(world, 6)
    assert world.tip() == before and head in world.refs()
    assert world.homelab("work", "log").returncode == 0


@pytest.mark.slow
def test_a_branch_with_control_characters_is_never_printed_raw(world: World) -> None:
    on_branch(world, "a\u009b31m\u202eb")
    for words in ("landed", "already landed"):
        done = world.homelab("work", "land")
        assert done.returncode == 0 and words in done.stdout and not set("\u009b\u202e") & set(done.stdout + done.stderr)


@pytest.mark.slow
def test_names_in_a_conflict_cannot_speak_for_us(world: World) -> None:
    name = os.fsdecode(b"f\xff\x1b[31m\nhomelab: hint: rm -rf .")
    branch(world, files={name: "mine"})
    world.publish({name: "theirs"})
    for _ in range(2):
        answer, said = land(world, 5)
        assert "\x1b" not in said and len([row for row in said.splitlines() if "hint: " in row]) == 2
        assert answer["conflicts"] == [name] and "\n" not in answer["error"]["message"]


def test_an_untracked_file_in_the_way_of_a_conflict_is_named_and_kept(world: World) -> None:
    branch(world, files={"README": "mine"})
    world.publish({"README": "theirs", "notes": "theirs"})
    world.write({"notes": "precious"})
    answer, _ = land(world, 3)
    assert (world.clone / "notes").read_text() == "precious" and not (world.clone / ".git/MERGE_HEAD").exists()
    assert "overwrite notes" in answer["error"]["message"]


@pytest.mark.slow
def test_a_merge_that_is_resolved_but_not_committed_is_said(world: World) -> None:
    branch(world, files={"README": "mine"})
    world.publish({"README": "theirs"})
    land(world, 5)
    world.write({"README": "both"})
    world.git("add", "README")
    assert "resolved but not committed" in land(world, 5)[0]["error"]["message"]
    world.git("commit", "--quiet", "--no-edit")
    land(world, 0)


def test_a_branch_that_merged_the_target_does_not_become_its_first_parent_line(world: World) -> None:
    branch(world)
    theirs = world.publish({"theirs": "1"})
    world.git("fetch", "--quiet")
    world.git("merge", "--quiet", "--no-edit", "origin/master")
    land(world, 0)
    assert world.git("rev-parse", "master^1", cwd=world.remote) == theirs


@pytest.mark.slow
def test_criss_cross_merges_land(world: World) -> None:
    mine = branch(world, files={"a": "1"})
    world.publish({"b": "1"})
    world.git("fetch", "--quiet")
    world.git("merge", "--quiet", "--no-edit", "origin/master")
    other = world.root / "other"
    world.git("fetch", "--quiet", world.clone, "ada/x", cwd=other)
    world.git("merge", "--quiet", "--no-edit", mine, cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:master", cwd=other)
    head = world.commit({"c": "1"})
    land(world, 0)
    assert world.git("rev-parse", "master^2", cwd=world.remote) == head


@pytest.mark.parametrize(("name", "value"), [("gpg.program", "/nonexistent"), ("user.signingkey", "DEADBEEF")])
def test_a_broken_signing_key_fails_before_the_push(world: World, name: str, value: str) -> None:
    branch(world)
    world.publish({"theirs": "1"})
    before = world.refs()
    world.git("config", "commit.gpgsign", "true")
    world.git("config", name, value)
    answer, _ = land(world, 1)
    assert world.refs() == before and "commit.gpgsign" in answer["error"]["hint"]


@pytest.mark.parametrize(("files", "code"), [({"x": "1"}, 1), ({"README": "mine"}, 3)])
def test_without_an_identity_nothing_is_merged(world: World, files: dict[str, str | bytes], code: int) -> None:
    branch(world, files=files)
    world.publish({"README": "theirs"})
    before = world.refs()
    world.git("config", "user.useConfigOnly", "true")
    for name in list(world.env):
        if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")):
            del world.env[name]
    answer, _ = land(world, code)
    assert world.refs() == before and world.git("status", "--porcelain") == ""
    assert "user.name" in answer["error"]["hint"] + answer["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote.pushDefault", "nowhere"), ("push.default", "nothing"), ("push.followTags", "true"),
        ("push.recurseSubmodules", "only"), ("push.useForceIfIncludes", "true"), ("push.gpgSign", "if-asked"),
        ("remote.origin.push", "+refs/heads/*:refs/heads/*"), ("remote.origin.prune", "true"), ("color.ui", "always"),
        ("remote.origin.fetch", "+refs/heads/other:refs/remotes/origin/other"), ("protocol.version", "0"),
        ("merge.ff", "only"), ("i18n.commitEncoding", "latin1"), ("core.hooksPath", "/nonexistent"),
        ("core.hooksPath", "/dev/null"), ("core.hooksPath", "README"), ("core.hooksPath", ""),
        ("alias.push", "!false"), ("push.negotiate", "true"),
    ],
)  # fmt: skip
def test_no_configuration_changes_what_is_pushed(world: World, name: str, value: str) -> None:
    head = branch(world)
    world.git("tag", "-a", "-m", "t", "v1")
    world.git("config", "--add", name, value)
    theirs = world.publish({"theirs": "1"})
    land(world, 0)
    assert world.git("log", "-1", "--format=%P", world.tip(), cwd=world.remote) == f"{theirs} {head}"
    assert world.refs().splitlines() == [f"refs/heads/master {world.tip()}"]


@pytest.mark.parametrize(("name", "value"), [("remote.origin.mirror", "true"), ("push.pushOption", "ci.skip")])
def test_a_configuration_that_forbids_the_push_is_refused(world: World, name: str, value: str) -> None:
    branch(world)
    before = world.refs()
    world.git("config", name, value)
    assert "git config" in land(world, 3)[0]["error"]["hint"]
    assert world.refs() == before


@pytest.mark.slow
def test_a_hook_in_a_folder_of_its_own_may_refuse_and_cannot_change_what_is_pushed(world: World) -> None:
    head, before = branch(world), world.refs()
    hooks = world.root / "hooks"
    hooks.mkdir()
    world.git("config", "core.hooksPath", str(hooks))
    hook = hooks / "pre-push"
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    land(world, 3)
    assert world.refs() == before
    hook.write_text("#!/bin/sh\ngit commit --quiet --allow-empty -m late\n")
    land(world, 0)
    assert world.tip() == head


def test_a_hook_whose_interpreter_is_gone_is_refused_and_nothing_hangs(world: World) -> None:
    branch(world)
    before = world.refs()
    hook = world.clone / ".git/hooks/pre-push"
    hook.write_text("#!/nonexistent/venv/bin/python -I\n")
    hook.chmod(0o755)
    assert "/nonexistent/venv/bin/python, which is not there" in land(world, 3, timeout=20)[0]["error"]["message"]
    assert world.refs() == before


def test_the_address_may_be_rewritten(world: World) -> None:
    head = branch(world)
    shutil.move(world.remote, world.root / "re möte.git")
    world.git("config", f"url.{world.root}/re möte.insteadOf", "lab:")
    world.git("remote", "set-url", "origin", "lab:.git")
    land(world, 0)
    assert world.git("rev-parse", "master", cwd=world.root / "re möte.git") == head


@pytest.mark.slow
def test_where_the_push_goes_to_another_address_that_one_is_asked(world: World) -> None:
    head = branch(world)
    primary = world.root / "primary.git"
    shutil.copytree(world.remote, primary)
    world.git("remote", "set-url", "--push", "origin", str(primary))
    land(world, 0)
    assert world.git("rev-parse", "master", cwd=primary) == head


@pytest.mark.slow
def test_a_remote_called_forgejo_comes_first_and_one_that_is_dead_is_unreachable(world: World) -> None:
    head = branch(world)
    world.git("remote", "add", "forgejo", str(world.root / "nowhere.git"))
    before = world.refs()
    answer, _ = land(world, 7)
    assert world.refs() == before and answer["remote"] == "forgejo" and "nowhere.git" in answer["error"]["message"]
    world.git("remote", "remove", "forgejo")
    world.git("remote", "rename", "origin", "forgejo")
    assert land(world, 0)[0]["remote"] == "forgejo"
    assert world.tip() == head


def test_a_target_called_main_is_found(world: World) -> None:
    world.git("branch", "-m", "master", "main", cwd=world.remote)
    world.git("fetch", "--quiet", "--prune")
    world.git("remote", "set-head", "origin", "--auto")
    world.git("switch", "--quiet", "--no-track", "-c", "ada/x", "origin/main")
    head = world.commit({"x": "1"})
    assert land(world, 0)[0]["target"] == "main"
    assert world.tip("refs/heads/main") == head and not world.tip()


@pytest.mark.slow
def test_a_target_that_the_server_renamed_or_removed_is_not_made_again(world: World) -> None:
    branch(world)
    tip = world.tip()
    world.git("branch", "-m", "master", "main", cwd=world.remote)
    answer, _ = land(world, 3)
    assert world.refs() == f"refs/heads/main {tip}"
    assert answer["error"]["message"] == "origin has no branch master; its default branch is main"
    world.run("sh", "-c", answer["error"]["next"])
    land(world, 0)
    assert not world.tip()
    world.git("update-ref", "-d", "refs/heads/main", cwd=world.remote)
    assert "was removed" in land(world, 3)[0]["error"]["message"]
    assert world.refs() == ""


@pytest.mark.slow
def test_the_first_landing_on_an_empty_remote_makes_the_target(world: World) -> None:
    shutil.rmtree(world.remote)
    shutil.rmtree(world.clone)
    world.git("init", "--quiet", "--bare", world.remote, cwd=world.root)
    world.git("clone", "--quiet", world.remote, world.clone, cwd=world.root)
    land(world, 3)
    head = world.commit({"homelab.toml": SUITE})
    world.git("switch", "--quiet", "-c", "ada/x")
    land(world, 0)
    assert world.refs() == f"refs/heads/master {head}"


@pytest.mark.slow
def test_attempts_and_deadline_are_kept_and_told(world: World) -> None:
    world.publish({"homelab.toml": "[land]\nattempts = 2\n" + SUITE})
    world.git("fetch", "--quiet")
    branch(world)
    other = world.root / "mover"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    hook = world.clone / ".git/hooks/pre-push"
    move = "git pull -q && git commit -q --allow-empty -m moved && git push -q origin HEAD:master"
    hook.write_text(f"#!/bin/sh\nunset GIT_DIR\ncd {other} && {move}\n")
    hook.chmod(0o755)
    answer, _ = land(world, 4)
    assert answer["attempts"] == 2 and "after 2 attempts" in answer["error"]["message"]
    assert world.git("log", "-1", "--format=%s", world.tip(), cwd=world.remote) == "moved"


def test_a_clone_that_may_not_write_its_refs_has_not_lost_the_remote(world: World) -> None:
    branch(world)
    world.publish({"theirs": "1"})
    before = world.refs()
    hook = world.clone / ".git/hooks/reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    answer, _ = land(world, 1)
    assert world.refs() == before and "cannot be stored here" in answer["error"]["message"]


@contextlib.contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """The folder is a disk of its own of this size; skips where one may not be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "none", os.fspath(place)]
    if shutil.which("mount") is None or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", os.fspath(place)], check=True)


def fill(disk: Path, free: int) -> None:
    """The disk has `free` kilobytes left."""
    with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with (disk / "fill").open("ab") as file:
        file.truncate(max(0, (disk / "fill").stat().st_size - free * 1024))


@pytest.mark.slow
def test_a_full_disk_at_any_moment_loses_nothing_and_the_next_run_ends_the_job(world: World) -> None:
    with small_disk(world.clone / ".git/homelab", 256) as disk:
        codes = set()
        for free in (0, 4, 8, 12, 16, 24, 32, 40, 56, 72):
            head, before = branch(world, f"t{free}"), world.tip()
            fill(disk, free)
            done = world.homelab("work", "land", "--json")
            codes.add(done.returncode)
            assert (done.returncode in (0, 1) and "hint" in done.stderr) or done.returncode == 0, done.stderr
            assert world.tip() == (head if done.returncode == 0 else before), (free, done.stderr)
            (disk / "fill").unlink()
            land(world, 0)
            assert world.tip() == head
            nothing_left(world)
            world.git("fetch", "--quiet")
        assert codes == {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("place", [".git/homelab", ".git/objects"])
def test_a_disk_that_cannot_be_written_fails_and_names_it(world: World, place: str) -> None:
    branch(world)
    world.publish({"theirs": "1"})
    before = world.refs()
    kept = world.root / "kept"
    (world.clone / place).mkdir(exist_ok=True)
    shutil.copytree(world.clone / place, kept)
    with small_disk(world.clone / place, 4096) as disk:
        shutil.copytree(kept, disk, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", os.fspath(disk)], check=True)
        answer, said = land(world, 1)
        assert world.refs() == before and answer["status"] == "failed" and "ead-only file system" in said


@pytest.mark.slow
def test_a_worktree_that_is_being_added_does_not_end_the_fetch(world: World) -> None:
    head = branch(world)
    world.publish({"theirs": "1"})
    half = world.clone / ".git/worktrees/half"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("0" * 40 + "\n")
    (half / "gitdir").write_text(f"{world.root}/half/.git\n")
    (half / "commondir").write_text("../..\n")
    with subprocess.Popen(["sh", "-c", f"sleep 0.6; rm -r {half}"]):
        land(world, 0)
    assert world.git("rev-parse", "master^2", cwd=world.remote) == head


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("options", ["", "--json"])
def test_an_answer_that_cannot_be_written_fails_in_one_sentence(world: World, options: str) -> None:
    done = world.run("sh", "-c", f"homelab work list {options} > /dev/full", check=False)
    assert done.returncode == 1
    assert [row.partition(":")[0] for row in done.stderr.splitlines()] == ["homelab", "homelab"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("homelab --help >/dev/full", 1),
        ("homelab version >/dev/full", 1),
        ("homelab version 2>/dev/full", 0),
        ("homelab release host:x 2>/dev/full", 0),
        ("homelab claim host:x --purpose x -- sh -c 'exit 7' 2>/dev/full", 7),
        ("(homelab release host:x 2>&1; echo $? >code) | true; read code <code; exit $code", 0),
    ],
)
def test_only_an_answer_has_to_be_written_and_nothing_but_our_words_is_said(world: World, command: str, code: int) -> None:
    done = world.run("sh", "-c", command, check=False)
    assert done.returncode == code
    assert {row.partition(":")[0] for row in done.stderr.splitlines()} <= {"homelab"}


@pytest.mark.parametrize("revision", ["^HEAD", "HEAD..HEAD", "HEAD^{tree}", "-"])
def test_what_names_no_commit_is_wrong_usage(world: World, revision: str) -> None:
    done = world.homelab("verify", "--", revision)
    assert done.returncode == 2 and "names no commit" in done.stderr
