"""What other repositories do: pre-commit and prek install our hooks from this repository, with pip, for real."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.world import World


@pytest.fixture
def offered(tmp_path: Path) -> tuple[Path, str]:
    """This working tree as a repository of one commit, as `rev:` would name it."""
    target = tmp_path / "offered"
    # An sdist has no repository, so git looks at the files with one that is empty.
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "none.git"], check=True)
    empty = ["git", f"--git-dir={tmp_path}/none.git", f"--work-tree={ROOT}"]
    listing = [*empty, "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())
    run = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for args in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "release"]):
        subprocess.run([*run, *args], cwd=target, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=target, check=True, capture_output=True, text=True)
    return target, head.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", ["pre-commit", "prek"])
def test_a_framework_installs_the_hook_from_the_repository_and_it_gates(
    world: World, offered: tuple[Path, str], framework: str
) -> None:
    repo, rev = offered
    config = f"default_install_hook_types: [pre-push]\nrepos:\n- repo: {repo}\n  rev: {rev}\n  hooks:\n  - id: verified-push\n"
    world.commit({".pre-commit-config.yaml": config})
    world.git("push", "--quiet", "origin", "master")
    world.run(framework, "install", "--install-hooks", timeout=400)
    before = world.refs()
    world.commit({"bad": "1"})
    done = world.run("git", "push", "origin", "master", check=False, timeout=120)
    assert done.returncode == 1 and world.refs() == before and "is red" in done.stdout + done.stderr
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    head = world.commit({"x": "1"})
    done = world.run("git", "push", "origin", "master", check=False, timeout=120)
    assert world.tip() == head, done
    assert "homelab hooks install" in done.stdout + done.stderr
