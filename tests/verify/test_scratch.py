"""A scratch checkout is exactly one commit, and nothing done in it reaches the clone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homelab.errors import Failed
from homelab.git.repository import discover
from homelab.verify import scratch
from homelab.verify.checkout import Checkout
from tests.support.world import World


@contextmanager
def slot(world: World, clone: Path | None = None) -> Iterator[Checkout]:
    with scratch.slot(discover(clone or world.clone), env=world.env) as made:
        yield made


def files(root: Path) -> dict[str, str]:
    """Return every path below the root but the `.git`, with what it is."""
    found = {}
    for folder, names, others in os.walk(root):
        for name in [*names, *others]:
            path = Path(folder) / name
            if path.is_symlink():
                found[str(path.relative_to(root))] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(root))] = f"{path.stat().st_mode & 0o100:o} {path.read_bytes()!r}"
            else:
                found[str(path.relative_to(root))] = "/" if path.is_dir() else "?"
        if ".git" in names and Path(folder) == root:
            names.remove(".git")
            del found[".git"]
    return found


def fresh(world: World, commit: str, clone: Path | None = None) -> dict[str, str]:
    """Return what a plain clone of the clone shows of the commit."""
    other = world.root / f"fresh-{commit[:9]}"
    if not other.exists():
        world.git("clone", "--quiet", "--no-checkout", "--shared", clone or world.clone, other, cwd=world.root)
        world.git("checkout", "--quiet", "--detach", commit, cwd=other)
    return files(other)


def state(clone: Path) -> dict[str, str]:
    return {str(path): path.read_bytes().hex() for path in sorted(clone.rglob("*")) if path.is_file()}


def test_the_folder_is_exactly_the_commit(world: World) -> None:
    (world.clone / "link").symlink_to("README")
    world.write({"run.sh": "#!/bin/sh\n"})
    (world.clone / "run.sh").chmod(0o755)
    world.git("add", "link")
    commit = world.commit({"a/b c/ü\nx": "1", "run.sh": "#!/bin/sh\n", ".gitignore": "*.o\n"})
    with slot(world) as made:
        made.checkout(commit, [])
        assert files(made.path) == fresh(world, commit)
        assert world.git("rev-parse", "HEAD", cwd=made.path) == commit
        assert world.git("status", "--porcelain", "--ignored", cwd=made.path) == ""
        assert made.changed() == made.leftovers([]) == ()


def litter(root: Path) -> None:
    """Leave behind all that a suite may leave."""
    (root / "new").write_text("x")
    (root / "x.o").write_text("ignored")
    (root / "closed" / "deep").mkdir(parents=True)
    (root / "closed" / "deep" / "file").write_text("x")
    (root / "closed" / "deep").chmod(0o500)
    (root / "closed").chmod(0)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(root)  # the path of a socket may have 108 bytes
        made.bind("socket")
        os.chdir(here)
    (root / "empty").mkdir()
    (root / "dangling").symlink_to("nowhere")


def test_nothing_a_suite_leaves_behind_is_there_the_next_time(world: World) -> None:
    first = world.commit({"a/1": "1", "b": "b", ".gitignore": "*.o\n", "d/x": "x", "d/y": "y"})
    second = world.commit({"a/1": "2", "new": "now tracked"})
    with slot(world) as made:
        made.checkout(first)
        litter(made.path)
        litter(made.path / "a")
        world.git("init", "--quiet", made.path / "nested")
        world.git("init", "--quiet", made.path / "a" / "nested")
        (made.path / "b").unlink()
        (made.path / "b").mkdir()
        (made.path / "b" / "in the way").write_text("x")
        (made.path / "d" / "x").unlink()
        os.mkfifo(made.path / "d" / "x")
        (made.path / "d" / "y").unlink()
        (made.path / "d" / "y").symlink_to("/etc/hostname")
        made.checkout(second)
        assert files(made.path) == fresh(world, second)
        made.checkout(first)
        assert files(made.path) == fresh(world, first)
        assert made.leftovers() == made.changed() == ()


def test_a_tracked_folder_that_became_a_link_is_a_folder_again_and_its_target_is_untouched(world: World) -> None:
    commit = world.commit({"a/1": "1", "a/2": "2"})
    precious = world.root / "precious"
    precious.mkdir()
    (precious / "1").write_text("mine")
    with slot(world) as made:
        made.checkout(commit)
        (made.path / "a").rename(made.path / "moved")
        (made.path / "a").symlink_to(precious)
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)
    assert files(precious) == {"1": "0 b'mine'"}


def test_caches_stay_and_nothing_else_does(world: World) -> None:
    first = world.commit({".gitignore": "node_modules\n", "cli/main": "1"})
    second = world.commit({"cli/main": "2"})
    third = world.commit({"x": "3"}, "third")
    world.git("rm", "--quiet", "-r", "cli")
    third = world.commit({"x": "4"}, "without the folder")
    with slot(world) as made:
        made.checkout(first, ["node_modules", "cli/node_modules"])
        for folder in ("node_modules", "cli/node_modules", "other/node_modules"):
            (made.path / folder).mkdir(parents=True)
            (made.path / folder / "kept").write_text("1")
        assert made.leftovers(["node_modules", "cli/node_modules"]) == ("other",)
        for commit in (second, third, first):
            made.checkout(commit, ["node_modules", "cli/node_modules"])
            kept = {path for path in files(made.path) if path.endswith("kept")}
            assert kept == {"node_modules/kept", "cli/node_modules/kept"}
            assert {path: what for path, what in files(made.path).items() if "node_modules" not in path and path != "cli"} == {
                path: what for path, what in fresh(world, commit).items() if path != "cli"
            }
        made.checkout(first)
        assert files(made.path) == fresh(world, first)


@pytest.mark.parametrize(
    "trick",
    [
        "echo evil >b",
        "echo evil >b; git commit -qam evil",
        "echo evil >b; git add b",
        "git update-index --assume-unchanged b; echo evil >b",
        "git update-index --skip-worktree b; echo evil >b",
        "git config core.fileMode false; git config core.trustctime false; git config core.checkStat minimal; echo evil >b",
        "printf X >b",
        "touch -r b t; printf X >b; touch -r t b; rm t",
        "chmod +x b",
        "rm b",
        "rm b; ln -s a b",
        "rm b; mkdir b",
        "rm b; mkfifo b",
        "rm -rf .git; echo evil >b",
        "echo 'b -diff filter=x' >.git/info/attributes; git config filter.x.clean 'echo b'; echo evil >b",
        "git checkout -q HEAD~1",
        "git reset -q --hard HEAD~1",
        "git sparse-checkout set --cone nothing; rm -f b",
        "git replace -f HEAD HEAD~1; git checkout -qf HEAD; echo evil >b",
    ],
)
def test_a_change_of_a_tracked_file_is_seen_whatever_git_is_told(world: World, trick: str) -> None:
    world.commit({"a": "a", "b": "older"})
    commit = world.commit({"b": "b"})
    with slot(world) as made:
        made.checkout(commit)
        world.run("sh", "-c", trick, cwd=made.path)
        assert "b" in made.changed()
        made.checkout(commit)
        assert made.changed() == ()
        assert files(made.path) == fresh(world, commit)


@pytest.mark.parametrize(
    "harmless", ["touch b", "cp b c; mv c b", "git commit -qm x --allow-empty", "git gc -q", "chmod 400 b"]
)
def test_what_leaves_the_bytes_alone_is_no_change(world: World, harmless: str) -> None:
    commit = world.commit({"b": "b"})
    with slot(world) as made:
        made.checkout(commit)
        world.run("sh", "-c", harmless, cwd=made.path)
        assert made.changed() == ()


def test_an_edit_right_after_the_checkout_is_seen(world: World) -> None:
    commit = world.commit({"b": "b", "c": "c"})
    other = world.commit({"b": "x"})
    with slot(world) as made:
        for _ in range(15):
            made.checkout(other)
            made.checkout(commit)
            (made.path / "b").write_text("z")
            assert made.changed() == ("b",)


def test_a_suite_that_works_on_its_repository_leaves_the_clone_byte_for_byte(world: World) -> None:
    commit = world.commit({"b": "b"})
    world.git("tag", "v1")
    before = state(world.clone)
    everything = """
        set -e
        git config user.email evil@example.org; git config core.hooksPath evil; git config core.bare false
        git tag evil; git branch evil; git remote set-url origin /evil; git remote add evil /evil
        echo x >b; git stash; git stash list | grep -q .; git checkout -q -b other; git commit -q --allow-empty -m evil
        git update-ref refs/heads/master HEAD; git pack-refs --all; git gc -q --prune=now; git worktree add -q ../evil
        git replace -f HEAD HEAD~1; git symbolic-ref HEAD refs/heads/master; git notes add -m x; git tag -d v1
        mkdir sub; cd sub; git init -q; git config user.name evil; git commit -q --allow-empty -m x
    """
    with slot(world) as made:
        made.checkout(commit)
        world.run("sh", "-c", everything, cwd=made.path)
        assert state(world.clone) == before
        made.checkout(commit)
        assert state(world.clone) == before
        assert world.git("rev-parse", "HEAD", "v1^{commit}", "master", cwd=made.path).split() == [commit] * 3
        assert world.git("config", "--get", "user.email", cwd=made.path, check=False) == ""
        assert world.git("status", "--porcelain", "--ignored", cwd=made.path) == ""
        assert world.git("branch", "--list", "evil", cwd=made.path) == ""


def test_a_suite_sees_the_clones_refs_and_remotes(world: World) -> None:
    world.git("tag", "-a", "v1", "-m", "one")
    world.git("stash", "list")
    commit = world.commit({"b": "b"})
    with slot(world) as made:
        made.checkout(commit)
        for question in (["describe"], ["remote", "-v"], ["rev-parse", "origin/master", "origin/HEAD", "v1"], ["tag", "-n"]):
            assert world.git(*question, cwd=made.path) == world.git(*question)
        assert world.git("symbolic-ref", "refs/remotes/origin/HEAD", cwd=made.path) == "refs/remotes/origin/master"
        assert world.git("fsck", cwd=made.path) == ""


def test_attributes_that_change_alone_change_the_bytes(world: World) -> None:
    first = world.commit({"t.txt": "one\ntwo\n", "deep/t.txt": "one\n"})
    second = world.commit({".gitattributes": "*.txt eol=crlf\n"})
    third = world.commit({"deep/.gitattributes": "*.txt eol=lf\n"})
    with slot(world) as made:
        for commit in (first, second, third, second, first):
            made.checkout(commit)
            assert files(made.path) == fresh(world, commit)
            assert made.changed() == ()
        made.checkout(second)
        assert (made.path / "t.txt").read_bytes() == b"one\r\ntwo\r\n"


def test_a_file_that_git_would_normalise_is_no_change_of_the_suite(world: World) -> None:
    crlf = world.commit({"t.txt": b"one\r\n"})
    commit = world.commit({".gitattributes": "* text=auto\n"})
    with slot(world) as made:
        for wanted in (commit, crlf, commit, commit):
            made.checkout(wanted)
            assert (made.path / "t.txt").read_bytes() == b"one\r\n"
            assert made.changed() == ()
        (made.path / "t.txt").write_bytes(b"one\n")
        assert made.changed() == ("t.txt",)


def test_the_users_settings_do_not_change_the_bytes(world: World) -> None:
    world.git("config", "--global", "core.autocrlf", "true")
    world.git("config", "core.fileMode", "false")
    (world.root / "attributes").write_text("* eol=crlf\n")
    world.git("config", "--global", "core.attributesFile", world.root / "attributes")
    commit = world.commit({"t": b"one\n"})
    with slot(world) as made:
        made.checkout(commit)
        assert (made.path / "t").read_bytes() == b"one\n"
        assert made.changed() == ()


def test_a_filter_of_the_user_is_applied_and_its_change_is_noticed(world: World) -> None:
    commit = world.commit({"t": "x\n", ".gitattributes": "t filter=f\n"})
    with slot(world) as made:
        made.checkout(commit)
        assert (made.path / "t").read_text() == "x\n"
        world.git("config", "--global", "filter.f.smudge", "sed s/x/y/")
        world.git("config", "--global", "filter.f.clean", "sed s/y/x/")
        made.checkout(commit)
        assert (made.path / "t").read_text() == "y\n"
        assert made.changed() == ()
        (made.path / "t").write_text("x\n")  # the same to git, other bytes
        os.utime(made.path / "t", (2**31, 2**31))  # git looks at seconds only
        assert made.changed() == ("t",)


def test_the_callers_git_variables_do_not_count(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    env = {
        **world.env,
        "GIT_DIR": str(world.clone / ".git"),
        "GIT_INDEX_FILE": "/evil",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.eol",
        "GIT_CONFIG_VALUE_0": "crlf",
        "GIT_CONFIG_PARAMETERS": "'core.worktree=/evil'",
    }
    before = state(world.clone)
    with scratch.slot(discover(world.clone), env=env) as made:
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)
        assert made.changed() == ()
    assert state(world.clone) == before


def test_a_suite_hook_configured_for_all_of_the_users_repositories_does_not_run(world: World) -> None:
    hooks = world.root / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {world.root}/ran\n")
        (hooks / name).chmod(0o755)
    commit = world.commit({"t": "x\n"})
    world.git("config", "--global", "core.hooksPath", hooks)
    with slot(world) as made:
        made.checkout(commit)
    assert not (world.root / "ran").exists()


def test_two_slots_at_a_time_are_two_folders_and_a_free_one_is_used_again(world: World) -> None:
    with slot(world) as one, slot(world) as two:
        assert one.path != two.path
        first = one.path
    with slot(world) as again:
        assert again.path == first


def test_a_slot_is_taken_as_long_as_a_child_has_its_lock(world: World) -> None:
    with slot(world) as one:
        copy = os.dup(one.lock_fd)
    with slot(world) as two:
        assert two.path != one.path
    os.close(copy)
    with slot(world) as three:
        assert three.path == one.path


def test_a_note_is_kept_until_the_checkout_is_thrown_away(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    with slot(world) as made:
        made.checkout(commit)
        assert made.noted("prepare") is None
        made.note("prepare", "abc")
        made.note("other", "d")
    with slot(world) as made:
        made.checkout(commit)
        assert (made.noted("prepare"), made.noted("other")) == ("abc", "d")
        (made.path.parent / "git" / "index").write_bytes(b"broken")
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)
        assert made.noted("prepare") is None


@pytest.mark.slow
def test_a_damaged_slot_heals(world: World) -> None:
    first = world.commit({"t": "x\n"})
    second = world.commit({"t": "y\n"})
    with slot(world) as made:
        for damage in (
            "rm -rf tree", "rm -rf git", "rm git/HEAD", "rm git/config", "rm git/base", "rm -rf git/objects", "rm git/index",
            "rm -rf tree; touch tree", "rm -rf tree; ln -s /etc tree", "touch git/index.lock", "echo '{' >state", "rm state",
            "mkdir new; touch new/x", "echo x >notes", "rm -rf tree/.git; ln -s /etc tree/.git", "echo x >git/config",
            "mkdir -p compare/x", "echo '[]' >state", "echo '{}' >state", "echo '{\"commit\":\"x\",\"filters\":\"\"}' >state",
        ):  # fmt: skip
            made.checkout(first)
            world.run("sh", "-c", damage, cwd=made.path.parent)
            made.checkout(second)
            assert files(made.path) == fresh(world, second), damage
            assert made.changed() == made.leftovers() == ()


def test_an_unknown_commit_is_named_and_nothing_is_thrown_away(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    with slot(world) as made:
        made.checkout(commit)
        made.note("k", "v")
        with pytest.raises(Failed, match="is not in this clone"):
            made.checkout("1" * 40)
        assert made.noted("k") == "v"
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)


def test_a_commit_without_files_is_an_empty_folder(world: World) -> None:
    first = world.commit({"a/t": "x\n"})
    world.git("rm", "--quiet", "-r", ".")
    world.git("commit", "--quiet", "-m", "empty")
    commit = world.git("rev-parse", "HEAD")
    with slot(world) as made:
        for wanted in (commit, first, commit):
            made.checkout(wanted)
            assert files(made.path) == fresh(world, wanted)
            assert made.changed() == made.leftovers() == ()


def test_folders_and_files_that_change_places_do(world: World) -> None:
    first = world.commit({"a": "file", "b/c": "in a folder"})
    world.git("rm", "--quiet", "-r", "a", "b")
    second = world.commit({"a/x": "in a folder", "b": "file"})
    with slot(world) as made:
        for commit in (first, second, first):
            made.checkout(commit)
            assert files(made.path) == fresh(world, commit)


def test_a_clone_that_moved_or_was_packed_is_followed(world: World) -> None:
    first, second = world.commit({"t": "x\n"}), world.commit({"t": "y\n"})
    with slot(world) as made:
        made.checkout(first)
        world.git("gc", "--quiet", "--prune=now")
        made.checkout(second)
    moved = world.root / "moved"
    world.clone.rename(moved)
    with slot(world, moved) as made:
        made.checkout(first)
        assert files(made.path) == fresh(world, first, moved)


def test_a_new_clone_at_the_old_place_is_another_clone(world: World) -> None:
    first = world.commit({"t": "x\n", "only": "here\n"})
    with slot(world) as made:
        made.checkout(first)
    world.clone.rename(world.root / "old")
    for kind in ("sha256", "sha1"):
        world.git("init", "--quiet", f"--object-format={kind}", world.clone, cwd=world.root)
        commit = world.commit({"t": "other\n"})
        with slot(world) as made:
            made.checkout(commit)
            assert files(made.path) == {"t": "0 b'other\\n'"}
            assert world.git("status", "--porcelain", cwd=made.path) == ""
        world.clone.rename(world.root / f"old-{kind}")


@pytest.mark.parametrize("name", ["a\nb", 'a "b', "ü#'", "back\\slash"])
def test_any_name_of_the_clone_will_do(world: World, name: str) -> None:
    commit = world.commit({"t": "x\n"})
    clone = world.root / name
    world.clone.rename(clone)
    with slot(world, clone) as made:
        made.checkout(commit)
        assert files(made.path) == {**files(made.path), "t": "0 b'x\\n'"}
        assert world.git("log", "-1", "--format=%H", cwd=made.path) == commit


def test_a_shallow_clone_works(world: World) -> None:
    world.publish({"t": "1"})
    commit = world.publish({"t": "2"})
    shallow = world.root / "shallow"
    world.git("clone", "--quiet", "--depth=1", f"file://{world.remote}", shallow, cwd=world.root)
    with slot(world, shallow) as made:
        made.checkout(commit)
        assert world.git("log", "--format=%H", cwd=made.path) == commit
        assert world.git("fsck", cwd=made.path) == ""


def test_a_partial_clone_fetches_what_it_lacks(world: World) -> None:
    first = world.publish({"t": "1"})
    second = world.publish({"t": "2"})
    world.git("config", "uploadpack.allowFilter", "true", cwd=world.remote)
    world.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=world.remote)
    partial = world.root / "partial"
    world.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{world.remote}", partial, cwd=world.root)
    before = state(partial)
    with slot(world, partial) as made:
        for commit, content in ((first, "1"), (second, "2")):
            made.checkout(commit)
            assert (made.path / "t").read_text() == content
            assert world.git("show", "HEAD:t", cwd=made.path) == content
    assert state(partial) == before


def test_submodules_are_empty_folders_again_after_a_suite_filled_them(world: World) -> None:
    inner = world.root / "inner"
    world.git("init", "--quiet", inner, cwd=world.root)
    world.commit({"f": "1"}, cwd=inner)
    world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub")
    first = world.commit({"t": "1"})
    world.git("rm", "--quiet", "-f", "sub")
    second = world.commit({"t": "2"})
    with slot(world) as made:
        made.checkout(first)
        assert list((made.path / "sub").iterdir()) == []
        world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", cwd=made.path)
        assert (made.path / "sub" / "f").exists()
        assert made.changed() == ()
        made.checkout(first)
        assert list((made.path / "sub").iterdir()) == []
        world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", cwd=made.path)
        made.checkout(second)
        assert files(made.path) == fresh(world, second)


def test_a_clone_that_borrows_itself_works(world: World) -> None:
    commit = world.commit({"t": "1"})
    lender = world.root / "lender"
    world.clone.rename(lender)
    world.git("clone", "--quiet", "--shared", lender, world.clone, cwd=world.root)
    (world.clone / ".git/objects/info/alternates").write_text("../../../lender/.git/objects\n")
    with slot(world) as made:
        made.checkout(commit)
        assert (made.path / "t").read_text() == "1"
        assert world.git("fsck", cwd=made.path) == ""


def test_a_cache_that_cannot_be_used_is_named(world: World) -> None:
    (world.root / "file").write_text("")
    env = {**world.env, "XDG_CACHE_HOME": str(world.root / "file")}
    with (
        pytest.raises(Failed, match=r"file/.*not a directory") as caught,
        scratch.slot(discover(world.clone), env=env),
    ):
        pass
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


def test_a_relative_cache_home_is_ignored(world: World) -> None:
    with scratch.slot(discover(world.clone), env={**world.env, "XDG_CACHE_HOME": "here"}) as made:
        assert made.path.is_relative_to(world.root / "home" / ".cache")


def test_slots_of_a_clone_that_is_gone_are_removed_when_another_clone_comes(world: World) -> None:
    with slot(world) as made:
        made.checkout(world.git("rev-parse", "HEAD"))
        gone = made.path
        moved = world.root / "moved"
        world.clone.rename(moved)
        with slot(world, moved):
            assert gone.exists()
    third = world.root / "third"
    moved.rename(third)
    with slot(world, third) as made:
        assert not gone.exists()
        assert made.path.exists() is False


def test_tracked_files_in_a_cache_are_the_commits(world: World) -> None:
    first = world.commit({"vendor/old": "1", "vendor/same": "1"})
    world.git("rm", "--quiet", "vendor/old")
    second = world.commit({"vendor/same": "2", ".gitattributes": "* text=auto\n"})
    with slot(world) as made:
        made.checkout(first, ["vendor"])
        (made.path / "vendor" / "kept").write_text("x")
        for commit in (second, first, second):
            made.checkout(commit, ["vendor"])
            assert files(made.path) == {**fresh(world, commit), "vendor/kept": "0 b'x'"}


PROGRAM = """
import sys
from pathlib import Path
from homelab.git.repository import discover
from homelab.verify import scratch
with scratch.slot(discover(Path(sys.argv[1]))) as made:
    print(made.path, flush=True)
    for _ in range(int(sys.argv[2])):
        for commit in sys.argv[3:]:
            made.checkout(commit)
            assert made.changed() == made.leftovers() == ()
"""


def _many(world: World) -> tuple[str, str]:
    many = {f"d{number % 9}/f{number}": "1\n" for number in range(300)}
    first = world.commit(many)
    second = world.commit({**dict.fromkeys(list(many)[::2], "22\n"), ".gitattributes": "*0 eol=crlf\n"})
    return first, second


@contextmanager
def slot_zero(world: World) -> Iterator[Checkout]:
    """The first slot, as soon as the last git of a killed program has ended."""
    for _ in range(1000):
        with slot(world) as made:
            if made.path.parent.name == "0":
                yield made
                return
        time.sleep(0.01)
    raise AssertionError("the first slot stays taken")


@pytest.mark.slow
def test_a_kill_at_any_moment_is_healed_by_the_next_checkout(world: World) -> None:
    first, second = _many(world)
    for number in range(30):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(world.clone), "9", first, second], env=world.env, stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.013 * number)
            child.kill()
        with slot_zero(world) as made:
            made.checkout(second if number % 2 else first)
            assert files(made.path) == fresh(world, second if number % 2 else first)


@pytest.mark.slow
def test_many_at_a_time_each_have_their_slot(world: World) -> None:
    first, second = _many(world)
    before = state(world.clone)
    command = [sys.executable, "-c", PROGRAM, str(world.clone), "2", first, second]
    children = [subprocess.Popen(command, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(12)]
    results = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0] * 12, results
    assert state(world.clone) == before


def test_a_receiving_hook_can_check_out_what_is_not_accepted_yet(world: World) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from homelab.git.repository import discover\nfrom homelab.verify import scratch\n"
        "commit = sys.stdin.read().split()[1]\n"
        "with scratch.slot(discover(from_hook=True)) as made:\n    made.checkout(commit)\n"
        "    print((made.path / 't').read_text())\n    raise SystemExit('no')"
    )
    (world.root / "hook.py").write_text(program)
    world.server_hook("pre-receive", f"exec {sys.executable} {world.root}/hook.py")
    before = world.refs()
    world.commit({"t": "not yet accepted\n"})
    done = world.run("git", "push", "origin", "master", check=False)
    assert world.refs() == before
    assert "not yet accepted" in done.stderr


SUITE = """
import os, sys
from pathlib import Path
from homelab.git.repository import discover
from homelab.system import supervise as supervision
from homelab.verify import scratch
with scratch.slot(discover(Path(sys.argv[1]))) as made:
    made.checkout(sys.argv[2])
    log = made.path.parent / "log"
    supervision.run("sleep 600; :", cwd=made.path, env=os.environ, log=log, timeout=60, keep_fds=[made.lock_fd])
"""


@pytest.mark.slow
def test_the_slot_of_a_killed_program_is_free_when_its_suite_has_ended(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    with slot(world) as made:
        log = made.path.parent / "log"
    for _ in range(5):
        log.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", SUITE, str(world.clone), commit], env=world.env) as child:
            while not log.exists():
                time.sleep(0.01)
            child.kill()
        with slot_zero(world) as made:
            made.checkout(commit)
            assert files(made.path) == fresh(world, commit)


@pytest.mark.parametrize("damage", ["rm -rf ../git", "rm ../git/index", "rm -rf ../*"])
def test_a_suite_that_removes_the_slot_itself_is_not_taken_for_harmless(world: World, damage: str) -> None:
    commit = world.commit({"t": "x\n"})
    with slot(world) as made:
        made.checkout(commit)
        world.run("sh", "-c", f"echo evil >t; {damage}", cwd=made.path)
        with pytest.raises(Failed, match="removed meanwhile"):
            made.changed()
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)


def test_hooks_can_be_installed_in_a_suites_repository_and_the_users_own_do_not_run_there(world: World) -> None:
    hooks = world.root / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text(f"#!/bin/sh\ntouch {world.root}/ran\n")
    (hooks / "pre-commit").chmod(0o755)
    commit = world.commit({"t": "x\n"})
    for everywhere in (False, True):
        if everywhere:
            world.git("config", "--global", "core.hooksPath", hooks)
        with slot(world) as made:
            made.checkout(commit)
            said = world.run("git", "config", "core.hooksPath", cwd=made.path, check=False)
            assert (said.returncode == 0) == everywhere, "pre-commit, prek and lefthook refuse where it is set"
            world.git("commit", "--quiet", "--allow-empty", "-m", "x", cwd=made.path)
            assert not (world.root / "ran").exists()


def test_the_folder_of_a_checkout_is_named_after_clone_and_slot(world: World) -> None:
    with slot(world) as one, slot(world) as two:
        names = {one.path.name, two.path.name}
    assert len(names) == 2 and all(name.startswith(f"{world.clone.name}-") for name in names)


def test_a_partial_clone_whose_own_settings_lead_to_its_remote_fetches_by_them(world: World) -> None:
    world.git("config", "uploadpack.allowFilter", "true", cwd=world.remote)
    world.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=world.remote)
    commit = world.commit({f"d/f{n}": f"{n}\n" for n in range(20)})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    partial = world.root / "partial"
    setting = f"url.file://{world.remote}.insteadOf=forge:infra"
    options = ("--quiet", "--config", setting, "--filter=blob:none", "--no-checkout")
    world.git("clone", *options, "forge:infra", partial, cwd=world.root)
    with slot(world, partial) as made:
        made.checkout(commit)
        assert (made.path / "d/f7").read_text() == "7\n" and made.changed() == ()
