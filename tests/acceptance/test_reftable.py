"""Refs kept as a reftable, or elsewhere: no file tells where one is, so the shell asks git or Python; all else is as ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from homelab.git.version import git_version
from tests.support.world import SUITE, World, build

#: `git init --ref-format` came with 2.45, and `git refs migrate` with 2.46.
SINCE = (2, 46)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(git_version() < SINCE, reason="git has reftables, and `git refs migrate`, from 2.46 on"),
]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A remote and a gated clone whose refs are reftables, as are those of every repository that is made."""
    monkeypatch.setenv("GIT_DEFAULT_REF_FORMAT", "reftable")
    world = build(tmp_path / "w")
    assert world.homelab("hooks", "install").returncode == 0
    for place in (world.clone, world.remote):
        assert world.git("rev-parse", "--show-ref-format", cwd=place) == "reftable"
    return world


def pushed(world: World, *args: str) -> int:
    return world.run("git", "push", *args, check=False).returncode


def test_the_gate_judges_every_push(tables: World) -> None:
    before = tables.tip()
    red = tables.commit({"bad": "1"})
    for spec in ("HEAD:master", f"{red}:master", "HEAD:main", ":master", "+HEAD~1:refs/heads/main HEAD:refs/heads/master"):
        pushed(tables, "origin", *spec.split())
        assert tables.tip() == before and red not in tables.refs(), spec
    assert pushed(tables, "origin", "HEAD:topic") == 0
    tables.git("reset", "--quiet", "--hard", "HEAD~1")
    green = tables.commit({"good": "1"})
    assert pushed(tables, "origin", "HEAD:master") == 0 and tables.tip() == green
    assert not list(tables.clone.glob(".git/homelab/gate/2/*/of")), "the shell would pass by files that do not move"
    # The default branch is renamed, which no file of this clone shows.
    tables.git("branch", "-m", "master", "trunk", cwd=tables.remote)
    tables.git("fetch", "--quiet", "--prune")
    tables.git("remote", "set-head", "origin", "trunk")
    tables.commit({"bad": "1"})
    assert pushed(tables, "origin", "HEAD:trunk") == 1 and tables.tip("refs/heads/trunk") == green


def test_work_is_started_listed_landed_and_cleaned_away(tables: World) -> None:
    place = Path(tables.homelab("work", "start", "mine").stdout.strip())
    tables.commit({"mine": "1"}, cwd=place)
    assert tables.json("claim", "stack:dns", "--purpose", "try", cwd=place)["ok"]
    tables.publish({"theirs": "1"})
    landed = tables.json("work", "land", cwd=place)
    assert landed["status"] == "landed" and tables.tip() == landed["pushed"]
    row = next(row for row in tables.json("work", "list") if row["topic"] == "mine")
    assert row["landed"] and not row["dirty"]
    assert tables.json("status")["gate"] == "whole" and tables.homelab("doctor").returncode == 0
    assert tables.homelab("doctor", "--attack").returncode == 0
    assert tables.homelab("work", "clean", "mine").returncode == 0 and not place.exists()
    other = Path(tables.homelab("work", "start", "other").stdout.strip())
    tables.publish({"README": "theirs\n"})
    tables.commit({"README": "mine\n"}, cwd=other)
    assert tables.homelab("work", "land", cwd=other).returncode == 5
    assert tables.git("rev-parse", "--verify", "MERGE_HEAD", cwd=other) == tables.tip()


def test_a_server_judges_what_a_name_resolves_to(tables: World) -> None:
    assert tables.homelab("hooks", "install", "--server", tables.remote).returncode == 0
    before = tables.tip()
    for alias in ("refs/heads/alias", "refs/heads/unborn"):
        tables.git("symbolic-ref", alias, "refs/heads/master" if "alias" in alias else "refs/heads/main", cwd=tables.remote)
    red = tables.commit({"bad": "1"})
    for name in ("master", "alias", "unborn", "main"):
        assert pushed(tables, "--no-verify", "origin", f"HEAD:refs/heads/{name}") == 1 and tables.tip() == before, name
    assert red not in tables.refs() and pushed(tables, "--no-verify", "origin", ":master") == 1
    assert pushed(tables, "--no-verify", "origin", "HEAD:topic") == 0


def test_a_clone_whose_refs_move_from_files_to_a_table_and_back_stays_guarded(gated: World) -> None:
    before = gated.tip()
    for number in range(2):  # the second is passed by the shell
        assert pushed(gated, "origin", f"HEAD:topic{number}") == 0
    for form in ("reftable", "files"):
        gated.git("refs", "migrate", f"--ref-format={form}")
        gated.commit({"bad": form})
        assert pushed(gated, "origin", "HEAD:master") == 1 and gated.tip() == before, form
        assert pushed(gated, "origin", f"HEAD:{form}") == 0
        gated.git("reset", "--quiet", "--hard", "HEAD~1")


@pytest.mark.skipif(git_version() < (2, 54), reason="git keeps refs in another folder from 2.54 on")
@pytest.mark.parametrize("how", ["extensions.refStorage", "GIT_REFERENCE_BACKEND"])
def test_files_that_refs_have_left_say_nothing_of_the_rules(gated: World, how: str) -> None:
    assert pushed(gated, "origin", "HEAD:topic") == 0
    place = "files://" + str(shutil.copytree(gated.clone / ".git", gated.root / "elsewhere"))
    env = {}
    if how.isupper():
        env[how] = place
    else:
        gated.git("config", "core.repositoryFormatVersion", "1")
        gated.git("config", how, place)
    # What is remembered of the old files is written anew with the refs of the new ones, which move on.
    assert gated.run("git", "push", "origin", "HEAD:again", env=env).returncode == 0
    gated.publish({"homelab.toml": '[gate]\nprotect = ["release/*"]\n' + SUITE})
    gated.git("fetch", "--quiet", env=env)
    red = gated.commit({"bad": "1"})
    assert gated.run("git", "push", "origin", f"{red}:refs/heads/release/1", env=env, check=False).returncode == 1
    assert red not in gated.refs()
