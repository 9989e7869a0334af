"""A scratch checkout is exactly one commit, and what a suite does to a file of it is seen."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from homelab.errors import Failed
from tests.support.checkouts import files, fresh, slot
from tests.support.needs import needs
from tests.support.world import World


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


def test_modes_that_git_does_not_keep_are_as_they_were_made(world: World) -> None:
    world.commit({"one/a/x": "1", "two/y": "1", "three/z": "1", "cache/t": "1"})
    commits = world.git("rev-parse", "HEAD"), world.commit({"more": "1"})
    names = ("one", "one/a", "one/a/x", "two", "two/y", "three", "three/z")
    with slot(world) as made:
        made.checkout(commits[0])
        modes = [(made.path / name).lstat().st_mode for name in names]
        for commit in (commits[0], commits[1], commits[1]):
            (made.path / "one/a").chmod(0o700)
            (made.path / "two").chmod(0o777)
            (made.path / "two/y").chmod(0o600)
            shutil.rmtree(made.path / "three")
            assert {"one/a", "two", "two/y"} == set(made.leftovers())
            made.checkout(commit)
            assert [(made.path / name).lstat().st_mode for name in names] == modes and made.leftovers() == ()


@pytest.mark.slow
@needs("git-lfs")
def test_what_one_commit_leaves_out_of_a_checkout_is_there_for_another(world: World) -> None:
    world.git("lfs", "install", "--skip-repo")
    world.git("lfs", "track", "*.bin")
    whole = world.commit({".gitattributes": (world.clone / ".gitattributes").read_text(), "a.bin": "large"})
    world.git("push", "--quiet", "origin", "master")
    pointers = world.commit({".lfsconfig": "[lfs]\n\tfetchexclude = *\n"})
    with slot(world) as made:
        for commit, content in ((whole, "large"), (pointers, "version https"), (whole, "large")):
            made.checkout(commit)
            assert (made.path / "a.bin").read_text().startswith(content)


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
    world.git("config", "--global", "core.symlinks", "false")
    link = world.git("hash-object", "-w", "--stdin", input="t")
    world.git("update-index", "--add", "--cacheinfo", f"120000,{link},l")
    commit = world.commit({"t": b"one\n"})
    with slot(world) as made:
        made.checkout(commit)
        assert (made.path / "t").read_bytes() == b"one\n" and (made.path / "l").is_symlink()
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
