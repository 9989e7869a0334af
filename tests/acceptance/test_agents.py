"""What `homelab init --agents` writes, and that a coding agent's own worktree tool does what `work start` does."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from homelab.agents import events, given
from homelab.commands.verbs import VERBS, allowed_unasked
from homelab.errors import Usage
from tests.support.world import World


def files(world: World) -> dict[str, str]:
    return {
        str(p.relative_to(world.clone)): p.read_text() for p in world.clone.rglob("*") if p.is_file() and ".git/" not in str(p)
    }


def hook(world: World, event: str, env: dict[str, str] | None = None, **fields: Any) -> subprocess.CompletedProcess[str]:
    """Start the hook as its entry in the settings says."""
    settings = json.loads((world.clone / ".claude/settings.json").read_text())
    command = settings["hooks"][event][0]["hooks"][0]["command"]
    payload = json.dumps({"hook_event_name": event, "session_id": "s-1", "cwd": str(world.clone), **fields})
    return world.run(*shlex.split(command), input=payload, check=False, env=env)


@pytest.fixture
def agent(world: World) -> World:
    """A clone that agents know how to work in."""
    assert world.homelab("init", "--agents", "--yes").returncode == 0
    world.git("add", ".")
    world.git("commit", "--quiet", "-m", "agents")
    world.git("push", "--quiet", "origin", "master")
    return world


@pytest.mark.slow
def test_it_is_shown_and_written_only_when_confirmed(world: World) -> None:
    before = files(world)
    for answer in ("", "n\n", "what\n"):
        done = world.homelab("init", "--agents", input=answer)
        assert done.returncode == 3 and files(world) == before
        assert "WorktreeCreate" in done.stderr and "homelab work start" in done.stderr
    done = world.homelab("init", "--agents", input="y\n")
    assert (done.returncode, done.stdout) == (0, "AGENTS.md\n.claude/settings.json\n")
    assert "homelab work land" in (world.clone / "AGENTS.md").read_text()


@pytest.mark.slow
def test_a_second_time_changes_nothing_and_removing_leaves_no_trace(world: World) -> None:
    before = files(world)
    assert world.json("init", "--agents", "--yes")["changed"] == ["AGENTS.md", ".claude/settings.json"]
    written = files(world)
    assert world.json("init", "--agents") == {"ok": True, "changed": [], "removed": False}
    assert files(world) == written
    assert world.homelab("init", "--agents", "--remove", "--yes").returncode == 0
    assert files(world) == before and not (world.clone / ".claude").exists()


@pytest.mark.parametrize("text", ["# Ours\n\nBe kind.\n", "no newline at the end", "x\n\n\n"])
def test_what_somebody_wrote_stays(world: World, text: str) -> None:
    theirs = {
        "model": "x",
        "permissions": {"allow": ["Bash(make:*)"], "deny": ["Read(.env)"]},
        "hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "echo hi"}]}], "Stop": []},
    }
    world.write({"AGENTS.md": text, ".claude/settings.json": json.dumps(theirs)})
    assert world.homelab("init", "--agents", "--yes").returncode == 0
    assert (world.clone / "AGENTS.md").read_text().startswith(text.rstrip())
    merged = json.loads((world.clone / ".claude/settings.json").read_text())
    assert merged["model"] == "x" and merged["permissions"]["deny"] == ["Read(.env)"]
    assert merged["permissions"]["allow"][0] == "Bash(make:*)" and len(merged["hooks"]["SessionStart"]) == 2
    assert world.homelab("init", "--agents", "--remove", "--yes").returncode == 0
    assert json.loads((world.clone / ".claude/settings.json").read_text()) == theirs
    assert (world.clone / "AGENTS.md").read_text().rstrip() == text.rstrip()


def test_an_older_section_is_replaced_where_it_stands(world: World) -> None:
    world.write({"AGENTS.md": "a\n<!-- homelab: begin -->\noutdated\n<!-- homelab: end -->\nb\n"})
    world.homelab("init", "--agents", "--yes")
    text = (world.clone / "AGENTS.md").read_text()
    assert text.startswith("a\n<!--") and text.endswith("-->\nb\n") and "outdated" not in text


@pytest.mark.parametrize("content", ["{", "[]", '{"hooks": 1}', '{"permissions": {"allow": {}}}', "\xff"])
def test_settings_that_cannot_be_merged_into_are_left_alone(world: World, content: str) -> None:
    world.write({".claude/settings.json": content.encode("latin-1")})
    before = (world.clone / ".claude/settings.json").read_bytes()
    done = world.homelab("init", "--agents", "--yes")
    assert done.returncode == 2 and "settings.json" in done.stderr
    assert (world.clone / ".claude/settings.json").read_bytes() == before
    assert not (world.clone / "AGENTS.md").exists()


def test_a_link_out_of_the_repository_is_not_followed(world: World) -> None:
    (world.root / "outside.md").write_text("theirs")
    (world.clone / "AGENTS.md").symlink_to(world.root / "outside.md")
    assert world.homelab("init", "--agents", "--yes").returncode == 2
    assert (world.root / "outside.md").read_text() == "theirs"


@pytest.mark.slow
@pytest.mark.parametrize("key", ["name", "worktree_name"])
def test_the_agents_own_tool_makes_what_work_start_makes(agent: World, key: str) -> None:
    done = hook(agent, "WorktreeCreate", **dict[str, Any]({key: "fix-dns"}))
    path = agent.clone / ".worktrees/fix-dns"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert agent.git("branch", "--show-current", cwd=path) == "ada/fix-dns"
    assert agent.json("work", "start", "fix-dns")["created"] is False


@pytest.mark.parametrize("fields", [{}, {"name": ""}, {"name": 3}, {"name": "../x"}, {"name": "-x"}])
def test_without_a_name_nothing_is_made(agent: World, fields: dict[str, Any]) -> None:
    done = hook(agent, "WorktreeCreate", **fields)
    assert (done.returncode, done.stdout) == (2, "")
    assert not (agent.clone / ".worktrees").exists()
    assert agent.git("branch", "--format=%(refname:short)") == "master"


@pytest.mark.slow
def test_it_runs_from_a_worktree_of_the_project(agent: World) -> None:
    one = hook(agent, "WorktreeCreate", name="one").stdout.strip()
    env = {"CLAUDE_PROJECT_DIR": one}
    assert hook(agent, "WorktreeCreate", env, name="two").stdout.strip() == str(agent.clone / ".worktrees/two")


@pytest.mark.slow
def test_removing_refuses_what_would_be_lost(agent: World) -> None:
    path = Path(hook(agent, "WorktreeCreate", name="work").stdout.strip())
    agent.write({"new": "1"}, path)
    assert hook(agent, "WorktreeRemove", worktree_path=str(path)).returncode == 3
    assert (path / "new").exists()
    (path / "new").unlink()
    for _ in range(2):  # agents tell it twice
        assert hook(agent, "WorktreeRemove", worktree_path=str(path)).returncode == 0
        assert not path.exists()


def test_a_session_gets_its_name_for_claims(agent: World) -> None:
    file = agent.root / "env"
    assert hook(agent, "SessionStart", {"CLAUDE_ENV_FILE": str(file)}).returncode == 0
    assert agent.run("sh", "-c", f". {file}; echo $HOMELAB_SESSION").stdout == "agent-s-1\n"
    assert hook(agent, "SessionStart", {"CLAUDE_ENV_FILE": str(file)}, session_id="a'b; false").returncode == 0
    assert agent.run("sh", "-c", f". {file}; echo $HOMELAB_SESSION").stdout == "agent-a'b; false\n"


@pytest.mark.slow
def test_only_worktrees_of_work_start_are_entered_unasked(agent: World) -> None:
    path = hook(agent, "WorktreeCreate", name="feat/x").stdout.strip()
    outside = agent.root / "outside"
    agent.git("worktree", "add", "--quiet", "-b", "ada/outside", outside)

    def allowed_to(place: object, tool: str = "EnterWorktree") -> bool:
        done = hook(agent, "PermissionRequest", tool_name=tool, tool_input={"path": place})
        assert done.returncode == 0
        return bool(done.stdout) and json.loads(done.stdout)["hookSpecificOutput"]["decision"] == {"behavior": "allow"}

    assert allowed_to(path)
    assert not any(map(allowed_to, (str(outside), str(agent.clone), f"{path}/../..", str(agent.root), "", None, 3)))
    assert not allowed_to(path, "Bash")


def test_what_no_path_and_no_variable_can_hold_is_wrong_usage() -> None:
    for event in events.ANSWERS:
        for text in ("\0", "\ud800", "", None, 7, ["x"]):
            fields = dict.fromkeys(("name", "session_id", "worktree_path"), text)
            document = {"hook_event_name": event, **fields, "tool_name": "EnterWorktree", "tool_input": {"path": text}}
            if event == "PermissionRequest":
                assert events.answer(json.dumps(document).encode()) is None
                continue
            with pytest.raises(Usage, match="that can be used"):
                events.answer(json.dumps(document).encode())
    with pytest.raises(Usage, match="no JSON"):
        events.answer(b"[" * 200_000)


def test_a_closed_stdin_is_an_empty_one(world: World) -> None:
    done = world.run("sh", "-c", "homelab agent-hook <&-", check=False)
    assert done.returncode == 2 and "stdin is no JSON" in done.stderr


@pytest.mark.parametrize("stdin", ["", "x", "[]", '{"hook_event_name": 1}', '{"hook_event_name": "Other"}'])
def test_anything_else_on_stdin_is_wrong_usage(world: World, stdin: str) -> None:
    done = world.homelab("agent-hook", input=stdin)
    assert done.returncode == 2 and "hint:" in done.stderr


def test_no_rule_allows_a_verb_that_writes_or_starts_what_the_tree_brings() -> None:
    lines = allowed_unasked()
    for name, verb in VERBS.items():
        words = f"homelab {name}"
        covered = words in lines or any(words.startswith(line.removesuffix(":*")) for line in lines if line.endswith(":*"))
        assert covered is (verb.tier == "read" and not verb.runs), name
    assert "homelab work list:*" in lines and "homelab doctor:*" not in lines and "homelab claims:*" not in lines
    assert not any("homelab tf" in line for line in lines), "scripts/tg is the worktree's, and whoever writes it has a shell"


def test_the_section_names_commands_that_are_there() -> None:
    for verb in ("work start", "verify", "work land", "work clean", "manifest", "claim", "claims", "tf apply"):
        assert f"homelab {verb}" in given.SECTION and verb in VERBS


@pytest.mark.slow
def test_an_agents_leases_last_while_it_works_and_end_with_its_session(agent: World) -> None:
    mine, other = {"HOMELAB_SESSION": "agent-1"}, {"HOMELAB_SESSION": "other"}
    assert agent.homelab("claim", "stack:dns", "--purpose", "moving ns1", env=mine).returncode == 0
    assert agent.homelab("claim", "host:nas", "--purpose", "new disks", env=other).returncode == 0
    told = hook(agent, "UserPromptSubmit", session_id="1").stdout
    assert "host:nas" in told and "new disks" in told and "stack:dns" not in told
    notes = Path(agent.env["XDG_STATE_HOME"]) / "homelab/leases"
    (note,) = (path for path in notes.iterdir() if "dns" in path.name)
    for age, renewed in ((30, False), (3600, True)):
        os.utime(note, (time.time() - age,) * 2)
        before = note.stat().st_mtime
        assert hook(agent, "PostToolUse", session_id="1", tool_name="Bash").returncode == 0
        assert (note.stat().st_mtime > before) == renewed
    assert hook(agent, "SessionEnd", session_id="1").returncode == 0
    assert [claim["label"] for claim in agent.json("claims")] == ["host:nas"]
    assert hook(agent, "UserPromptSubmit", {"HOMELAB_CLAIMS": "file:///proc/none"}, session_id="1").stdout == ""
