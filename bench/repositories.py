"""The repositories that are measured: each a bare remote and a clone, with one kind of hook."""

import shutil
import subprocess
from pathlib import Path

from tests.support.world import BIN, World, build, sealed

#: A framework's hook that does nothing, as its configuration names it.
_NOTHING = """\
repos:
  - repo: local
    hooks:
      - id: nothing
        name: nothing
        entry: "true"
        language: system
        stages: [pre-push]
        always_run: true
        pass_filenames: false
"""


def plain(root: Path) -> World:
    """Return a world with one suite that is always green; no hook."""
    world = build(root)
    publish(world, {"homelab.toml": '[[suite]]\nname = "check"\nrun = "true"\n'})
    return world


def publish(world: World, files: dict[str, str]) -> None:
    """The files are on master, here and on the remote."""
    world.commit(dict(files), "measure this")
    world.git("push", "--quiet", "--no-verify", "origin", "master")


def copy(world: World, root: Path) -> World:
    """Return the same world at another place."""
    shutil.copytree(world.root, root, symlinks=True)
    made = World(root, sealed(root / "home"))
    made.git("remote", "set-url", "origin", str(made.remote))
    return made


def stacks(root: Path, count: int, red: int = 0) -> World:
    """Return a world with so many stacks, five files each, on master and verified but the red ones; the gate is installed."""
    world = build(root)
    parts = ("main.tf", "variables.tf", "outputs.tf", "providers.tf", "terragrunt.hcl")
    files = {f"stacks/s{n:04}/{part}": f"# {part} of {n}\n" for n in range(count) for part in parts}
    files["homelab.toml"] = '[[suite]]\nname = "stack"\neach = "stacks/*"\nrun = "test ! -e red"\n'
    files.update({f"stacks/s{n:04}/red": "" for n in range(red)})
    world.write(files)
    world.git("add", "--all")
    world.git("commit", "--quiet", "-m", "stacks")
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    gate(world)
    world.run(BIN / "homelab", "verify", timeout=600, check=not red)
    return world


def files(root: Path, count: int) -> World:
    """Return a world with so many files on master, a hundred to a folder, in one pack as a clone has them, and one suite."""
    world = plain(root)
    rows = ["commit refs/heads/master\ncommitter a <a@b> 1700000000 +0000\ndata 5\nfiles\nfrom refs/heads/master^0\n"]
    for number in range(count):
        content = f"{number}\n" * 20
        rows.append(f"M 100644 inline d{number // 100:04}/f{number % 100:02}\ndata {len(content)}\n{content}\n")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=world.clone, env=world.env, input="".join(rows).encode(), check=True)
    world.git("reset", "--quiet", "--hard")
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    return world


def branches(world: World, count: int) -> None:
    """So many branches stand at HEAD."""
    rows = (f"update refs/heads/b{number} HEAD\n" for number in range(count))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=world.clone, env=world.env, input="".join(rows).encode(), check=True)


def worktrees(world: World, count: int) -> World:
    """So many worktrees stand beside the clone, each with a commit of its own on a topic's branch."""
    for number in range(count):
        path = world.run(BIN / "homelab", "work", "start", f"t{number}").stdout.strip()
        world.commit({f"stacks/s{number:04}/main.tf": f"# changed in {number}\n"}, cwd=Path(path))
    return world


def ungated(world: World) -> World:
    """No hook is installed."""
    (world.clone / ".git/hooks/pre-push").unlink()
    return world


def gate(world: World) -> World:
    """Our gate is installed."""
    world.run(BIN / "homelab", "hooks", "install")
    return world


def verify(world: World) -> None:
    """HEAD is verified."""
    world.run(BIN / "homelab", "verify", timeout=600)


def empty_commit(world: World) -> None:
    """HEAD is one commit on, with the same tree: its receipts are there, and no marker is."""
    world.git("commit", "--quiet", "--allow-empty", "-m", "next")


def sh(world: World) -> World:
    """A shell hook that does nothing is installed."""
    path = world.clone / ".git/hooks/pre-push"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return world


def framework(world: World, tool: str) -> World:
    """pre-commit or prek runs one hook that does nothing."""
    publish(world, {".pre-commit-config.yaml": _NOTHING})
    world.run(BIN / tool, "install", "--hook-type", "pre-push")
    return world


def lefthook(world: World, program: Path) -> World:
    """Lefthook runs one command that does nothing."""
    publish(world, {"lefthook.yml": "pre-push:\n  commands:\n    nothing:\n      run: 'true'\n"})
    world.env["PATH"] = f"{program.parent}:{world.env['PATH']}"
    world.run(program, "install")
    return world


def npm_lefthook(folder: Path) -> Path | None:
    """Return lefthook's program, fetched with npm into a folder; None where there is no npm or it does not answer."""
    if _native(folder) is None and (npm := shutil.which("npm")):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # Its install script would run `lefthook install`, which writes files, in the repository that we stand in.
            subprocess.run(
                [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, "lefthook"],
                capture_output=True, check=False, timeout=120,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    return _native(folder)


def _native(folder: Path) -> Path | None:
    # What npm puts on PATH is a script for node that starts this one, which would cost lefthook 30 ms more.
    return next(folder.glob("node_modules/lefthook-*/bin/lefthook"), None)
