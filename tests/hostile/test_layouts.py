"""The whole way of work in repositories as people have them: start, list, verify, the gate, land, clean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.worktrees import bare_layout
from tests.support.world import SUITE, World


def plain(world: World) -> Path:
    return world.clone


def bare(world: World) -> Path:
    root = bare_layout(world)
    world.git("remote", "set-head", "origin", "master", cwd=root)
    return root


def apart(world: World) -> Path:
    root = world.root / "layout"
    world.git("clone", "--quiet", f"--separate-git-dir={world.root / 'store'}", world.remote, root, cwd=world.root)
    return root


def shallow(world: World) -> Path:
    world.publish({"more": "1"})
    world.publish({"more": "2"})
    root = world.root / "layout"
    world.git("clone", "--quiet", "--depth=1", f"file://{world.remote}", root, cwd=world.root)
    return root


def partial(world: World) -> Path:
    for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        world.git("config", name, "true", cwd=world.remote)
    world.publish({"more": "1", "deep/.gitattributes": "x text\n"})
    root = world.root / "layout"
    world.git("clone", "--quiet", "--filter=blob:none", f"file://{world.remote}", root, cwd=world.root)
    return root


def wide(world: World) -> Path:
    remote, root = world.root / "wide.git", world.root / "layout"
    world.git("init", "--quiet", "--bare", "--object-format=sha256", remote, cwd=world.root)
    world.git("init", "--quiet", "--object-format=sha256", root, cwd=world.root)
    world.git("remote", "add", "origin", remote, cwd=root)
    world.commit({"homelab.toml": SUITE}, cwd=root)
    world.git("push", "--quiet", "origin", "master", cwd=root)
    world.git("remote", "set-head", "origin", "master", cwd=root)
    shutil.rmtree(world.remote)
    remote.rename(world.remote)
    world.git("remote", "set-url", "origin", world.remote, cwd=root)
    return root


def sparse(world: World) -> Path:
    world.publish({"wanted/x": "1", "other/y": "1"})
    world.git("pull", "--quiet")
    world.git("sparse-checkout", "set", "wanted")
    return world.clone


def moved(world: World) -> Path:
    world.homelab("hooks", "install")
    world.homelab("work", "start", "before")
    root = world.root / "mo ved"
    world.clone.rename(root)
    world.git("worktree", "repair", root / ".worktrees/before", cwd=root)
    return root


def submodule(world: World) -> Path:
    inner = world.root / "inner.git"
    world.git("clone", "--quiet", "--bare", world.remote, inner, cwd=world.root)
    world.git("config", "--global", "protocol.file.allow", "always")
    world.git("submodule", "--quiet", "add", inner, "inner")
    world.git("commit", "--quiet", "-m", "submodule")
    world.git("push", "--quiet", "origin", "master")
    return world.clone


def lfs(world: World) -> Path:
    world.git("lfs", "install", "--skip-repo")
    world.git("lfs", "track", "*.bin")
    world.commit({".gitattributes": (world.clone / ".gitattributes").read_text(), "a.bin": "large"})
    world.git("push", "--quiet", "origin", "master")
    return world.clone


LAYOUTS = [plain, bare, apart, shallow, partial, wide, sparse, moved, submodule, pytest.param(lfs, marks=needs("git-lfs"))]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_whole_way_of_work(world: World, layout: Callable[[World], Path]) -> None:
    root = layout(world)
    assert world.homelab("hooks", "install", cwd=root).returncode == 0
    done = world.homelab("work", "start", "work", cwd=root)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path == root / ".worktrees/work"
    assert world.git("status", "--porcelain", cwd=path) == ""
    rows = {row["topic"]: row for row in world.json("work", "list", cwd=root)}
    assert rows["work"]["branch"] == "ada/work" and rows["work"]["dirty"] is False

    world.commit({"bad": "1"}, cwd=path)
    assert world.homelab("verify", cwd=path).returncode == 1
    before = world.refs()
    for spec in ("HEAD:master", "HEAD:refs/heads/x"):
        code = world.run("git", "push", "--quiet", "origin", spec, cwd=path, check=False).returncode
        assert code == (1 if spec.endswith("master") else 0)
    assert world.tip() in before
    assert world.homelab("work", "land", cwd=path).returncode == 1

    world.git("rm", "--quiet", "bad", cwd=path)
    head = world.commit({"work.txt": "1"}, cwd=path)
    done = world.homelab("work", "land", cwd=path)
    assert done.returncode == 0, done.stderr
    assert world.tip() == head
    done = world.homelab("work", "clean", "work", cwd=root)
    assert done.returncode == 0 and not path.exists(), done.stderr


@pytest.mark.slow
def test_reading_commands_work_on_a_read_only_git_directory(world: World) -> None:
    assert world.homelab("hooks", "install").returncode == 0
    assert world.homelab("work", "start", "work").returncode == 0
    mount = "mount --bind .git .git && mount -o remount,ro,bind .git && ! touch .git/x 2>/dev/null"
    if world.run("unshare", "-m", "sh", "-c", mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    for command in ("work list", "work log", "work queue", "hooks status", "manifest", "claims"):
        done = world.run("unshare", "-m", "sh", "-c", f"{mount} && homelab {command} --json", check=False)
        assert done.returncode == 0 and json.loads(done.stdout) is not None, (command, done.stderr)


def test_a_sparse_worktree_says_so(world: World) -> None:
    done = world.homelab("work", "start", "work", cwd=sparse(world))
    path = Path(done.stdout.strip())
    assert (path / "wanted/x").exists() and not (path / "other").exists()
    assert "sparse" in done.stderr


def test_submodules_are_named(world: World) -> None:
    done = world.homelab("work", "start", "work", cwd=submodule(world))
    assert "git submodule update --init" in done.stderr


@pytest.mark.slow
@needs("git-lfs")
def test_large_files_that_cannot_be_had_are_pointers_and_the_start_succeeds(world: World) -> None:
    lfs(world)
    fresh = world.root / "fresh"
    world.git("clone", "--quiet", world.remote, fresh, cwd=world.root, env={"GIT_LFS_SKIP_SMUDGE": "1"})
    (world.remote / "lfs").rename(world.root / "away")
    done = world.homelab("work", "start", "work", cwd=fresh)
    path = Path(done.stdout.strip())
    assert done.returncode == 0 and "git lfs pull" in done.stderr
    assert (path / "a.bin").read_text().startswith("version https://git-lfs")
    assert world.git("status", "--porcelain", cwd=path) == ""
    done = world.homelab("verify", cwd=path)
    assert done.returncode == 1 and "git lfs fetch" in done.stderr
    shutil.rmtree(world.remote / "lfs", ignore_errors=True)
    (world.root / "away").rename(world.remote / "lfs")
    assert world.homelab("verify", cwd=path).returncode == 0
    world.git("lfs", "pull", cwd=path)
    assert (path / "a.bin").read_text() == "large"


@pytest.mark.slow
@needs("git-lfs")
def test_a_large_file_is_on_the_remote_before_what_points_at_it(world: World) -> None:
    root = lfs(world)
    assert world.homelab("hooks", "install", cwd=root).returncode == 0
    path = Path(world.homelab("work", "start", "work").stdout.strip())
    world.commit({"b.bin": "second"}, cwd=path)
    assert world.homelab("work", "land", cwd=path).returncode == 0
    fresh = world.root / "fresh"
    world.git("clone", "--quiet", world.remote, fresh, cwd=world.root)
    assert (fresh / "b.bin").read_text() == "second"
