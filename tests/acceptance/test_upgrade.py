"""Hooks that version 0.1 wrote, when the program that they start is of this version: nothing more gets through."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from homelab.install import shim
from tests.support import ROOT
from tests.support.world import SUITE, World

#: As `homelab hooks install` of 0.1 left them, save for what it put in.
FORMER = ROOT / "tests/install/former"


def former(kind: str, python: Path | str) -> bytes:
    """Return the hook of version 0.1, which knew of master alone."""
    ends = "" if kind == "pre-receive" else " "
    parts = {
        "PYTHON": shlex.quote(str(python)),
        "NEEDLES": shlex.quote(f" refs/heads/master{ends}"),
        "NEXT": '${0%/*}/"' + f'{kind}.homelab-next"',
    }
    text = (FORMER / f"{kind}.sh").read_text()
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], text).encode()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("homelab", "hooks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        source,
    ]
    subprocess.run(pip, check=True, timeout=100)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel, and of everything else what this one has."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    place = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    (place / "z.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files count for nothing from there
    return folder / "bin/python"


@pytest.mark.slow
def test_the_wheel_has_no_module_that_another_project_could_have(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {
        "homelab", "homelab_hooks", "homelab-hooks-former-name.pth",
    }  # fmt: skip


@pytest.mark.slow
def test_the_former_name_answers_to_former_hooks_alone(installed: Path) -> None:
    def ends(*args: str) -> int:
        return subprocess.run([installed, "-I", *args], capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode

    assert ends("-c", "import homelab_hooks.verified_push") == ends("-c", "import hooks.verified_push") == 0
    assert ends("-c", "import hooks") == ends("-m", "hooks.git_crypt_sealed") == 1
    assert ends("-m", "hooks.verified_push", "--native", "origin") == 0


@pytest.mark.slow
def test_a_former_hook_in_a_clone_judges_what_it_never_knew_of_and_is_renewed(world: World, installed: Path) -> None:
    world.commit({"homelab.toml": f'[gate]\nprotect = ["release/*"]\n{SUITE}'})
    world.git("push", "--quiet", "origin", "master")
    hook = put(world.clone / ".git/hooks/pre-push", former("pre-push", installed))
    world.commit({"bad": "1"})
    before = world.refs()
    for branch in ("master", "release/1"):
        assert world.run("git", "push", "origin", f"HEAD:{branch}", check=False).returncode == 1
        assert world.refs() == before
    assert shim.is_current(hook) and shim.program(hook) == str(installed)
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    assert world.run("git", "push", "origin", "HEAD:release/1", "HEAD:feature").returncode == 0


@pytest.mark.slow
def test_a_former_hook_on_a_server_judges_what_it_never_knew_of_and_is_renewed(world: World, installed: Path) -> None:
    world.commit({"homelab.toml": f'[gate]\nprotect = ["release/*"]\n{SUITE}'})
    world.git("push", "--quiet", "origin", "master")
    hook = put(world.remote / "hooks/pre-receive", former("pre-receive", installed))
    world.commit({"bad": "1"})
    before = world.refs()
    for branch in ("release/1", "master"):
        assert world.run("git", "push", "origin", f"HEAD:{branch}", check=False).returncode == 1
        assert world.refs() == before
        assert shim.is_current(hook)


@pytest.mark.parametrize("program", ["gone", "without the module"])
def test_a_former_hook_whose_program_cannot_answer_still_guards_what_it_knew(world: World, program: str) -> None:
    python = "/nowhere/python" if program == "gone" else put(world.root / "python", b"#!/bin/sh\nexit 1\n")
    put(world.clone / ".git/hooks/pre-push", former("pre-push", python))
    world.commit({"x": "1"})
    before = world.refs()
    assert world.run("git", "push", "origin", "HEAD:master", check=False).returncode == 1
    assert world.refs() == before


def test_hooks_install_writes_a_former_hook_anew(world: World) -> None:
    hook = put(world.clone / ".git/hooks/pre-push", former("pre-push", sys.executable))
    assert not shim.is_current(hook)
    assert world.homelab("hooks", "install").returncode == 0
    assert shim.is_current(hook) and b"homelab_hooks.verified_push" in hook.read_bytes()
