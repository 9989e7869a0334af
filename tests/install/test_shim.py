"""The hook that git starts: it answers what it can from files, and hands everything else on byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from homelab.gate import markers, sources
from homelab.install import shim
from tests.support.shim_stage import ZERO, A, B, Stage, record, remember
from tests.support.world import World


def test_a_push_without_a_protected_ref_passes_without_python(stage: Stage) -> None:
    done = stage.push(record("refs/heads/feature") + record("refs/tags/master") + record("refs/heads/masters"))
    assert (done.returncode, done.stdout, done.stderr, stage.was_asked()) == (0, b"", b"", False)


@pytest.mark.parametrize("ref", ["refs/heads/master", "refs/heads/release/1", "refs/heads/release/a/b"])
def test_a_protected_ref_starts_python_with_the_very_bytes_and_arguments(stage: Stage, ref: str) -> None:
    stdin = record("refs/heads/feature") + record(ref)
    done = stage.push(stdin)
    assert (done.returncode, stage.asked()) == (0, stdin)
    assert (stage.here / "args").read_text().split("\n") == [
        "-I",
        "-m",
        "homelab_hooks.verified_push",
        "--native",
        "origin",
        "url of it",
        "",
    ]
    assert done.stdout == b""


@pytest.mark.parametrize("code", [1, 3, 70, 130])
def test_the_code_of_python_is_the_code_of_the_hook(stage: Stage, code: int) -> None:
    stage.python(code)
    assert stage.push(record("refs/heads/master")).returncode == code


@pytest.mark.parametrize("code", [134, 137, 139, 152])
def test_a_program_that_was_ended_lets_nothing_through_and_is_told_of(stage: Stage, code: int) -> None:
    stage.python(code)
    done = stage.push(record("refs/heads/master"))
    assert (done.returncode, b"ended by signal %d" % (code - 128) in done.stderr) == (code, True)
    stage.python(code, importable=134)
    done = stage.push(record("refs/heads/master"))
    assert (done.returncode, b"is gone" in done.stderr) == (1, True)


@pytest.mark.slow
def test_python_starts_under_a_limit_that_it_takes_off_itself(stage: Stage) -> None:
    turning = stage.here / "python with 'quotes'"
    turning.write_text("#!/bin/sh\nulimit -S -t 1\nwhile :; do :; done\n")  # five would be as good, and take five
    assert stage.push(record("refs/heads/master")).returncode == 1
    limits = stage.here / "limits"
    turning.write_text(f"#!/bin/sh\nulimit -S -t >'{limits}'\n")
    assert stage.push(record("refs/heads/master")).returncode == 0
    assert limits.read_text() == "5\n"


@pytest.mark.parametrize(
    "source",
    [
        b":/bad commit",
        b"master@{0 seconds ago}",
        b"a\nb",
        b"a\n",
        b"\xff\xfe",
        b"a\xe2\x80\xa8b",
        b"\\n%s$(x)`y`\"'*",
        b"x refs/heads/feature y",
    ],
)
def test_any_source_is_handed_on_byte_for_byte(stage: Stage, source: bytes) -> None:
    stdin = source + record("refs/heads/master", source="")
    stage.next('cat >"${0%/*}/seen"')
    stage.push(stdin)
    assert stage.asked() == stdin
    assert (stage.hook.parent / "homelab-next/seen").read_bytes() == stdin


def test_every_byte_but_nul_survives(stage: Stage) -> None:
    stdin = bytes(range(1, 256)) * 40 + record("refs/heads/master")
    stage.push(stdin)
    assert stage.asked() == stdin


def test_a_last_line_without_its_newline_is_judged_and_handed_on_as_it_is(stage: Stage) -> None:
    stdin = record("refs/heads/feature") + record("refs/heads/master").rstrip(b"\n")
    stage.push(stdin)
    assert stage.asked() == stdin


def test_a_push_of_nothing_passes_and_still_runs_the_next_hook(stage: Stage) -> None:
    stage.next('cat >"${0%/*}/seen"; exit 9')
    assert (stage.push(b"").returncode, stage.was_asked()) == (9, False)
    assert (stage.hook.parent / "homelab-next/seen").read_bytes() == b""


def test_an_update_that_was_judged_before_passes_without_python(stage: Stage) -> None:
    stage.mark("refs/heads/master", A, B)
    done = stage.push(record("refs/heads/master", source=":/two words"))
    assert (done.returncode, done.stdout, done.stderr, stage.was_asked()) == (0, b"", b"", False)


@pytest.mark.parametrize(
    "stdin",
    [
        record("refs/heads/master", B, A),
        record("refs/heads/master", A, ZERO),
        record("refs/heads/release/1"),
        record("refs/heads/master") + record("refs/heads/release/1"),
        record("refs/heads/master") + record("refs/heads/feature", new="f" * 40),
        record("refs/heads/master") + b"no line of git's\n",
        record("refs/heads/master", source="x\ny"),
    ],
)
def test_what_is_not_exactly_the_judged_update_starts_python(stage: Stage, stdin: bytes) -> None:
    stage.mark("refs/heads/master", A, B)
    stage.push(stdin)
    assert stage.asked() == stdin


def test_a_memo_without_protected_names_starts_python_for_any_ref(stage: Stage) -> None:
    (stage.memo / "protected").write_text("")
    stage.push(record("refs/heads/feature"))
    assert stage.was_asked()
    (stage.memo / "protected").unlink()
    stage.push(record("refs/heads/feature"))
    assert stage.was_asked()


def test_a_single_space_among_the_protected_names_means_everything(stage: Stage) -> None:
    (stage.memo / "protected").write_text(" \n .\n")
    stage.push(record("refs/tags/v1"))
    assert stage.was_asked()


def test_another_policy_on_the_target_is_another_memo(dash: Stage) -> None:
    dash.mark("refs/heads/master", A, B)
    dash.world.publish({"homelab.toml": '[[suite]]\nname = "other"\nrun = "true"\n'})
    dash.world.git("fetch", "--quiet")
    dash.push(record("refs/heads/master"))
    assert dash.was_asked()


def test_a_target_without_a_file_has_a_memo_of_its_own(stage: Stage) -> None:
    world = stage.world
    empty = world.git("commit-tree", "-m", "none", world.git("mktree", input=""))
    world.git("update-ref", "refs/remotes/origin/master", empty)
    stage.push(record("refs/heads/feature"))
    assert stage.was_asked()
    memo = markers.memo(world.clone / ".git", f"none-{empty}")
    memo.mkdir(parents=True)
    (memo / "protected").write_text(" refs/heads/master \n .\n")
    remember(world, memo)
    markers.tip(world.clone / ".git").write_text(f"{empty} {memo.name}\n")
    assert (stage.push(record("refs/heads/feature")).returncode, stage.was_asked()) == (0, False)
    stage.push(record("refs/heads/master"))
    assert stage.was_asked()


@pytest.mark.parametrize("ref", ["refs/remotes/origin/gone", None])
def test_a_target_that_is_not_known_starts_python(stage: Stage, ref: str | None) -> None:
    stage.world.git("symbolic-ref", *([sources.TARGET, ref] if ref else ["--delete", sources.TARGET]))
    done = stage.push(record("refs/heads/feature"))
    assert (done.returncode, done.stderr, stage.was_asked()) == (0, b"said-by-python\n", True)
    stage.lose_python()
    for branch in ("feature", "master"):  # and then nobody can say what is protected
        assert stage.push(record(f"refs/heads/{branch}")).returncode == 1


def test_replaced_and_grafted_commits_change_nothing(dash: Stage) -> None:
    world = dash.world
    real = world.git("rev-parse", "origin/master")
    (dash.memo / "protected").write_text(" refs/heads/master \n .\n")
    other = world.commit({"homelab.toml": "# other\n"})
    world.git("replace", real, other)
    lying = markers.memo(world.clone / ".git", world.git("rev-parse", "HEAD:homelab.toml"))
    lying.mkdir(parents=True)
    (lying / "protected").write_text(" refs/heads/none \n .\n")
    dash.push(record("refs/heads/master"))
    assert dash.was_asked()


def test_the_next_hook_runs_only_when_the_gate_is_content_and_has_the_last_word(stage: Stage) -> None:
    stage.next('echo "$*" >"${0%/*}/seen"; exit 5')
    stage.python(3)
    assert stage.push(record("refs/heads/master")).returncode == 3
    assert not (stage.hook.parent / "homelab-next/seen").exists()
    stage.python(0)
    assert stage.push(record("refs/heads/master")).returncode == 5
    assert (stage.hook.parent / "homelab-next/seen").read_text() == "origin url of it\n"
    assert stage.push(record("refs/heads/feature")).returncode == 5


def test_a_next_hook_that_is_not_executable_is_passed_over_as_git_does(dash: Stage) -> None:
    dash.next("exit 5")
    (dash.hook.parent / "homelab-next/pre-push").chmod(0o644)
    assert dash.push(record("refs/heads/feature")).returncode == 0


def test_without_its_program_the_gate_stays_shut_for_protected_refs_only(stage: Stage) -> None:
    stage.lose_python()
    for ref in ("refs/heads/master", "refs/heads/release/1"):
        done = stage.push(record("refs/heads/feature") + record(ref))
        assert (done.returncode, done.stdout) == (1, b"")
        assert [line[:9] for line in done.stderr.splitlines()] == [b"homelab: ", b"homelab: "]
        assert b"`homelab hooks install`" in done.stderr
    assert stage.push(record("refs/heads/feature")).returncode == 0
    shutil.rmtree(stage.memo)  # nobody knows any more which branches are protected
    assert stage.push(record("refs/heads/master")).returncode == 1
    assert stage.push(record("refs/heads/feature")).returncode == 1
    assert stage.push(record("refs/tags/v1")).returncode == 0


def test_a_python_without_our_module_is_a_program_that_is_gone(stage: Stage) -> None:
    stage.python(1, importable=1)
    done = stage.push(record("refs/heads/master"))
    assert done.returncode == 1
    assert b"gone" in done.stderr
    assert stage.push(record("refs/heads/feature")).returncode == 0
    shutil.rmtree(stage.memo)
    assert stage.push(record("refs/heads/feature")).returncode == 1


def test_variables_of_the_caller_do_no_harm(stage: Stage) -> None:
    names = "python needles next nl updates line count answer memo one old ref rest needle code IFS ENV CDPATH"
    stage.world.env.update(dict.fromkeys(names.split(), "1 refs/heads/master /"))
    few = b"".join(record(f"refs/heads/feature-{n}") for n in range(5))
    assert (stage.push(few).returncode, stage.was_asked()) == (0, False)
    many = b"".join(record(f"refs/heads/feature-{n}") for n in range(5000))
    stage.push(many + record("refs/heads/master"))
    assert stage.asked() == many + record("refs/heads/master")


def test_where_no_name_is_known_every_branch_is_protected() -> None:
    assert b"needles=' refs/heads/'\n" in shim.pre_push(None, b"x")


@pytest.mark.slow
def test_twenty_thousand_refs_are_read_whole(stage: Stage) -> None:
    many = b"".join(record(f"refs/heads/feature-{n}") for n in range(20_000))
    assert (stage.push(many).returncode, stage.was_asked()) == (0, False)
    stage.push(many + record("refs/heads/master"))
    assert stage.asked() == many + record("refs/heads/master")
    stage.next("exit 4")  # reads nothing
    assert stage.push(many).returncode == 4


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 3000])
def test_refs_pass_without_python_however_many_there_are(stage: Stage, count: int) -> None:
    stage.mark("refs/heads/master", A, B)
    many = b"".join(record(f"refs/heads/feature-{n}", new=(B, ZERO)[n % 2]) for n in range(count))
    for stdin in (many, many.rstrip(b"\n"), record("refs/heads/master") + many, many + record("refs/heads/master")):
        assert (stage.push(stdin).returncode, stage.was_asked()) == (0, False)
    stage.push(many + record("refs/heads/feature", new="b" * 40))
    assert stage.was_asked()


@pytest.mark.parametrize("count", [15, 16, 17, 18])
@pytest.mark.parametrize("end", ["\n", ""])
def test_where_the_way_of_reading_changes_no_byte_is_lost(stage: Stage, count: int, end: str) -> None:
    stdin = b"".join(record(f"refs/heads/release/{n}") for n in range(count)).rstrip(b"\n") + end.encode()
    stage.push(stdin)
    assert stage.asked() == stdin


def test_a_linked_worktree_a_subfolder_and_a_bare_clone_find_the_same_memo(dash: Stage) -> None:
    world = dash.world
    world.git("worktree", "add", "--quiet", "-b", "wt", world.root / "linked dir")
    (world.clone / "sub").mkdir()
    for cwd in (world.clone, world.clone / "sub", world.root / "linked dir", world.clone / ".git"):
        world.git("push", "--quiet", "--force", "origin", "HEAD:feature", cwd=cwd)
        assert not dash.was_asked()
        world.git("push", "--quiet", "--force", "origin", "HEAD:release/1", cwd=cwd)
        assert dash.was_asked()
        world.git("push", "--quiet", "--delete", "origin", "release/1", cwd=cwd)
        assert dash.was_asked()


def test_a_sha256_repository_is_read_alike(tmp_path: Path, world: World) -> None:
    clone = tmp_path / "wide"
    world.git("init", "--quiet", "--object-format=sha256", clone, cwd=tmp_path)
    world.commit({"homelab.toml": "x"}, cwd=clone)
    world.git("remote", "add", "origin", world.remote, cwd=clone)
    world.git("update-ref", "refs/remotes/origin/master", "HEAD", cwd=clone)
    world.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/master", cwd=clone)
    memo = markers.memo(clone / ".git", world.git("rev-parse", "HEAD:homelab.toml", cwd=clone))
    (memo / "refs/heads/master").mkdir(parents=True)
    (memo / "protected").write_text(" refs/heads/master \n .\n")
    (memo / "refs/heads/master" / f"{'a' * 64}-{'b' * 64}").touch()
    remember(world, memo, clone)
    (clone / "hook").write_bytes(shim.pre_push((), b"none", python="/nowhere"))
    for new, code in (("b", 0), ("c", 1)):
        line = f"HEAD {new * 64} refs/heads/master {'a' * 64}\n"
        assert world.run("sh", "./hook", "origin", "url", cwd=clone, input=line, check=False).returncode == code


def test_git_itself_refuses_the_push_and_leaves_the_remote_as_it_was(dash: Stage) -> None:
    world = dash.world
    dash.python(3)
    world.commit({"x": "1"})
    before = world.refs()
    done = world.run("git", "push", "--porcelain", "origin", "HEAD:feature", "HEAD:master", check=False)
    assert done.returncode != 0
    assert world.refs() == before
    assert "said-by-python" not in done.stdout
    assert b"refs/heads/master" in (dash.asked() or b"")
