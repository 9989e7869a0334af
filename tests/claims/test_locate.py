"""Which store a clone has: the one that its rules name, or nothing is claimed."""

import os
from pathlib import Path

import pytest

from tests.support.world import World


@pytest.fixture
def team(world: World) -> World:
    """A remote whose rules name a store in a folder, and no HOMELAB_CLAIMS."""
    world.publish({"homelab.toml": f'[claims]\nstore = "file://{store(world)}"\n'})
    world.git("fetch", "--quiet")
    return world


def store(world: World) -> Path:
    return world.root / "team"


def claim(world: World, cwd: Path, code: int = 0) -> str:
    """Claim something, and look where it went: to the team's store, or nowhere."""
    done = world.homelab("claim", "stack:dns", "--purpose", "x", cwd=cwd)
    assert done.returncode == code, done.stderr
    assert (len(list((store(world) / "held").glob("*"))) if store(world).exists() else 0) == (1 if code == 0 else 0)
    assert not (Path(world.env["XDG_STATE_HOME"]) / "homelab/claims").exists()
    return done.stderr


def test_a_clone_that_does_not_know_its_remotes_head_asks_once(team: World) -> None:
    bare = team.root / "ci"
    team.git("init", "-q", bare, cwd=team.root)
    team.git("remote", "add", "origin", team.remote, cwd=bare)
    team.git("fetch", "-q", cwd=bare)
    claim(team, bare)


def test_a_clone_of_another_branch_alone_has_the_targets_store(team: World) -> None:
    team.git("push", "-q", "--no-verify", "origin", "HEAD:refs/heads/other")
    team.git("clone", "-q", "--single-branch", "-b", "other", team.remote, team.root / "single", cwd=team.root)
    claim(team, team.root / "single")


def test_wherever_in_a_clone_one_stands_it_has_the_targets_store(team: World) -> None:
    team.git("clone", "-q", "--bare", team.remote, team.root / "bare", cwd=team.root)
    for place in (team.root / "bare", team.clone / ".git/refs"):
        claim(team, place)
    gone = "mkdir gone; cd gone && rmdir ../gone && homelab claim stack:other --purpose x"
    done = team.run("sh", "-c", gone, check=False)  # whatever clone that was in, a store is not to be guessed
    assert done.returncode == 7 and f"cd {team.clone}" in done.stderr
    assert not (Path(team.env["XDG_STATE_HOME"]) / "homelab/claims").exists()


def test_a_submodule_has_the_superprojects_store(team: World) -> None:
    inner = team.root / "inner"
    team.git("init", "-q", inner, cwd=team.root)
    team.git("commit", "-q", "--allow-empty", "-m", "begin", cwd=inner)
    team.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", inner, "sub")
    claim(team, team.clone / "sub")


def test_rules_that_cannot_be_read_close_the_store_and_name_the_way(team: World) -> None:
    team.publish({"homelab.toml": f'[claims]\nstore = "file://{store(team)}"\nnewer = 1\n'})
    team.git("fetch", "--quiet")
    words = claim(team, team.clone, 7)
    assert "hint" in words
    assert team.homelab("claims").returncode == 7
    named = {"HOMELAB_CLAIMS": f"file://{team.root}/named"}
    assert team.homelab("claim", "stack:dns", "--purpose", "x", env=named).returncode == 0


def test_remotes_of_which_none_is_the_one_close_the_store(team: World) -> None:
    team.git("remote", "rename", "origin", "one")
    team.git("remote", "add", "two", team.remote)
    claim(team, team.clone, 7)


def test_a_remote_that_does_not_answer_and_is_not_known_closes_the_store(team: World) -> None:
    place = team.root / "offline"
    team.git("init", "-q", place, cwd=team.root)
    team.git("remote", "add", "origin", team.root / "gone", cwd=place)
    claim(team, place, 7)


def test_outside_of_a_clone_and_without_a_remote_claims_are_files(world: World) -> None:
    alone = world.root / "alone"
    world.git("init", "-q", alone, cwd=world.root)
    for place in (world.root, alone):
        assert world.homelab("claim", "stack:dns", "--purpose", "x", cwd=place).returncode == 0
    assert len(list((Path(world.env["XDG_STATE_HOME"]) / "homelab/claims/held").iterdir())) == 1


def test_a_folder_that_cannot_be_looked_at_is_a_store_out_of_reach(world: World) -> None:
    closed = Path(world.env["XDG_STATE_HOME"])
    (closed / "homelab").mkdir(parents=True)
    closed.chmod(0)
    as_anybody = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    try:
        for command in ("claim stack:dns --purpose x -- touch ran", "claims", "release stack:dns", "claims history"):
            done = world.run(*as_anybody, "homelab", *command.split(), cwd=world.root, check=False)
            assert done.returncode == 7 and str(closed) in done.stderr, done
        assert not (world.root / "ran").exists()
    finally:
        closed.chmod(0o700)


@pytest.mark.slow
def test_a_push_asks_the_store_of_the_repository_that_pushes(team: World) -> None:
    rules = f'[gate]\nclaims = true\n\n[claims]\nstore = "file://{store(team)}"\n\n[[suite]]\nname = "ok"\nrun = "true"\n'
    team.publish({"homelab.toml": rules})
    team.git("pull", "-q", "origin", "master")
    assert team.homelab("hooks", "install").returncode == 0
    other = {"HOMELAB_SESSION": "other"}
    assert team.homelab("claim", "stack:dns", "--purpose", "x", env=other).returncode == 0
    team.commit({"stacks/dns/main.tf": ""})
    elsewhere = team.root / "www"
    team.git("init", "-q", elsewhere, cwd=team.root)
    for env in ({}, {"GIT_WORK_TREE": str(elsewhere)}):
        done = team.run("git", "push", "-q", "origin", "HEAD:refs/heads/topic", env=env, check=False)
        assert done.returncode != 0 and "stack:dns" in done.stderr, env


def test_doctor_names_the_store(team: World) -> None:
    assert any(str(store(team)) in finding["message"] for finding in team.json("doctor")["findings"])
