"""A clone with our shell hook and a stand-in for Python behind it, in any shell."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from homelab.gate import markers, sources
from homelab.git.repository import discover
from homelab.install import shim
from tests.support.world import World

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh"), "mksh": ("mksh",)}


MORE_SHELLS = SHELLS | {"zsh": ("zsh", "--emulate", "sh")}


ZERO = "0" * 40


#: Two commits of nothing, made in every stage.
A, B = "a8c6eba1fa35825e7666c6c40627cca3c1917891", "eff60b377f247462a80d836bc21dcb0f25048913"


FAKE = """#!/bin/sh
case "$*" in *'-c import homelab_hooks.verified_push'*) exit {importable} ;; esac
printf '%s\\n' "$@" >"{here}/args"
cat >"{here}/stdin"
echo said-by-python
exit {code}
"""


@functools.cache
def exec_path() -> dict[str, str]:
    """Return what git tells its hooks besides: the folder of its programs."""
    return {"GIT_EXEC_PATH": subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()}


@dataclass
class Stage:
    """A clone with the shim as its hook, and a stand-in for Python that notes what it gets."""

    world: World
    shell: tuple[str, ...]
    memo: Path

    @property
    def here(self) -> Path:
        return self.world.root / "fake"

    @property
    def hook(self) -> Path:
        return self.world.clone / ".git/hooks/pre-push"

    def python(self, code: int = 0, importable: int = 0) -> None:
        path = self.here / "python with 'quotes'"
        path.write_text(FAKE.format(here=self.here, code=code, importable=importable))
        path.chmod(0o755)

    def lose_python(self) -> None:
        (self.here / "python with 'quotes'").unlink()

    def next(self, body: str) -> None:
        path = self.hook.parent / "homelab-next/pre-push"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def push(self, stdin: bytes, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.shell, ".git/hooks/pre-push", "origin", "url of it"],
            input=stdin,
            cwd=self.world.clone,
            env={**self.world.env, **exec_path(), **(env or {})},
            capture_output=True,
            timeout=60,
            check=False,
        )

    def asked(self) -> bytes | None:
        """Return what Python got since the last question, or None when it was not started."""
        try:
            return (self.here / "stdin").read_bytes()
        finally:
            (self.here / "stdin").unlink(missing_ok=True)

    def was_asked(self) -> bool:
        there = (self.here / "stdin").exists()
        (self.here / "stdin").unlink(missing_ok=True)
        return there

    def mark(self, ref: str, old: str, new: str) -> None:
        path = self.memo / ref / f"{old}-{new}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def record(ref: str, old: str = A, new: str = B, source: str = "HEAD") -> bytes:
    return f"{source} {new} {ref} {old}\n".encode()


def remember(world: World, memo: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """What the rules were read from is written down as it is now, where the remote's default branch is known."""
    head = world.git("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD", cwd=cwd, check=False)
    if head:
        world.git("symbolic-ref", sources.TARGET, head, cwd=cwd)
    (memo / "to").mkdir(exist_ok=True)
    with mock.patch.dict(os.environ, {**world.env, **exec_path(), **(env or {})}, clear=True):
        repository = discover(cwd or world.clone)
        content = sources.read(repository.common_dir, repository.snapshot(), "origin")
    assert content is not None
    (memo / "to/origin").write_bytes(content)


def stage_for(world: World, shell: str) -> Stage:
    if shutil.which(MORE_SHELLS[shell][0]) is None:
        pytest.skip(f"there is no {shell} here")
    blob = world.git("rev-parse", "origin/master:homelab.toml")
    memo = markers.memo(world.clone / ".git", blob)
    memo.mkdir(parents=True)
    (memo / "protected").write_text(" refs/heads/master \n refs/heads/release/\n .\n")
    remember(world, memo)
    world.git("symbolic-ref", sources.TARGET, "refs/remotes/origin/master")
    moment = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    empty = world.git("mktree", input="")
    assert world.git("commit-tree", "-m", "a", empty, env=moment) == A
    assert world.git("commit-tree", "-m", "b", "-p", A, empty, env=moment) == B
    markers.plain(world.clone / ".git").write_text(f"{A}\n")
    stage = Stage(world, MORE_SHELLS[shell], memo)
    stage.here.mkdir()
    content = shim.pre_push(
        ("master", "release/*"), b'${0%/*}/"homelab-next/pre-push"', python=str(stage.here / "python with 'quotes'")
    )
    stage.hook.parent.mkdir(exist_ok=True)
    stage.hook.write_bytes(content)
    stage.hook.chmod(0o755)
    stage.python()
    return stage
