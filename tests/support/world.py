"""A bare remote, a clone of it, and everything a test does to them, with plain subprocess and real git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent

#: With ``GIT_DEFAULT_REF_FORMAT=reftable`` every repository of a run has its refs in one, from git 2.45 on.
_KEPT = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_DEFAULT_REF_FORMAT")

#: A suite that is green while a file called `bad` does not exist.
SUITE = '[[suite]]\nname = "check"\nrun = "test ! -e bad"\n'
BEGINNING = {"README": "hello\n", "homelab.toml": SUITE}


def sealed(home: Path) -> dict[str, str]:
    """Return an environment that sees nothing of the machine's user: own HOME, no system configuration, fixed identity."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "USER": "ada",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_EDITOR": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        **{k: v for k, v in os.environ.items() if k.startswith("PIP_") or k in _KEPT},
    }


@dataclass
class World:
    """`root/remote.git` is bare, its master has one commit; `root/clone` is a clone of it with a main worktree."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    @property
    def clone(self) -> Path:
        return self.root / "clone"

    def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the clone (or `cwd`); its output is text. A failure fails the test unless `check` is false."""
        # A path that a command did not print is `.`: the repository that the tests themselves are in.
        assert cwd is None or cwd.is_absolute(), cwd
        done = subprocess.run(
            [str(part) for part in argv],
            cwd=cwd or self.clone,
            env={**self.env, **(env or {})},
            input=input.encode() if isinstance(input, str) else input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and done.returncode:
            raise AssertionError(f"{argv} ended with {done.returncode}\n{text.stdout}\n{text.stderr}")
        return text

    def git(self, *args: str | Path, cwd: Path | None = None, **options: Any) -> str:
        """Return what git printed, stripped."""
        return self.run("git", *args, cwd=cwd, **options).stdout.strip()

    def homelab(self, *args: str | Path, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the installed program; unchecked, since its exit code is what tests look at."""
        return self.run(BIN / "homelab", *args, cwd=cwd, **{"check": False, **options})

    def json(self, *args: str | Path, cwd: Path | None = None, **options: Any) -> Any:
        """Return the one JSON document that a command answers with, whatever its exit code."""
        return json.loads(self.homelab(*args, "--json", cwd=cwd, **options).stdout)

    def write(self, files: Mapping[str, str | bytes], cwd: Path | None = None) -> None:
        """The files stand in the worktree, with these contents."""
        for name, content in files.items():
            path = (cwd or self.clone) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: Mapping[str, str | bytes], message: str = "change", cwd: Path | None = None) -> str:
        """Commit the files in the worktree and return the commit."""
        self.write(files, cwd)
        self.git("add", "--", *files, cwd=cwd)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def publish(self, files: Mapping[str, str | bytes], message: str = "from elsewhere") -> str:
        """Put a commit on the remote's master from another clone, past every hook, and return it."""
        other = self.root / "other"
        if not other.exists():
            self.git("clone", "--quiet", self.remote, other, cwd=self.root)
        self.git("fetch", "--quiet", "origin", cwd=other)
        self.git("reset", "--quiet", "--hard", "origin/master", cwd=other)
        oid = self.commit(files, message, cwd=other)
        self.git("push", "--quiet", "--no-verify", "origin", "HEAD:master", cwd=other)
        return oid

    def tip(self, ref: str = "refs/heads/master") -> str:
        """Return where a ref of the remote points, or an empty string."""
        return self.git("rev-parse", "--verify", "--quiet", ref, cwd=self.remote, check=False)

    def refs(self) -> str:
        """Return every ref of the remote."""
        return self.git("for-each-ref", "--format=%(refname) %(objectname)", cwd=self.remote)

    def server_hook(self, name: str, body: str) -> None:
        """The remote has this hook."""
        path = self.remote / "hooks" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


def build(root: Path, files: Mapping[str, str | bytes] = BEGINNING) -> World:
    """Make a new world below `root`: remote, clone, and these files on master, by default a policy of one suite."""
    home = root / "home"
    home.mkdir(parents=True)
    world = World(root, sealed(home))
    world.git("config", "--global", "init.defaultBranch", "master", cwd=root)
    world.git("config", "--global", "advice.detachedHead", "false", cwd=root)
    world.git("init", "--quiet", "--bare", world.remote, cwd=root)
    world.git("clone", "--quiet", world.remote, world.clone, cwd=root)
    world.commit(files, "begin")
    world.git("push", "--quiet", "origin", "master")
    world.git("remote", "set-head", "origin", "master")
    return world
