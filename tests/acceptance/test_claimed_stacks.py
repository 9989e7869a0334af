"""A commit or push that changes a stack which another session holds."""

from pathlib import Path

import pytest

from homelab.claims import stacks
from tests.support.world import BIN, SUITE, World


@pytest.fixture
def infra(world: World) -> World:
    """A world with two stacks; the claims of session b are others' claims."""
    world.publish({"stacks/vault/main.tf": "", "stacks/dbaas/main.tf": "", "terragrunt.hcl": ""})
    world.git("pull", "--quiet")
    world.env["HOMELAB_SESSION"] = "a"
    return world


def hook(world: World, *, cwd: Path | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = world.run(BIN / "homelab-claimed-stacks", cwd=cwd, env=env, check=False)
    return done.returncode, done.stderr


def claim(world: World, *args: str, session: str = "b") -> None:
    done = world.homelab("claim", *args, "--purpose", "rotate keys", env={"HOMELAB_SESSION": session})
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_staged_change_to_a_held_stack_is_refused_with_who_and_why(infra: World) -> None:
    claim(infra, "stack:vault")
    infra.write({"stacks/vault/main.tf": "changed\n"})
    assert hook(infra)[0] == 0
    infra.git("add", "-A")
    code, words = hook(infra)
    assert code == 3 and "ada" in words and "rotate keys" in words and "stack:vault" in words
    assert infra.homelab("release", "stack:vault", env={"HOMELAB_SESSION": "b"}).returncode == 0
    assert hook(infra)[0] == 0


@pytest.mark.slow
def test_ones_own_stack_and_other_paths_pass(infra: World) -> None:
    claim(infra, "stack:vault")
    claim(infra, "stack:dbaas", session="a")
    infra.write({"stacks/dbaas/main.tf": "changed\n", "README": "vault\n", "stacks/vaulty/x": ""})
    infra.git("add", "-A")
    assert hook(infra) == (0, "")


def test_removing_or_moving_a_held_stack_is_a_change_of_it(infra: World) -> None:
    claim(infra, "stack:vault")
    infra.git("mv", "stacks/vault", "stacks/safe")
    assert hook(infra)[0] == 3


@pytest.mark.slow
def test_a_push_is_judged_by_the_commits_that_the_remote_lacks(infra: World) -> None:
    infra.publish({"stacks/vault/main.tf": "theirs\n"})
    first = infra.commit({"stacks/dbaas/main.tf": "mine\n"})
    infra.git("fetch", "--quiet")
    infra.git("merge", "--quiet", "-m", "merge", "origin/master")
    claim(infra, "stack:vault")
    env = {
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/master",
        "PRE_COMMIT_REMOTE_NAME": "origin",
        "PRE_COMMIT_FROM_REF": infra.git("rev-parse", f"{first}^"),
        "PRE_COMMIT_TO_REF": infra.git("rev-parse", "HEAD"),
    }
    assert hook(infra, env=env) == (0, "")
    env["PRE_COMMIT_TO_REF"] = infra.commit({"stacks/vault/main.tf": "mine\n"})
    code, words = hook(infra, env=env)
    assert code == 3 and "rotate keys" in words


@pytest.mark.slow
@pytest.mark.parametrize("door", ["push", "landing", "framework"])
def test_a_change_that_the_remote_has_on_another_branch_counts_when_it_lands(infra: World, door: str) -> None:
    world, tip = infra, infra.publish({"homelab.toml": "[gate]\nclaims = true\n" + SUITE})
    world.git("pull", "--quiet")
    assert world.homelab("hooks", "install").returncode == 0
    world.git("switch", "--quiet", "-c", "ada/x")
    change = world.commit({"stacks/vault/main.tf": "mine\n"})
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/review")
    claim(world, "stack:vault")
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/again")  # nothing is changed by it
    env = {"PRE_COMMIT_REMOTE_BRANCH": "refs/heads/master", "PRE_COMMIT_REMOTE_NAME": "origin",
           "PRE_COMMIT_FROM_REF": tip, "PRE_COMMIT_TO_REF": change}  # fmt: skip
    doors = {"push": ("git", "push", "origin", "HEAD:master"), "landing": (BIN / "homelab", "work", "land")}
    done = world.run(*doors.get(door, (BIN / "homelab-claimed-stacks",)), env=env if door == "framework" else {}, check=False)
    assert done.returncode == {"push": 1}.get(door, 3) and "rotate keys" in done.stderr and world.tip() == tip, done.stderr


@pytest.mark.slow
def test_a_merge_that_brings_a_held_stack_in_is_no_change_of_it(infra: World) -> None:
    infra.publish({"stacks/vault/main.tf": "theirs\n"})
    infra.commit({"README": "mine\n"})
    infra.git("fetch", "--quiet")
    infra.git("merge", "--quiet", "--no-commit", "origin/master", check=False)
    claim(infra, "stack:vault")
    assert hook(infra)[0] == 0
    infra.write({"stacks/vault/main.tf": "neither\n"})
    infra.git("add", "-A")
    assert hook(infra)[0] == 3


def test_inside_the_command_that_holds_the_stack_a_change_passes(infra: World) -> None:
    infra.write({"stacks/vault/main.tf": "changed\n"})
    infra.git("add", "-A")
    done = infra.homelab(
        "claim", "stack:vault", "--purpose", "x", "--",
        "env", "HOMELAB_SESSION=c", str(BIN / "homelab-claimed-stacks"), env={"HOMELAB_SESSION": "b"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_where_no_stack_is_touched_no_store_is_asked(infra: World) -> None:
    infra.write({"README": "changed\n"})
    infra.git("add", "-A")
    assert hook(infra, env={"HOMELAB_CLAIMS": "postgresql://127.0.0.1:1/none"}) == (0, "")
    infra.write({"stacks/vault/main.tf": "changed\n"})
    infra.git("add", "-A")
    assert hook(infra, env={"HOMELAB_CLAIMS": "postgresql://127.0.0.1:1/none"})[0] == 7


def test_it_works_in_a_linked_worktree_under_gits_own_environment(infra: World) -> None:
    claim(infra, "stack:vault")
    linked = infra.root / "linked"
    infra.git("worktree", "add", "-q", linked)
    infra.write({"stacks/vault/main.tf": "changed\n"}, cwd=linked)
    infra.git("add", "-A", cwd=linked)
    place = infra.git("rev-parse", "--absolute-git-dir", cwd=linked)
    assert hook(infra, cwd=linked, env={"GIT_DIR": place, "GIT_INDEX_FILE": f"{place}/index"})[0] == 3


def test_git_commit_all_is_judged_by_what_it_commits(infra: World) -> None:
    claim(infra, "stack:vault")
    script = infra.clone / ".git/hooks/pre-commit"
    script.write_text("#!/bin/sh\nexec homelab-claimed-stacks\n")
    script.chmod(0o755)
    infra.write({"stacks/vault/main.tf": "changed\n", "README": "changed\n"})
    before = infra.git("rev-parse", "HEAD")
    assert infra.run("git", "commit", "-qam", "both", check=False).returncode != 0
    assert infra.git("rev-parse", "HEAD") == before
    infra.git("commit", "-qm", "one", "README")
    assert infra.git("rev-parse", "HEAD") != before


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("stacks/vault/main.tf", {"stack:vault"}),
        ("infra/stacks/vault/a/b.tf", {"stack:vault", "stack:vault/a"}),
        ("stacks/link", {"stack:link"}),
        ("stacks", set()),
        ("docs/stacks", set()),
        ("modules/x.tf", set()),
    ],
)
def test_the_stacks_of_a_path(path: str, found: set[str]) -> None:
    assert stacks.labels([path]) == found


def test_the_claims_that_a_branch_touches(infra: World) -> None:
    claim(infra, "stack:vault")

    def touched() -> object:
        return infra.json("work", "list")[0]["claims"]

    infra.commit({"stacks/dbaas/main.tf": "mine\n"})
    assert touched() == []
    infra.commit({"stacks/vault/main.tf": "mine\n"})
    assert touched() == ["stack:vault"]
