"""Plaintext on a path of git-crypt is not committed, whatever the filters are told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.sealed import RULES, SEALED
from tests.support.world import World


def hook(world: World, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the hook as pre-commit's stage of that name does."""
    return world.run("homelab-git-crypt-sealed", cwd=cwd, check=False)


@pytest.mark.slow
def test_staged_plaintext_is_refused_and_named(locked: World) -> None:
    assert hook(locked).returncode == 0
    locked.write({"secrets/db": "password=hunter2", "open": "x"})
    locked.git("add", "open")
    assert hook(locked).returncode == 0
    locked.git("add", "secrets/db")
    done = hook(locked)
    assert done.returncode == 3 and "secrets/db" in done.stderr and "git restore --staged" in done.stderr
    assert hook(locked, locked.clone / "secrets").returncode == 3
    locked.write({"secrets/db": SEALED + b"y", "secrets/empty": ""})
    locked.git("add", "secrets")
    assert hook(locked).returncode == 0


def test_a_file_that_becomes_a_secret_is_seen_when_the_attributes_are_staged(world: World) -> None:
    world.commit({"secrets/db": "password=hunter2"})
    world.write({".gitattributes": RULES})
    world.git("add", ".gitattributes")
    assert hook(world).returncode == 3
    world.git("commit", "--quiet", "-m", "too late")
    world.write({"x": "1"})
    world.git("add", "x")
    assert hook(world).returncode == 0  # not this commit's doing


@pytest.mark.slow
def test_the_first_commit_and_a_merge_are_looked_at(locked: World) -> None:
    new = locked.root / "new"
    locked.git("init", "--quiet", new, cwd=locked.root)
    locked.write({".gitattributes": RULES, "secrets/db": "password=hunter2"}, new)
    locked.git("add", ".", cwd=new)
    assert hook(locked, new).returncode == 3
    locked.publish({"secrets/old": "password=hunter2"})
    locked.commit({"x": "1"})
    locked.git("fetch", "--quiet")
    locked.git("merge", "--quiet", "--no-commit", "--no-ff", "origin/master")
    assert hook(locked).returncode == 0
    locked.write({"secrets/db": "password=hunter2"})
    locked.git("add", "secrets/db")
    assert hook(locked).returncode == 3


@pytest.mark.slow
def test_ten_thousand_secrets_cost_no_process_each(locked: World, tmp_path: Path) -> None:
    count = tmp_path / "count"
    wrapper = tmp_path / "bin/git"
    wrapper.parent.mkdir()
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    wrapper.write_text(f'#!/bin/sh\necho >>"{count}"\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    rows = "".join(f"M 100644 inline secrets/{n}\ndata 12\n\0GITCRYPT\0{n % 100:02}\n" for n in range(10_000))
    stream = f"commit refs/heads/many\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\nfrom {locked.git('rev-parse', 'HEAD')}\n"
    locked.git("fast-import", "--quiet", input=(stream + rows).encode())
    done = locked.run("git", "push", "--quiet", "origin", "many", env={"PATH": f"{wrapper.parent}:{locked.env['PATH']}"})
    assert done.returncode == 0
    assert len(count.read_text()) < 40
    assert locked.tip("refs/heads/many")


#: What people put into their commands where git-crypt's filter is in the way.
OPTIONS = ("-c", "filter.git-crypt.smudge=cat", "-c", "filter.git-crypt.clean=cat", "-c", "filter.git-crypt.required=false")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["plain", "beside a hook", "hooks path", "behind pre-commit"])
def test_a_commit_of_plaintext_is_refused_whatever_the_filters_are_told(world: World, where: str) -> None:
    world.commit({".gitattributes": "*.key filter=git-crypt diff=git-crypt\n", "note": "1"})
    own = world.clone / (".hooks/pre-commit" if where == "hooks path" else ".git/hooks/pre-commit")
    if where in ("beside a hook", "hooks path"):
        own.parent.mkdir(exist_ok=True)
        own.write_text('#!/bin/sh\necho "$(basename "$0")" >>"$(git rev-parse --git-common-dir)/ran"\n')
        own.chmod(0o755)
    if where == "hooks path":
        world.git("config", "core.hooksPath", ".hooks")
    if where == "behind pre-commit":
        world.commit({".pre-commit-config.yaml": "repos: []\n"})
        world.run("pre-commit", "install")
    before = own.read_bytes() if own.exists() else None
    assert world.homelab("hooks", "install").returncode == 0
    head = world.git("rev-parse", "HEAD")
    world.write({"a.key": "hunter2\n"})
    world.git(*OPTIONS, "add", "a.key")
    done = world.run("git", *OPTIONS, "commit", "-m", "leak", check=False)
    assert done.returncode == 1 and world.git("rev-parse", "HEAD") == head and "a.key is staged as plaintext" in done.stderr
    world.git("rm", "-q", "--cached", "a.key")
    (world.clone / "a.key").unlink()
    world.commit({"note": "2"})
    assert (world.clone / ".git/ran").exists() is (where in ("beside a hook", "hooks path"))
    assert world.homelab("hooks", "uninstall").returncode == 0
    assert (own.read_bytes() if own.exists() else None) == before
    assert not (world.clone / ".git/hooks/pre-commit").exists() or before is not None


def test_where_git_crypt_is_not_used_no_commit_is_looked_at(world: World) -> None:
    assert world.homelab("hooks", "install").returncode == 0
    assert not (world.clone / ".git/hooks/pre-commit").exists()
