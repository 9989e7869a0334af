"""`homelab` alone says where one stands, in a document that people and programs read alike."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.world import World


def traced(world: World, *args: str, cwd: Path | None = None) -> list[str]:
    """Return the git commands that a homelab command starts."""
    folder, log = world.root / "traced", world.root / "traced/log"
    folder.mkdir(exist_ok=True)
    log.write_text("")
    git = shutil.which("git", path=world.env["PATH"].replace(f"{folder}:", ""))
    (folder / "git").write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {git} "$@"\n')
    (folder / "git").chmod(0o755)
    done = world.homelab(*args, cwd=cwd, env={"PATH": f"{folder}:{world.env['PATH']}"})
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines()


@pytest.mark.slow
def test_every_place_has_its_next_command(gated: World) -> None:
    """Walk a change from the clone to the target: each step's document names the command of the next."""

    def status(cwd: Path | None = None) -> dict[str, object]:
        done = gated.homelab("--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        assert gated.homelab("status", cwd=cwd).returncode == gated.homelab(cwd=cwd).returncode == 0
        found: dict[str, object] = json.loads(done.stdout)
        return found

    assert status()["next"] is None and "work start" in str(status()["hint"])
    path = Path(gated.homelab("work", "start", "x").stdout.strip())
    assert status(path)["next"] is None
    gated.write({"new": "x"}, path)
    assert status(path)["next"] == "git status"
    gated.commit({"new": "x", "bad": "x"}, cwd=path)
    assert gated.homelab("work", "land", cwd=path).returncode == 1
    assert status(path)["next"] == "homelab log", "landing the same commit again would be red again"
    assert gated.homelab("log", cwd=path).returncode == 0
    gated.git("reset", "--quiet", "--hard", "HEAD~1", cwd=path)
    gated.commit({"new": "x"}, cwd=path)
    found = status(path)
    assert found["next"] == "homelab work land"
    here, target = found["here"], found["target"]
    assert isinstance(here, dict) and isinstance(target, dict)
    assert (here["topic"], here["branch"], here["ahead"], here["verified"], here["main"]) == ("x", "ada/x", 1, False, False)
    assert (target["remote"], target["branch"], target["verdict"], found["gate"]) == ("origin", "master", "unknown", "whole")
    assert gated.homelab("work", "land", cwd=path).returncode == 0
    found = status(path)
    assert isinstance(found["target"], dict) and found["target"]["verdict"] == "green" and found["target"]["since"]
    assert found["next"] == f"cd {gated.clone} && homelab work clean x"
    assert gated.run("sh", "-c", str(found["next"]), cwd=path).returncode == 0 and not path.exists()


def test_a_clone_without_gate_remote_or_suite_says_what_is_missing(world: World) -> None:
    assert world.json("status")["next"] == "homelab hooks install"
    world.publish({"homelab.toml": ""})
    world.git("pull", "--quiet")
    found = world.json("status")
    assert found["next"] is None and "name a suite" in found["hint"], "there is a file: init would change nothing"
    world.git("remote", "remove", "origin")
    found = world.json("status")
    assert found["target"] is None and "git remote add" in found["hint"]


def test_where_no_file_is_anywhere_init_comes_first_in_a_branch_with_commits_too(world: World) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    world.commit({"Makefile": "test:\n\ttrue\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    assert world.json("status")["next"] == "homelab init", "a suite is detected, and no gate stands in front of a push"
    world.git("rm", "--quiet", "Makefile")
    world.commit({"notes": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    path = Path(world.homelab("work", "start", "x").stdout.strip())
    world.commit({"more": ""}, cwd=path)
    assert world.json("status", cwd=path)["next"] == "homelab init", "what `work land` would say as well"


def test_without_a_known_target_the_next_command_makes_one_known(gated: World) -> None:
    gated.git("remote", "set-head", "origin", "--delete")
    found = gated.json("status")
    assert found["target"] is None and "not known" in found["hint"]
    words = gated.homelab("status").stdout
    assert "target   not known" in words and f"next: {found['next']}" in words
    gated.run("sh", "-c", found["next"])
    assert gated.json("status")["target"] is not None


def test_it_says_that_this_is_no_repository(world: World, tmp_path: Path) -> None:
    done = world.homelab(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and "not in a git repository" in done.stdout
    found = world.json("status", cwd=tmp_path)
    assert found["ok"] is True and found["repository"] is None and found["claims"] == []
    assert "no worktree here" in world.homelab(cwd=world.remote).stdout, "it is one, and has a commit"


@pytest.mark.slow
def test_a_target_that_is_known_to_be_red_is_red_with_since_when(gated: World) -> None:
    suite = '[[suite]]\nname = "lint"\nrun = "test ! -e bad"\ninputs = ["bad"]\n[[suite]]\nname = "other"\nrun = "true"\n'
    gated.publish({"homelab.toml": suite, "bad": ""})
    path = Path(gated.homelab("work", "start", "x").stdout.strip())
    gated.commit({"new": "x"}, cwd=path)
    assert gated.homelab("verify", cwd=path).returncode == 0, "what is red before does not block"
    found = gated.json("status", cwd=path)
    target, here = found["target"], found["here"]
    assert (target["verdict"], target["red"]) == ("red", ["lint"]) and target["since"]
    assert (here["verified"], here["red"], here["red_before"]) == (True, [], ["lint"])
    shown = gated.homelab("status", cwd=path).stdout
    assert "red: lint" in shown and "verified, 1 red before" in shown
    listed = {row["topic"]: row for row in gated.json("work", "list")}
    assert (listed["x"]["verified"], listed["x"]["red"], listed["x"]["behind"]) == (True, [], 0)
    gated.commit({"bad": "worse"}, cwd=path)
    assert gated.homelab("verify", cwd=path).returncode == 1, "what the change touches is its own doing"
    assert gated.json("status", cwd=path)["here"]["red"] == ["lint"]
    listed = {row["topic"]: row for row in gated.json("work", "list")}
    assert (listed["x"]["verified"], listed["x"]["red"], listed["x"]["ahead"]) == (False, ["lint"], 2)


@pytest.mark.slow
def test_claims_and_who_lands_are_in_it(gated: World) -> None:
    assert gated.homelab("claim", "host:nas", "--purpose", "new\x1bdisks").returncode == 0
    found = gated.json("status")
    assert [(row["label"], row["mine"]) for row in found["claims"]] == [("host:nas", True)]
    assert "\x1b" not in gated.homelab("status").stdout
    assert found["queue"] == [] and found["ci"] is None


def test_a_store_that_cannot_be_used_is_told_beside_the_rest(gated: World) -> None:
    found = gated.json("status", env={"HOMELAB_CLAIMS": "nonsense"})
    assert found["claims"] is None and found["problems"] and found["gate"] == "whole"


@pytest.mark.slow
def test_it_starts_as_many_programs_for_fifty_worktrees_as_for_one(gated: World) -> None:
    gated.git("worktree", "add", "--quiet", "-b", "ada/t0", ".worktrees/t0")
    few = traced(gated, "status")
    for number in range(1, 50):
        gated.git("worktree", "add", "--quiet", "--no-checkout", "-b", f"ada/t{number}", f".worktrees/t{number}")
    many = traced(gated, "status")
    assert len(many) == len(few) <= 8
    assert len(gated.json("status")["worktrees"]) == 51
    assert not any(word in line.split() for line in many for word in ("fetch", "ls-remote", "push"))


def test_neither_dataclasses_nor_archives_are_imported(gated: World) -> None:
    """They take a quarter of the time of a status (ADR 27), with and without a claim of somebody else."""
    for program in (("homelab", "claim", "host:nas", "--purpose", "x"), ("homelab",)):
        session = {"HOMELAB_SESSION": program[-1]}
        done = gated.run(sys.executable, "-X", "importtime", "-m", *program, env=session)
    assert "host:nas" in done.stdout and "homelab.claims.model" in done.stderr
    assert not {"dataclasses", "inspect", "lzma", "click"} & {
        row.rpartition("|")[2].strip() for row in done.stderr.splitlines()
    }


def test_nothing_is_written(gated: World) -> None:
    gated.git("config", "core.hooksPath", ".git/hooks")
    before = {path: path.stat().st_mtime_ns for path in gated.clone.rglob("*") if path.is_file()}
    gated.homelab("status")
    assert {path: path.stat().st_mtime_ns for path in gated.clone.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_folder_that_is_gone_is_named_with_the_way_out(world: World) -> None:
    """The kind: any command, run where a colleague has removed the worktree under one's feet."""
    path = Path(world.homelab("work", "start", "x").stdout.strip())
    for words in ("status", "work list", "verify", "tf plan dns", "claims", "doctor", "work start y"):
        done = world.run(
            "sh", "-c", f"mkdir -p {path}/gone; cd {path}/gone; rmdir {path}/gone; exec homelab {words}",
            check=False, cwd=world.root,
        )  # fmt: skip
        if words != "claims":
            assert (done.returncode, done.stdout) == (2, ""), (words, done.stdout, done.stderr)
            assert "the folder you are in is gone" in done.stderr and f"hint: `cd {path}`" in done.stderr
    assert os.path.lexists(path)
