"""Hooks of a clone, put there and looked at as a person would."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from homelab.install import shim
from tests.support.world import World

CONFIG = """repos:
- repo: local
  hooks:
  - id: seen
    name: seen
    language: system
    entry: touch framework-ran
    stages: [pre-push]
    always_run: true
    pass_filenames: false
"""


def snapshot(world: World) -> dict[str, tuple[int, bytes]]:
    """Return what is in the hooks folder and the configuration: mode and content, a link's target for a link."""
    common = world.clone / ".git"
    found = {}
    for path in [*sorted((common / "hooks").rglob("*")), common / "config", *sorted(world.clone.glob(".[gh]*ks/**/*"))]:
        if path.is_symlink():
            found[str(path)] = (0, bytes(path.readlink()))
        elif path.is_file():
            found[str(path)] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
    return found


def hook(world: World, body: str, name: str = ".git/hooks/pre-push", mode: int = 0o755) -> Path:
    path = world.clone / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def install(world: World, cwd: Path | None = None) -> None:
    done = world.homelab("hooks", "install", cwd=cwd)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def uninstall(world: World) -> None:
    done = world.homelab("hooks", "uninstall")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def without_program(hook: bytes) -> bytes:
    return re.sub(rb"(?m)^python=.*$", b"python=/nowhere/python", hook)


def lose_the_program(world: World) -> None:
    """Every hook of ours in the clone starts a program that is not there, so that it refuses what is protected."""
    for path in (world.clone / ".git").rglob("*"):
        if path.is_file() and shim.owner(path) == "homelab":
            path.write_bytes(without_program(path.read_bytes()))


def assert_guarded(world: World, cwd: Path | None = None) -> None:
    """A push to master is refused by our shim, a push to a feature branch is not; several refs hide nothing."""
    lose_the_program(world)
    before = world.tip()
    commit = world.git("commit-tree", "-p", "HEAD", "-m", "unverified", "HEAD^{tree}", cwd=cwd)
    world.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/a-feature", cwd=cwd)
    assert world.tip("refs/heads/a-feature") == commit
    done = world.run(
        "git", "push", "origin", f"{commit}~0:refs/heads/a-feature", f"{commit}:refs/heads/master", cwd=cwd, check=False
    )
    assert "program that verifies it is gone" in done.stderr
    assert done.returncode != 0
    assert world.tip() == before
    done = world.run("git", "push", "origin", ":refs/heads/master", cwd=cwd, check=False)
    assert done.returncode != 0
    assert world.tip() == before


def framework(world: World, name: str, *args: str) -> None:
    world.run(name, *(args or ("install",)), "--hook-type", "pre-push")
