"""Fixtures: every test gets a world of its own, copied from one that is built once a session."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.claimants import Claimants
from tests.support.claimants import claimants as claimants_on
from tests.support.postgres import Server, database, discard, launch
from tests.support.sealed import RULES, SEALED
from tests.support.world import World, build, sealed


def pytest_configure() -> None:
    """Give children the signals as a terminal does: nohup and a shell's `&` leave some ignored, and that is inherited.

    SIGPIPE stays ignored here, or a stand-in of a forge whose client was killed would end all tests; `subprocess` gives its
    children the default.
    """
    for ignored in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "world"
    build(root)
    return root


@pytest.fixture
def world(_template: Path, tmp_path: Path) -> World:
    """A remote and a clone whose master has a policy of one suite; no hooks installed."""
    root = tmp_path / "w"
    shutil.copytree(_template, root, symlinks=True)
    made = World(root, sealed(root / "home"))
    made.git("remote", "set-url", "origin", str(made.remote))
    return made


@pytest.fixture
def gated(world: World) -> World:
    """The same with the gate installed."""
    assert world.homelab("hooks", "install").returncode == 0
    return world


@pytest.fixture
def locked(gated: World) -> World:
    """A gated clone of a repository that uses git-crypt, without the key: nothing in it would encrypt."""
    gated.publish({".gitattributes": RULES, "secrets/db": SEALED})
    gated.git("pull", "--quiet")
    return gated


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; tests make databases of their own on it."""
    made = launch()
    try:
        yield made
    finally:
        discard(made)


@pytest.fixture(params=["files", pytest.param("postgres", marks=pytest.mark.slow)])
def claimants(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Claimants]:
    """Sessions that share a store: the same tests run on both kinds."""
    url = f"file://{tmp_path}/store"
    if request.param == "postgres":
        url = database(request.getfixturevalue("server"))
    with claimants_on(tmp_path, url) as made:
        if request.param == "postgres":
            made.ok("claims", "init-store")
        yield made


@pytest.fixture
def on_files(tmp_path: Path) -> Iterator[Claimants]:
    """Sessions that share a store of files."""
    with claimants_on(tmp_path, f"file://{tmp_path}/store") as made:
        yield made
