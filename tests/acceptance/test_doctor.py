"""Doctor: every way the gate may be gone has a name and a repair, and what it says holds is tried by attack."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from homelab.gate import sources
from homelab.install import doctor, shim
from tests.support.hooks import CONFIG, hook
from tests.support.world import SUITE, World

#: A judge that refuses every update of master, and one that knows only the first ref of a push.
STRICT = "sys.exit(any(line.split()[-2] == 'refs/heads/master' for line in lines))"
FIRST = "sys.exit(bool(lines) and lines[0].split()[-2] == 'refs/heads/master')"
TEXTBOOK = "sys.exit(any(line.split(' ')[2:3] == ['refs/heads/master'] for line in lines))"
NO_DELETIONS = "sys.exit(any(line.split()[-2] == 'refs/heads/master' and line[0] != '(' for line in lines))"
DEAF = "sys.exit(0)"
ANGRY = "sys.exit(1)"


def judge(world: World, verdict: str) -> None:
    """Our hooks in the clone start this judge, and know nothing by themselves."""
    shutil.rmtree(world.clone / ".git/homelab/gate", ignore_errors=True)
    path = world.root / "judge"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nif '-c' in sys.argv: sys.exit(0)\nlines = sys.stdin.read().splitlines()\n{verdict}\n"
    )
    path.chmod(0o755)
    for found in (world.clone / ".git").rglob("*"):
        if found.is_file() and shim.owner(found) == "homelab":
            content = re.sub(rb"(?m)^python=.*$", b"python=JUDGE", found.read_bytes())
            found.write_bytes(content.replace(b"JUDGE", shim.word(path), 1))


@pytest.fixture
def judged(world: World) -> World:
    """A clone with the hook, and a judge that refuses every update of master."""
    assert world.homelab("hooks", "install").returncode == 0
    judge(world, STRICT)
    return world


def ids(world: World, *args: str, severity: str = "failure", **options: Any) -> list[str]:
    document = world.json("doctor", *args, **options)
    assert set(document) - {"error", "attack"} == {"ok", "holds", "gate", "findings"}
    assert document["ok"] == document["holds"]
    for finding in document["findings"]:
        assert finding["severity"] == "note" or finding["repair"]
    return [finding["id"] for finding in document["findings"] if finding["severity"] == severity]


@pytest.mark.slow
def test_an_installed_gate_holds(judged: World) -> None:
    done = judged.homelab("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the whole gate" in done.stdout
    assert ids(judged) == []
    assert "remote" in ids(judged, severity="note")


@pytest.mark.slow
def test_without_a_hook_the_gate_does_not_hold_and_the_repair_repairs_it(world: World) -> None:
    done = world.homelab("doctor")
    assert done.returncode == 1
    assert "homelab: hint: to repair it: homelab hooks install" in done.stderr
    answer = world.json("doctor")
    assert (answer["gate"], answer["error"]["next"]) == ("none", "homelab hooks install")
    assert ids(world) == ["hooks-missing"]
    world.homelab("hooks", "install")
    judge(world, STRICT)
    assert ids(world) == []


@pytest.mark.slow
def test_a_hook_of_somebody_else_is_named(world: World) -> None:
    hook(world, "exit 0")
    assert ids(world) == ["not-chained"]
    world.homelab("hooks", "install")
    judge(world, STRICT)
    assert ids(world) == []
    assert "chained" in ids(world, severity="note")


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--local", "--global"])
@pytest.mark.parametrize("value", [".husky/_", "/nowhere/hooks"])
def test_a_hooks_path_that_leads_past_the_gate_is_found(judged: World, scope: str, value: str) -> None:
    judged.git("config", scope, "core.hooksPath", value)
    assert ids(judged) == ["hooks-path"]
    message = judged.json("doctor")["error"]["message"]
    assert value in message
    assert ("relative" in message) == (value == ".husky/_")
    judged.homelab("hooks", "install")
    judge(judged, STRICT)
    assert ids(judged) == []


def test_a_hooks_path_of_the_environment_is_found(judged: World) -> None:
    env = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/dev/null"}
    assert ids(judged, env=env) == ["hooks-path"]
    assert judged.homelab("hooks", "install", env=env).returncode == 3


@pytest.mark.slow
def test_our_own_folder_that_is_gone_is_found(world: World) -> None:
    world.git("config", "core.hooksPath", ".githooks")
    world.homelab("hooks", "install")
    shutil.rmtree(world.clone / ".git/homelab/hooks")
    assert ids(world) == ["hooks-path-gone"]
    world.homelab("hooks", "install")
    judge(world, STRICT)
    assert ids(world) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pre-commit", "prek"])
def test_a_forced_install_of_a_framework_is_found(judged: World, name: str) -> None:
    judged.commit({".pre-commit-config.yaml": CONFIG})
    judged.run(name, "install", "-f", "--hook-type", "pre-push")
    assert ids(judged) == ["overwritten"]
    assert name in judged.json("doctor")["error"]["message"]


@pytest.mark.slow
def test_the_framework_hook_alone_is_not_the_whole_gate(world: World) -> None:
    world.commit({".pre-commit-config.yaml": CONFIG.replace("id: seen", "id: verified-push")})
    world.run("pre-commit", "install", "--hook-type", "pre-push")
    assert world.json("doctor")["gate"] == "framework"
    assert ids(world) == ["framework-only"]
    world.git("switch", "--quiet", "-c", "topic")
    assert world.homelab("work", "land").returncode == 0
    assert ids(world) == ["framework-only"]  # to have landed is not to have had the gate


@pytest.mark.slow
def test_a_gate_that_was_renamed_away_is_found(judged: World) -> None:
    ours = judged.clone / ".git/hooks/pre-push"
    ours.rename(ours.with_name("pre-push.old"))
    hook(judged, "call_lefthook run pre-push")
    assert ids(judged) == ["overwritten"]
    assert "lefthook" in judged.json("doctor")["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
def test_a_hook_that_may_not_be_executed_is_found(judged: World, legacy: bool) -> None:
    if legacy:
        judged.commit({".pre-commit-config.yaml": CONFIG})
        judged.run("pre-commit", "install", "--hook-type", "pre-push")
    (judged.clone / ".git/hooks" / ("pre-push.legacy" if legacy else "pre-push")).chmod(0o644)
    assert ids(judged) == ["not-executable"]


@pytest.mark.slow
def test_a_program_that_is_gone_is_found(judged: World) -> None:
    (judged.root / "judge").unlink()
    assert ids(judged) == ["program-gone"]
    (judged.root / "judge").write_text("#!/bin/sh\nexit 1\n")
    (judged.root / "judge").chmod(0o755)
    assert ids(judged) == ["program-gone"]


def test_a_hook_of_another_version_is_found(judged: World) -> None:
    ours = judged.clone / ".git/hooks/pre-push"
    ours.write_bytes(ours.read_bytes() + b"# an older ending\n")
    assert ids(judged, severity="warning") == ["hook-outdated"]


def test_an_old_git_is_found(judged: World) -> None:
    real = shutil.which("git")
    path = judged.root / "old/git"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo git version 2.30.2 && exit\nexec {real} "$@"\n')
    path.chmod(0o755)
    assert ids(judged, env={"PATH": f"{path.parent}:{judged.env['PATH']}"}) == ["git-too-old"]


def test_a_checkout_that_calls_itself_bare_is_found(judged: World) -> None:
    judged.git("config", "core.bare", "true")
    assert "core-bare" in ids(judged, severity="warning")


def test_that_the_last_push_went_elsewhere_is_no_fault_of_the_hook(judged: World) -> None:
    judged.git("remote", "add", "backup", judged.remote)
    judged.git("fetch", "--quiet", "backup")
    judged.git("symbolic-ref", sources.TARGET, "refs/remotes/backup/master")
    assert ids(judged) == []


def test_rules_that_cannot_be_read_are_found(judged: World) -> None:
    judged.publish({"homelab.toml": "[gate"})
    judged.git("fetch", "--quiet")
    assert ids(judged) == ["rules-unknown"]


def test_a_store_that_cannot_be_written_is_found(judged: World) -> None:
    locks = judged.clone / ".git/homelab/locks"
    shutil.rmtree(locks)
    locks.write_text("")
    assert ids(judged) == ["no-locks"]


def test_other_platforms_are_told_by_name() -> None:
    assert [finding.id for finding in doctor._platform("darwin")] == ["platform"]


def test_a_claim_store_that_cannot_be_used_is_found(judged: World) -> None:
    judged.env["HOMELAB_CLAIMS"] = "file:///dev/null/claims"
    assert ids(judged, severity="warning") == ["claim-store"]


def test_a_remote_with_our_own_hook_is_not_doubted(judged: World) -> None:
    judged.homelab("hooks", "install", "--server", judged.remote)
    assert "remote" not in ids(judged, severity="note")


def test_doctor_changes_nothing_that_git_sees(judged: World) -> None:
    before = (judged.refs(), judged.git("for-each-ref"), (judged.clone / ".git/config").read_bytes())
    judged.homelab("doctor")
    assert before == (judged.refs(), judged.git("for-each-ref"), (judged.clone / ".git/config").read_bytes())


# -- attack -----------------------------------------------------------------------------------------------------------


def results(world: World, cwd: Path | None = None) -> dict[str, str]:
    return {case["name"]: case["result"] for case in world.json("doctor", "--attack", cwd=cwd)["attack"]}


@pytest.mark.parametrize(
    "where",
    [
        "plain",
        *(
            pytest.param(where, marks=pytest.mark.slow)
            for where in ("hand-written", "pre-commit", "prek", "hooksPath", "linked")
        ),
    ],
)
def test_a_gate_that_holds_is_shown_to_hold(world: World, where: str) -> None:
    cwd = None
    world.commit({".pre-commit-config.yaml": CONFIG})
    if where in ("pre-commit", "prek"):
        world.run(where, "install", "--hook-type", "pre-push")
    elif where == "hand-written":
        hook(world, "exit 0")
    elif where == "hooksPath":
        world.git("config", "core.hooksPath", ".githooks")
    elif where == "linked":
        cwd = world.root / "linked"
        world.git("worktree", "add", "--quiet", cwd)
    world.homelab("hooks", "install")
    judge(world, STRICT)
    before = (world.refs(), world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored"))
    temporary = world.root / "tmp"
    temporary.mkdir()
    world.env["TMPDIR"] = str(temporary)
    done = world.homelab("doctor", "--attack", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(results(world, cwd).values()) == {"held"}
    (world.clone / "framework-ran").unlink(missing_ok=True)
    assert (world.refs(), world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored")) == before
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verdict", "leaks"),
    [
        (FIRST, ["the target behind another ref"]),
        (TEXTBOOK, ["a source with spaces", "a source that looks like a record"]),
        (NO_DELETIONS, ["the target deleted"]),
        (ANGRY, []),
    ],
)
def test_a_gate_with_a_hole_is_shown_to_leak_there_alone(judged: World, verdict: str, leaks: list[str]) -> None:
    judge(judged, verdict)
    found = results(judged)
    assert [name for name, result in found.items() if result == "leaked"] == leaks
    assert judged.homelab("doctor", "--attack").returncode == 1
    assert (found["an ordinary branch passes"] == "blocked") == (verdict == ANGRY)


@pytest.mark.slow
def test_a_gate_that_hears_nothing_leaks_everywhere(judged: World) -> None:
    judge(judged, DEAF)
    assert list(results(judged).values()) == ["leaked"] * 8 + ["held"]


@pytest.mark.slow
def test_without_a_gate_everything_leaks(world: World) -> None:
    assert list(results(world).values()) == ["leaked"] * 8 + ["held"]
    done = world.homelab("doctor", "--attack")
    assert done.returncode == 1
    assert "the gate leaks" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_framework_alone_leaks_what_it_is_not_told(world: World) -> None:
    refuse = 'sh -c "test \\"$PRE_COMMIT_REMOTE_BRANCH\\" != refs/heads/master"'
    world.commit({".pre-commit-config.yaml": CONFIG.replace("touch framework-ran", refuse)})
    world.run("pre-commit", "install", "--hook-type", "pre-push")
    found = results(world)
    assert found["an unverified commit to the target"] == "held"
    assert found["the target behind another ref"] == found["the target deleted"] == "leaked"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sha256", "shallow", "bare", "no-remote", "everything-protected"])
def test_every_kind_of_clone_can_be_attacked(world: World, how: str) -> None:
    cwd = world.root / how
    if how == "sha256":
        world.git("init", "--quiet", "--object-format=sha256", cwd, cwd=world.root)
        world.commit({"a": "1"}, cwd=cwd)
    elif how == "no-remote":
        world.git("init", "--quiet", cwd, cwd=world.root)
        world.commit({"a": "1"}, cwd=cwd)
    else:
        world.publish({"homelab.toml": '[gate]\nprotect = ["*"]\n' if how.startswith("every") else "# two\n"})
        depth = {"shallow": ["--depth=1"], "bare": ["--bare"]}.get(how, [])
        world.git("clone", "--quiet", *depth, world.remote.as_uri(), cwd, cwd=world.root)
    assert results(world, cwd)["an unverified commit to the target"] == "leaked"
    world.homelab("hooks", "install", cwd=cwd)
    for found in cwd.rglob("pre-push"):
        found.write_bytes(re.sub(rb"(?m)^python=.*$", b"python=/nowhere/python", found.read_bytes()))
    ended = results(world, cwd)
    # Without its program the shell cannot know whether the rules are still the same, and refuses what would pass, too.
    assert ended.pop("an ordinary branch passes") == ("held" if how.startswith("every") else "blocked")
    assert set(ended.values()) == {"held"}


@pytest.mark.slow
@pytest.mark.parametrize(("target", "usual"), [("master", "main"), ("main", "master"), ("trunk", "main")])
def test_the_name_of_a_new_repositorys_branch_is_nothing_to_an_attack(world: World, target: str, usual: str) -> None:
    world.git("branch", "-m", "master", target, cwd=world.remote)
    world.git("fetch", "--quiet", "--prune")
    world.git("remote", "set-head", "origin", target)
    world.git("config", "--global", "init.defaultBranch", usual)
    assert world.homelab("hooks", "install").returncode == 0
    assert set(results(world).values()) == {"held"}


def test_a_repository_without_a_commit_cannot_be_attacked(world: World) -> None:
    world.git("init", "--quiet", world.root / "empty", cwd=world.root)
    done = world.homelab("doctor", "--attack", cwd=world.root / "empty")
    assert done.returncode == 3
    assert "`git commit` something first" in done.stderr


def finding(world: World, name: str) -> list[dict[str, str]]:
    return [row for row in world.json("doctor")["findings"] if row["id"] == name]


@pytest.mark.slow
def test_a_plaintext_that_was_committed_is_named_with_the_way_back(judged: World) -> None:
    world = judged
    world.commit({".gitattributes": "*.key filter=git-crypt diff=git-crypt\n"})
    assert [row["repair"] for row in finding(world, "commits-unsealed")] == ["homelab hooks install"]
    assert world.homelab("hooks", "install").returncode == 0
    assert not finding(world, "commits-unsealed") and not finding(world, "plaintext")
    open_filter = ("-c", "filter.git-crypt.clean=cat", "-c", "filter.git-crypt.required=false")
    world.write({"a.key": "hunter2\n"})
    world.git(*open_filter, "add", "a.key")
    world.git(*open_filter, "commit", "--quiet", "--no-verify", "-m", "leak")
    short = world.git("rev-parse", "HEAD")[:12]
    (row,) = finding(world, "plaintext")
    assert f"a.key is plaintext in {short}" in row["message"] and short in row["repair"]
    push = world.run("git", "push", "origin", "HEAD:topic", check=False)
    assert push.returncode == 1 and row["repair"] in push.stderr, "every door names the same way back"
    world.run("sh", "-c", row["repair"].partition(", then")[0])
    assert not finding(world, "plaintext") and (world.clone / "a.key").read_text() == "hunter2\n"


def test_a_suite_whose_program_is_missing_is_named(judged: World) -> None:
    world = judged
    suites = '[[suite]]\nname = "go"\nrun = "no-such-program test ./..."\n[[suite]]\nname = "sh"\nrun = "test ! -e bad"\n'
    world.commit({"homelab.toml": suites})
    world.git("push", "--quiet", "--no-verify", "origin", "HEAD:master")
    assert [row["message"] for row in finding(world, "suite-program")] == [
        "the suite go cannot run here: no-such-program is not on PATH"
    ]


@pytest.mark.slow
def test_a_target_that_is_not_the_default_branch_is_no_fault_of_the_hook(judged: World) -> None:
    world = judged
    world.commit({"homelab.toml": '[gate]\ntarget = "develop"\n' + SUITE})
    world.git("push", "--quiet", "--no-verify", "origin", "HEAD:master", "HEAD:develop")
    assert world.homelab("hooks", "install").returncode == 0
    assert world.homelab("doctor").returncode == 0
