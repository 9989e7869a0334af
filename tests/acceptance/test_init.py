"""`homelab init` on real repositories: what it writes, and what it leaves alone."""

import contextlib
import os
import pty
import subprocess

import pytest

from homelab.policy import config_file
from tests.support.initial import bare_of_policy, written
from tests.support.world import BIN, World


def init(world: World, *args: str) -> object:
    return world.json("init", "--no-hooks", *args)


def test_it_writes_what_it_detects(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n", "package.json": '{"scripts": {"test": "node --test"}}'})
    path = world.clone / "homelab.toml"
    assert init(world) == {"ok": True, "path": str(path), "created": True, "suites": ["go", "npm"], "hooks": False}
    read = written(world)
    assert [suite.run for suite in read.suites] == ["go test ./...", "npm test"]
    assert (read.gate.remote, read.gate.target) == ("origin", "master")
    assert path.stat().st_mode & 0o777 == 0o644
    assert world.git("status", "--porcelain") == "?? homelab.toml"


def test_every_key_it_writes_stands_under_its_documentation(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    init(world)
    text = (world.clone / "homelab.toml").read_text()
    lines = text.splitlines()
    keys = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert keys
    assert all(lines[n - 1].startswith("# ") for n in keys)


def test_the_path_is_all_that_stands_on_stdout(world: World) -> None:
    bare_of_policy(world, {"Makefile": "test:\n\ttrue\n"})
    done = world.homelab("init", "--no-hooks")
    assert (done.returncode, done.stdout) == (0, f"{world.clone}/homelab.toml\n")
    assert "make test" in done.stderr
    assert "origin/master" in done.stderr


def test_a_file_that_exists_is_never_changed(world: World) -> None:
    before = (world.clone / "homelab.toml").read_bytes()
    done = world.homelab("init", "--no-hooks", "--verify-cmd", "true", "--branch", "main")
    assert done.returncode == 0
    assert "exists already" in done.stderr
    assert (world.clone / "homelab.toml").read_bytes() == before
    assert init(world)["created"] is False  # type: ignore[index]


def test_a_second_run_changes_nothing(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    init(world)
    before = (world.clone / "homelab.toml").read_bytes()
    assert world.homelab("init", "--no-hooks").returncode == 0
    assert (world.clone / "homelab.toml").read_bytes() == before


def test_a_given_command_is_the_one_suite(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    command = "printf '%s\\n' \"ä\" && \\\ntrue"
    assert init(world, "--verify-cmd", command)["suites"] == ["verify"]  # type: ignore[index]
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("verify", command)]


def test_where_nothing_is_found_it_names_three_ways_and_leaves_an_example(world: World) -> None:
    bare_of_policy(world, {"notes/a.txt": ""})
    done = world.homelab("init", "--no-hooks")
    assert done.returncode == 0
    assert "nothing can land by it yet" in done.stderr
    assert done.stderr.count("hint:   ") == 3
    assert written(world).suites == ()
    text = (world.clone / "homelab.toml").read_text()
    example = text[text.index("# [[suite]]") :].replace("# [[", "[[").replace("# name", "name").replace("# run", "run")
    assert [suite.name for suite in config_file.parse(example.encode()).suites] == ["check"]


def test_npm_with_a_lock_file_gets_its_modules(world: World) -> None:
    bare_of_policy(world, {"package.json": '{"scripts": {"test": "x"}}', "package-lock.json": "{}"})
    init(world)
    verify = written(world).verify
    assert (verify.prepare, verify.caches) == ("npm ci", ("node_modules",))
    assert verify.prepare_inputs == ("package.json", "package-lock.json")


def test_what_is_said_wins_over_what_is_detected(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    world.git("remote", "add", "upstream", str(world.remote))
    init(world, "--remote", "upstream", "--branch", "main")
    assert (written(world).gate.remote, written(world).gate.target) == ("upstream", "main")


def test_a_target_that_nobody_has_seen_is_told(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    assert "note" not in world.homelab("init", "--no-hooks", "--branch", "master").stderr
    (world.clone / "homelab.toml").unlink()
    assert "origin/mastre" in world.homelab("init", "--no-hooks", "--branch", "mastre").stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--remote", "nowhere"],
        ["--remote", "--evil"],
        ["--branch", "a..b"],
        ["--branch", "@{-1}"],
        ["--branch", ""],
        ["--verify-cmd", "  "],
        ["--verify-cmd", "a\x1b[31m"],
        ["--verify-cmd", os.fsdecode(b"a\xff")],
    ],
)
def test_wrong_usage_touches_nothing(world: World, args: list[str]) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    done = world.homelab("init", *args)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world.clone / "homelab.toml").exists()
    assert not (world.clone / ".git/hooks/pre-push").exists()


def test_outside_a_repository_it_is_wrong_usage(world: World) -> None:
    assert world.homelab("init", cwd=world.root).returncode == 2
    assert world.json("init", cwd=world.root)["error"]["kind"] == "usage"


def test_a_broken_file_is_named_and_kept(world: World) -> None:
    world.write({"homelab.toml": "[gaet]\n"})
    done = world.homelab("init")
    assert done.returncode == 2
    assert "gate" in done.stderr
    assert (world.clone / "homelab.toml").read_text() == "[gaet]\n"
    assert not (world.clone / ".git/hooks/pre-push").exists()


def test_a_folder_or_a_dangling_link_of_that_name_is_not_written_through(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    (world.clone / "homelab.toml").symlink_to("/nowhere/x")
    assert world.homelab("init", "--no-hooks").returncode == 2
    (world.clone / "homelab.toml").unlink()
    (world.clone / "homelab.toml").mkdir()
    assert world.homelab("init", "--no-hooks").returncode == 2


def test_an_empty_repository_without_a_remote_begins_too(world: World) -> None:
    fresh = world.root / "fresh"
    world.git("init", "--quiet", fresh, cwd=world.root)
    done = world.homelab("init", "--no-hooks", cwd=fresh)
    assert done.returncode == 0
    read = config_file.parse((fresh / "homelab.toml").read_bytes())
    assert (read.gate.remote, read.gate.target, read.suites) == (None, None, ())


def test_it_works_from_a_folder_of_a_linked_worktree(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n", "deep/er/x": ""})
    world.git("worktree", "add", "--quiet", world.root / "linked")
    answer = world.json("init", "--no-hooks", cwd=world.root / "linked/deep/er")
    assert answer["path"] == str(world.root / "linked/homelab.toml")
    assert not (world.clone / "homelab.toml").exists()


def test_the_hooks_are_installed_even_where_the_file_exists(world: World) -> None:
    assert world.json("init")["hooks"] is True
    assert (world.clone / ".git/hooks/pre-push").exists()


def test_where_the_hooks_are_refused_nothing_is_written(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    command_line = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "elsewhere"}
    assert world.homelab("init", env=command_line).returncode == 3
    assert not (world.clone / "homelab.toml").exists()


def on_a_terminal(world: World, answers: str, *args: str) -> str:
    """Run `init` with a terminal for all three streams, type the answers, and return what the terminal showed."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [BIN / "homelab", "init", "--no-hooks", *args], cwd=world.clone, env={**world.env, "TERM": "dumb", "COLUMNS": "200"},
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    os.write(parent, answers.encode())
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the last writer is gone
        while part := os.read(parent, 4096):
            shown += part
    os.close(parent)
    assert process.wait(60) == 0, shown
    return shown.decode(errors="replace")


def test_a_person_leaves_out_what_is_not_wanted(world: World) -> None:
    bare_of_policy(world, {"Makefile": "test:\n\ttrue\nlint:\n\ttrue\n"})
    shown = on_a_terminal(world, "what\n2\n")
    assert [suite.name for suite in written(world).suites] == ["make"]
    assert "trying on" in shown


def test_a_person_is_asked_for_the_command_where_nothing_is_found(world: World) -> None:
    bare_of_policy(world, {"notes": ""})
    on_a_terminal(world, "test -e notes\n")
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("verify", "test -e notes")]
    (world.clone / "homelab.toml").unlink()
    assert "one of these goes on" in on_a_terminal(world, "\n")
    assert written(world).suites == ()
