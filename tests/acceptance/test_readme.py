"""What the README shows is what happens."""

from collections.abc import Callable

import pytest

from tests.support import ROOT
from tests.support.transcript import Step, agrees, filled, furnish, furnish_kinds, play, steps
from tests.support.world import World

DOCUMENTS: dict[str, Callable[[World], None]] = {"README.md": furnish, "docs/getting-started.md": furnish_kinds}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_transcript_of_a_document_is_true(world: World, name: str) -> None:
    DOCUMENTS[name](world)
    told = steps((ROOT / name).read_text())
    assert told
    printed = play(world, [step.command for step in told])
    assert len(printed) == len(told)
    for step, output in zip(told, printed, strict=True):
        assert agrees(step.output, output), f"$ {step.command}\n{output}\n--- the document says:\n{step.output}"


def test_a_transcript_is_read_command_by_command() -> None:
    text = "a\n```console\n$ one\n$ two \\\n> more\nout\n\nput\n```\n```sh\n$ not this\n```\n```console\n$ three\n```\n"
    assert steps(text) == [Step("one", ""), Step("two \\\nmore", "out\n\nput\n"), Step("three", "")]


def test_a_document_is_filled_with_what_was_printed() -> None:
    text = "```console\n$ one\nold\n$ two\n...\nend\n```\nbetween\n```console\n$ three\nold\n```\n"
    made = filled(text, ["new\n", "a\nb\nend\n", ""])
    assert made == "```console\n$ one\nnew\n$ two\n...\nend\n```\nbetween\n```console\n$ three\n```\n"


@pytest.mark.parametrize(
    ("said", "printed", "same"),
    [
        ("landed 1a2b3c4d as 0f0f0f0 in 2.3 s", "landed 99887766 as 1111111 in 14 s\n", True),
        ("at 2024-01-02T03:04:05Z", "at 2025-11-12T13:14:15Z", True),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nz", True),
        ("a\n...", "a\nb", True),
        ("...\nz", "a\nb\nz", True),
        ("a\n...\nz", "a\nb", False),
        ("landed", "refused", False),
        ("facade", "decade", False),
        ("", "something", False),
    ],
)  # fmt: skip
def test_outputs_are_compared_but_for_what_differs_from_run_to_run(said: str, printed: str, same: bool) -> None:
    assert agrees(said, printed) is same


def test_one_shell_runs_a_whole_document(world: World) -> None:
    outputs = play(world, ["cd ..", "X=5", "pwd; echo $X", "git -C clone remote get-url origin >&2", "false"])
    assert outputs == ["", "", "/home/ada\n5\n", "/srv/infra.git\n", ""]
