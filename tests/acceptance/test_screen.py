"""What a person sees while suites run and afterwards, on a rendered terminal, and what a pipe gets of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.terminal import terminal
from tests.support.world import BIN, World

SUITES = """
[verify]
prepare = "sleep 0.3; true"
prepare_inputs = ["README"]
jobs = 2
[[suite]]
name = "cli"
run = "sleep 1; test ! -e bad"
inputs = ["homelab.toml"]
[[suite]]
name = "zones"
run = "true"
inputs = ["README"]
"""
MANY = '[[suite]]\nname = "stack"\neach = "stacks/*"\nrun = "test ! -e red"\n'


def suites(world: World, text: str, files: dict[str, str] | None = None) -> None:
    world.publish({"homelab.toml": text, **(files or {})})
    world.git("pull", "--quiet")


@pytest.mark.slow
def test_each_suite_keeps_its_line_and_cached_ones_are_a_number(world: World) -> None:
    suites(world, SUITES)
    with terminal(BIN / "homelab", "verify", cwd=world.clone, env=world.env) as shown:
        shown.until(lambda lines: any(re.search(r"cli +0:0\d", line) for line in lines) and "of 2" in lines[-1])
        lines = shown.ended()
    assert shown.program.returncode == 0
    commit = world.git("rev-parse", "HEAD")[:7]
    assert lines[0] == f"homelab: verifying {commit}: 2 to run"
    assert sorted(re.sub(r" +[\d.]+ s.*", "", line) for line in lines[1:-1]) == [
        "  ✓ cli", "  ✓ prepare", "  ✓ prepare", "  ✓ zones",
    ]  # fmt: skip
    assert re.fullmatch(rf"verified {commit} in \d.*: 2 ran", lines[-1])
    assert b"\x1b[32m" in shown.raw
    world.commit({"other": "x"})
    with terminal(BIN / "homelab", "verify", cwd=world.clone, env=world.env) as shown:
        assert re.fullmatch(r"verified \w{7} in .*: 2 cached", "\n".join(shown.ended()))


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_wraps_and_nothing_drawn_is_left(world: World, columns: int) -> None:
    name = "a-suite-with-a-name-that-is-longer-than-a-narrow-terminal-is-wide"
    suites(world, f'[[suite]]\nname = "{name}"\nrun = "sleep 1"\n[[suite]]\nname = "b"\nrun = "echo oh; sleep 0.5; false"\n')
    with terminal(BIN / "homelab", "verify", "-q", cwd=world.clone, env=world.env, columns=columns) as shown:
        assert not any("✓" in line or "to run" in line for line in shown.ended())
    with terminal(BIN / "homelab", "verify", "--fresh", cwd=world.clone, env=world.env, columns=columns) as shown:
        drawn = shown.until(lambda lines: any("of 2" in line for line in lines))
        assert all(len(line) < columns for line in drawn)
        lines = shown.ended()
    assert shown.program.returncode == 1
    rows = [line for line in lines if line.startswith(("  ✓", "  ✗"))]
    assert len(rows) == 2 and all(len(line) < columns for line in rows)
    assert not any(re.search("of 2|[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", line) for line in lines), "what was drawn is gone"


@pytest.mark.slow
def test_many_green_folders_are_one_line_and_the_red_ones_stand_out(gated: World) -> None:
    """155 stacks must not scroll a push away: one line for the green ones, one for each red, in a pipe as on a terminal."""
    suites(gated, MANY, {f"stacks/s{n}/main.tf": "" for n in range(40)} | {"stacks/s7/red": ""})
    gated.commit({f"stacks/s{n}/main.tf": "x" for n in range(40)})
    done = gated.homelab("verify")
    rows = [line for line in done.stderr.splitlines() if line.startswith("  ") and not line.startswith("  |")]
    assert [row.split()[:2] for row in rows] == [["✗", "stack"], ["✓", "stack"]], done.stderr
    assert "39 of 40 green" in rows[1] and len(done.stderr.splitlines()) < 15
    gated.git("rm", "--quiet", "stacks/s7/red")
    gated.git("commit", "--quiet", "-m", "mend")
    for args in (["git", "push", "origin", "master"], ["homelab", "work", "land"]):
        if args[0] == "homelab":
            path = gated.homelab("work", "start", "x").stdout.strip()
            gated.commit({f"stacks/s{n}/main.tf": "y" for n in range(30)}, cwd=Path(path))
        cwd = Path(path) if args[0] == "homelab" else gated.clone
        with terminal(*args, cwd=cwd, env=gated.env) as shown:
            lines = shown.ended()
        assert shown.program.returncode == 0, lines
        assert len([line for line in lines if "✓ stack" in line]) == 1 and len(lines) < 20, lines
        assert any(re.match(r"(homelab: )?verified \w{7} in .*ran", line) for line in lines), lines


@pytest.mark.parametrize(
    ("env", "sign"),
    [({}, "✓ zones"), ({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ok     zones")],
)
def test_a_pipe_gets_the_same_lines_without_colour_or_what_is_drawn(world: World, env: dict[str, str], sign: str) -> None:
    suites(world, SUITES)
    done = world.homelab("verify", env=env)
    assert done.returncode == 0 and sign in done.stderr
    assert "\x1b" not in done.stderr and "\r" not in done.stderr and "usually" not in done.stderr
    assert re.fullmatch(r"verified \w{7} in .*: 2 ran\n", done.stdout)


@pytest.mark.slow
def test_no_color_is_honoured_and_the_usual_time_is_told(world: World) -> None:
    suites(world, SUITES)
    assert world.homelab("verify").returncode == 0
    with terminal(BIN / "homelab", "verify", "--fresh", cwd=world.clone, env={**world.env, "NO_COLOR": "1"}) as shown:
        shown.until(lambda lines: any("usually 0:0" in line for line in lines))
        shown.ended()
    assert not re.search(rb"\x1b\[[0-9;]*m", shown.raw)


@pytest.mark.slow
def test_every_table_has_a_heading_and_no_row_wraps(gated: World) -> None:
    """The kind: all commands that print rows, on narrow and wide terminals; a pipe gets a line for each thing that there is."""
    path = Path(gated.homelab("work", "start", "a-topic-with-a-name-that-is-rather-long").stdout.strip())
    gated.commit({"new": "x"}, "A subject that goes on for longer than a narrow terminal is wide", cwd=path)
    assert gated.homelab("work", "land", cwd=path).returncode == 0
    assert gated.homelab("claim", "host:nas", "--purpose", "new disks, and all else that is to do").returncode == 0
    headings = dict(pair.split("=") for pair in (
        "work list=TOPIC", "work log=COMMIT", "claims=LABEL", "claims history=WHEN", "cache=WHAT", "manifest=COMMAND"
    ))  # fmt: skip
    for command, heading in headings.items():
        for columns in (40, 80, 200):
            with terminal(BIN / "homelab", *command.split(), cwd=gated.clone, env=gated.env, columns=columns, rows=60) as shown:
                lines = shown.ended()
            assert heading[: columns // 10] in lines[0] and shown.program.returncode == 0, (command, columns, lines)
            ends = next((n for n, line in enumerate(lines) if line.startswith(("homelab: ", "in /"))), len(lines))
            assert all(len(line) < columns for line in lines[:ends]), (command, columns, lines)
            assert ends >= 2 and not any(line.startswith(" ") for line in lines[1:ends] if command != "work list"), lines
    assert len(gated.homelab("work", "log").stdout.splitlines()) == 1
    assert len(gated.homelab("manifest").stdout.splitlines()) == len(gated.json("manifest"))


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80])
def test_narration_is_broken_between_words_and_its_commands_are_whole(gated: World, columns: int) -> None:
    for words in (("ci", "status"), ("work", "land"), ("verify", "--help"), ("doctor",), ("work", "switch", "nothing"), ()):
        with terminal(BIN / "homelab", *words, cwd=gated.clone, env=gated.env, columns=columns, rows=60) as shown:
            told = " ".join(line.strip() for line in shown.ended())
        said = gated.homelab(*words)
        for text in (said.stdout, said.stderr):
            for word in (word for word in text.split() if len(word) < 24):
                assert word in told, (words, word, told)


@pytest.mark.slow
def test_who_is_waited_for_is_said_before_two_seconds_and_a_half_are_over(gated: World) -> None:
    """The kind: all that asks a remote. The lines stay, since ssh and git may ask for a word on the same terminal."""
    slow = gated.root / "slow"
    slow.write_text('#!/bin/sh\nsleep 3\nexec git-upload-pack "$@"\n')
    slow.chmod(0o755)
    gated.git("config", "remote.origin.uploadpack", slow)
    path = Path(gated.homelab("work", "start", "x").stdout.strip())
    gated.commit({"new": "x"}, cwd=path)
    for words in (("work", "start", "y"), ("work", "land"), ("ci", "status")):
        with terminal(BIN / "homelab", *words, cwd=path, env=gated.env) as shown:
            shown.until(lambda lines: any(line.startswith("homelab: waiting for origin, 2.") for line in lines), seconds=12)
            assert any("waiting for origin" in line for line in shown.ended()), words
    assert "waiting" not in gated.homelab("work", "start", "y", cwd=path).stderr, "a pipe wants to know later"
