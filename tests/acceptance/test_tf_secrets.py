"""Stacks in linked worktrees of a git-crypt repository, with the real git-crypt: a plan sees secrets, an apply is refused."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs
from tests.support.waiting import eventually, is_alive
from tests.support.world import BIN, World

pytestmark = needs("git-crypt")

RUNNER = """#!/bin/bash
{ pwd; printf '%s\\n' "$@"; cat ../../secrets/token; git rev-parse HEAD; stat -c %a ../../..; } > "$RECORDED"
for arg; do case $arg in -out=*) echo planned > "${arg#-out=}";; esac; done
[ -z "$SLOW" ] || { echo $$ > "$SLOW.pid"; while [ ! -e "$SLOW" ]; do sleep 0.05; done; }
exit ${TG_EXIT:-0}
"""


@pytest.fixture
def infra(world: World) -> World:
    """A clone with an unlocked git-crypt, a stack with a secret beside it, and a linked worktree on a branch."""
    world.git("config", "user.name", "Ada")
    subprocess.run(["git-crypt", "init"], cwd=world.clone, env=world.env, check=True, capture_output=True)
    world.write(
        {
            ".gitattributes": "secrets/** filter=git-crypt diff=git-crypt\n",
            "secrets/token": "hunter2\n",
            "root.hcl": "",
            "stacks/vault/main.tf": "# one\n",
            "stacks/vault/vars.tfvars": "a = 1\n",
            "scripts/tg": RUNNER,
        }
    )
    (world.clone / "scripts/tg").chmod(0o755)
    world.git("add", ".")
    world.git("commit", "-qm", "infra")
    world.git("push", "-q", "--no-verify", "origin", "HEAD:master")
    world.git("fetch", "-q")
    world.env["RECORDED"] = str(world.root / "recorded")
    done = world.homelab("work", "start", "dns")
    assert done.returncode == 0, done.stderr
    return world


def linked(infra: World) -> Path:
    return infra.clone / ".worktrees/dns"


def recorded(infra: World) -> list[str]:
    path = Path(infra.env["RECORDED"])
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def plans(infra: World) -> list[Path]:
    folder = Path(infra.env["XDG_CACHE_HOME"]) / "homelab/private"
    return list(folder.iterdir()) if folder.exists() else []


def plan(infra: World, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return infra.homelab("tf", "plan", "vault", *args, cwd=linked(infra), **options)


def test_a_plan_in_a_linked_worktree_sees_heads_secrets_and_leaves_nothing(infra: World) -> None:
    (linked(infra) / "stacks/vault/main.tf").write_text("# two\n")
    infra.git("commit", "-qam", "two", cwd=linked(infra))
    (linked(infra) / "stacks/vault/main.tf").write_text("# three\n")
    head = infra.git("rev-parse", "HEAD", cwd=linked(infra)).strip()
    assert (linked(infra) / "secrets/token").read_bytes().startswith(b"\0GITCRYPT")
    done = plan(infra, "-out=x.plan", "-var-file", "vars.tfvars", "-target=a.b", env={"TG_EXIT": "2"})
    assert done.returncode == 2, done.stderr
    place, *args = recorded(infra)
    out = linked(infra) / "stacks/vault/x.plan"
    assert args == ["plan", f"-out={out}", "-var-file", "vars.tfvars", "-target=a.b", "hunter2", head, "700"]
    assert out.read_text() == "planned\n" and not Path(place).exists() and plans(infra) == []
    assert head[:12] in done.stderr and "stacks/vault/main.tf" in done.stderr
    assert not list(Path(infra.env["XDG_CACHE_HOME"]).rglob("default")), "the key was copied"


@pytest.mark.slow
def test_a_killed_plan_is_swept_once_its_runner_has_ended(infra: World) -> None:
    slow = infra.root / "slow"
    argv = [str(BIN / "homelab"), "tf", "plan", "vault"]
    env = {**infra.env, "SLOW": str(slow)}
    child = subprocess.Popen(argv, cwd=linked(infra), env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    pid = int(eventually(lambda: (infra.root / "slow.pid").exists() and (infra.root / "slow.pid").read_text(), 30))
    child.kill()
    child.wait()
    assert infra.homelab("manifest").returncode == 0 and len(plans(infra)) == 2 and is_alive(pid)
    slow.touch()
    eventually(lambda: not is_alive(pid), 30)
    eventually(lambda: infra.homelab("manifest").returncode == 0 and plans(infra) == [], 30)


def test_an_interrupted_plan_takes_its_checkout_away(infra: World) -> None:
    slow = infra.root / "slow"
    env = {**infra.env, "SLOW": str(slow)}
    argv = [str(BIN / "homelab"), "tf", "plan", "vault"]
    child = subprocess.Popen(argv, cwd=linked(infra), env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    eventually((infra.root / "slow.pid").exists, 30)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(30) == 130
    assert plans(infra) == []


@pytest.mark.slow
def test_an_apply_is_refused_and_names_the_main_worktree(infra: World) -> None:
    done = infra.homelab("tf", "apply", "vault", cwd=linked(infra))
    assert done.returncode == 3 and f"cd {infra.clone} && homelab tf apply vault" in done.stderr
    assert recorded(infra) == []
    assert infra.homelab("tf", "validate", "vault", cwd=linked(infra)).returncode == 0


@pytest.mark.slow
def test_a_branch_that_changes_the_runner_gets_no_secret(infra: World) -> None:
    for change in ("#!/bin/sh\ncat ../../secrets/token\n", None):
        path = linked(infra) / "scripts/tg"
        if change is None:
            path.unlink()
        else:
            path.write_text(change)
        infra.git("commit", "-qam", "runner", cwd=linked(infra))
        done = plan(infra)
        assert done.returncode == 3 and "scripts/tg" in done.stderr
    assert recorded(infra) == [] and plans(infra) == []


def test_a_locked_clone_plans_nothing(infra: World) -> None:
    (infra.clone / ".git/git-crypt/keys/default").unlink()
    done = plan(infra)
    assert done.returncode == 3 and "git-crypt unlock" in done.stderr and recorded(infra) == []


@pytest.mark.slow
def test_a_worktree_with_a_key_of_its_own_plans_and_applies_its_own_files(infra: World) -> None:
    git_dir = infra.clone / ".git/worktrees/dns"
    (git_dir / "git-crypt").mkdir()
    (git_dir / "git-crypt/keys").symlink_to(infra.clone / ".git/git-crypt/keys")
    assert plan(infra).returncode == 0
    assert recorded(infra)[0] == str(linked(infra) / "stacks/vault")
    assert infra.homelab("tf", "apply", "vault", cwd=linked(infra)).returncode == 0


@pytest.mark.parametrize(
    ("attributes", "files", "sealed"),
    [
        ("# secrets/** filter=git-crypt\n", {}, False),
        ("*.key !filter\n", {}, False),
        ("*.key -filter\n", {}, False),
        ("docs/** filter=git-crypt\n", {"docs/a": "x\n"}, False),
        ("docs/** filter=git-crypt\n", {"docs/a": "x\n", "stacks/vault/main.tf": 'file("../../docs/a")\n'}, True),
        ("*.tfvars filter=git-crypt\n", {"common.tfvars": "x\n"}, True),
        ("*.tfvars filter=git-crypt\n", {"stacks/other/x.tfvars": "x\n"}, True),
        ("[attr]hidden filter=git-crypt\nmodules/*.key hidden\n", {"modules/a.key": "x\n"}, True),
    ],
)
def test_only_secrets_that_a_stack_may_read_stand_in_its_way(
    world: World, attributes: str, files: dict[str, str], sealed: bool
) -> None:
    quiet = ("-c", "filter.git-crypt.clean=cat", "-c", "filter.git-crypt.smudge=cat", "-c", "filter.git-crypt.required=false")
    world.write(
        {"root.hcl": "", "stacks/vault/main.tf": "", "scripts/tg": "#!/bin/sh\n", ".gitattributes": attributes, **files}
    )
    (world.clone / "scripts/tg").chmod(0o755)
    world.git(*quiet, "add", ".")
    world.git("commit", "-qm", "infra")
    place = world.root / "linked"
    world.git(*quiet, "worktree", "add", "-q", "-b", "topic", str(place))
    done = world.homelab("tf", "apply", "vault", cwd=place)
    assert done.returncode == (3 if sealed else 0), done.stderr
