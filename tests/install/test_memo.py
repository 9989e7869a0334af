"""The memo and Python say the same: whatever changes the rules, in every shell, a push ends as it does without a memo."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from homelab.gate import markers, sources
from tests.support.shim_stage import MORE_SHELLS, A, B, Stage, exec_path, record, remember, stage_for
from tests.support.world import SUITE, World

#: Branches of which the first is never protected, and the others by some change.
BRANCHES = ("feature", "stable/1", "trunk")
#: What one push came to: the hook's exit code, by git's, and what reached the remote.
Verdict = tuple[int, str]


def restored(kept: Path, place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(kept, place, symlinks=True)


def verdicts(world: World, commit: str, *, memo: bool) -> list[Verdict]:
    found = []
    for branch in BRANCHES:
        if not memo:
            shutil.rmtree(world.clone / ".git/homelab/gate", ignore_errors=True)
        done = world.run("git", "push", "--quiet", "origin", f"{commit}:refs/heads/{branch}", check=False)
        assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
        found.append((done.returncode, world.tip(f"refs/heads/{branch}")))
        world.git("update-ref", "-d", f"refs/heads/{branch}", cwd=world.remote)
        world.git("update-ref", "-d", f"refs/remotes/origin/{branch}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_every_change_every_shell_comes_to_the_verdict_of_python_alone(world: World) -> None:
    world.publish({"homelab.toml": '[gate]\nunverified = "refuse"\n' + SUITE})
    world.git("pull", "--quiet")
    assert world.homelab("hooks", "install").returncode == 0
    moment = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    empty = world.git("mktree", input="")
    assert (
        world.git("commit-tree", "-m", "b", "-p", world.git("commit-tree", "-m", "a", empty, env=moment), empty, env=moment)
        == B
    )
    # HEAD is what a fork's branch will be: it protects what origin does not.
    commit = world.commit({"homelab.toml": '[gate]\nunverified = "refuse"\nprotect = ["stable/*"]\n' + SUITE})
    hook, kept = world.clone / ".git/hooks/pre-push", world.root / "kept"
    shells = {name: words for name, words in MORE_SHELLS.items() if shutil.which(words[0])}
    text = hook.read_text()
    seen = set()
    for what, commands in {"nothing has changed": [], **CHANGES}.items():
        for command in commands:
            world.git(*(word.format(clone=world.clone) for word in command))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(world.clone / ".git", kept, symlinks=True)
        alone = verdicts(world, commit, memo=False)
        seen.add(tuple(code for code, _ in alone))
        for name, words in shells.items():
            restored(kept, world.clone / ".git")
            (hook.parent / "ours").write_text(text)
            hook.write_text(f'#!/bin/sh\nexec {" ".join(words)} "${{0%/*}}/ours" "$@"\n')
            assert verdicts(world, commit, memo=True) == alone, (what, name)
    assert {(0, 0, 0), (0, 1, 0), (0, 1, 1)} <= seen, seen  # the changes do change what is let through


URL = "https://example.org/x.git"


#: What a person, git or a forge may change so that Python reads other rules; each is a change of the one before it.
CHANGES: dict[str, list[list[str]]] = {
    "a remote is added": [["remote", "add", "fork", URL]],
    "its HEAD is known": [["update-ref", "refs/remotes/fork/main", "HEAD"],
                          ["symbolic-ref", "refs/remotes/fork/HEAD", "refs/remotes/fork/main"]],
    "its branch has moved": [["update-ref", "refs/remotes/fork/main", B]],
    "its HEAD is another": [
        ["update-ref", "refs/remotes/fork/trunk", B],
        ["symbolic-ref", "refs/remotes/fork/HEAD", "refs/remotes/fork/trunk"]],
    "its branch is packed and has moved": [["update-ref", "refs/remotes/fork/trunk", "HEAD"], ["pack-refs", "--all"]],
    "it has moved again, and is packed again": [["update-ref", "refs/remotes/fork/trunk", B], ["pack-refs", "--all"]],
    "its HEAD is gone": [["symbolic-ref", "--delete", "refs/remotes/fork/HEAD"]],
    "a remote by the old syntax": [["config", "--file", ".git/config", "remote.old.url", URL]],
    "a remote of the user's": [["config", "--global", "remote.forgejo.url", URL]],
    "a filter of the user's": [["config", "--global", "filter.lfs.smudge", "cat"]],
    "a remote of this worktree": [["config", "extensions.worktreeConfig", "true"],
                                  ["config", "--worktree", "remote.here.url", URL]],
    "a remote in a file that is included": [["config", "--file", "more", "remote.more.url", URL],
                                            ["config", "--global", "include.path", "{clone}/more"]],
    "another in that file": [["config", "--file", "more", "remote.other.url", URL]],
    "the default branch was renamed": [["update-ref", "refs/remotes/origin/main", "refs/remotes/origin/master"],
                                       ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]],
    "the default branch is not known": [["symbolic-ref", "--delete", "refs/remotes/origin/HEAD"]],
}  # fmt: skip


@pytest.mark.parametrize("shell", MORE_SHELLS)
def test_the_shell_passes_nothing_once_python_might_read_other_rules(world: World, shell: str) -> None:
    stage = stage_for(world, shell)
    for what, commands in CHANGES.items():
        assert (stage.push(record("refs/heads/feature")).returncode, stage.was_asked()) == (0, False), f"before: {what}"
        for command in commands:
            world.git(*(word.format(clone=world.clone) for word in command))
        stage.push(record("refs/heads/feature"))
        assert stage.was_asked(), what
        remember(world, stage.memo)
    stage.push(record("refs/heads/feature"))
    assert stage.was_asked(), "what is not known is remembered by nobody"


@pytest.mark.parametrize("shell", MORE_SHELLS)
def test_the_shell_passes_nothing_to_where_the_rules_were_not_read_for(world: World, shell: str) -> None:
    stage = stage_for(world, shell)
    push = [*stage.shell, ".git/hooks/pre-push"]
    for name in ("fork", "", ".", "..", "../to/origin", "a b", "*", str(world.remote), "-n"):
        done = world.run(*push, name, "url", input=record("refs/heads/feature"), env=exec_path())
        assert stage.was_asked() and done.stderr == "said-by-python\n", name
    extra = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.forgejo.url", "GIT_CONFIG_VALUE_0": URL}
    elsewhere = {"GIT_REFERENCE_BACKEND": f"files://{world.root}"}  # where a git from 2.54 on finds the refs
    for env in (extra, {"GIT_CONFIG_PARAMETERS": f"'remote.forgejo.url'='{URL}'"}, elsewhere):
        stage.push(record("refs/heads/feature"), env)
        assert stage.was_asked()
    # Where git kept remotes before it had them in its configuration, and still looks.
    for folder in ("remotes", "branches"):
        path = world.clone / ".git" / folder / "old"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"URL: {URL}\n")
        stage.push(record("refs/heads/feature"))
        assert stage.was_asked(), folder
        path.unlink()


@pytest.mark.parametrize("shell", MORE_SHELLS)
def test_the_shell_passes_nothing_by_the_file_of_a_remote_that_was_pushed_to_since(world: World, shell: str) -> None:
    stage = stage_for(world, shell)
    world.git("update-ref", "refs/remotes/backup/master", "origin/master")  # with the same file, and so the same memo
    for target, asked in (("backup", True), ("origin", False)):
        world.git("symbolic-ref", sources.TARGET, f"refs/remotes/{target}/master")
        stage.push(record("refs/heads/feature"))
        assert stage.was_asked() is asked, target


#: The user's configuration as git alone reads it at first sight: a variable, and a file in which `@` is its value's end.
SPELLINGS = {
    "a byte order mark": ("remote.forgejo.url", '\ufeff[remote "forgejo"]\n\turl = x@\n'),
    "an odd blank": ("remote.forgejo.url", '\r[remote "forgejo"]\n\turl = x@\n'),
    "two sections in a line": ("remote.forgejo.url", '[core] [remote "forgejo"]\n\turl = x@\n'),
    "a value of two lines": ("remote.forgejo.pushurl", '[remote "forgejo"]\n\turl = x\\\n[core]\n\tpushurl = x@\n'),
    "the same by CRLF": ("remote.forgejo.pushurl", '[remote "forgejo"]\r\n\turl = x\\\r\n[core]\r\n\tpushurl = x@\r\n'),
    "what LFS leaves out": ("lfs.fetchexclude", "[LFS]\n\tfetchexclude = x@\n"),
}


@pytest.mark.parametrize("shell", MORE_SHELLS)
def test_the_shell_sees_what_git_reads_in_a_configuration_that_is_oddly_written(world: World, shell: str) -> None:
    stage, file = stage_for(world, shell), world.root / "home/.gitconfig"
    usual = file.read_text()
    for what, (name, text) in SPELLINGS.items():
        for end in "ab":
            file.write_bytes((text.replace("@", end) + usual).encode())
            stage.push(record("refs/heads/feature"))
            assert stage.was_asked(), what
            remember(world, stage.memo)
            assert (stage.push(record("refs/heads/feature")).returncode, stage.was_asked()) == (0, False), what
        assert world.git("config", name).endswith("b"), what


@pytest.mark.parametrize("shell", MORE_SHELLS)
def test_a_git_that_was_built_elsewhere_reads_a_file_that_it_alone_knows(world: World, shell: str) -> None:
    stage, place = stage_for(world, shell), world.root / "opt"
    (place / "etc").mkdir(parents=True)
    system, program = place / "etc/gitconfig", place / "libexec/git-core/git"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nunset GIT_CONFIG_NOSYSTEM\nGIT_CONFIG_SYSTEM={system} exec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    env = {"GIT_EXEC_PATH": str(program.parent), "PATH": f"{program.parent}:{world.env['PATH']}"}
    assert (stage.push(record("refs/heads/feature")).returncode, stage.was_asked()) == (0, False)
    for url in (URL, f"{URL}x"):
        system.write_text(f'[remote "forgejo"]\n\turl = {url}\n')
        stage.push(record("refs/heads/feature"), env)
        assert stage.was_asked()
        remember(world, stage.memo, env=env)
        assert (stage.push(record("refs/heads/feature"), env).returncode, stage.was_asked()) == (0, False)
    stage.push(record("refs/heads/feature"), {"GIT_EXEC_PATH": str(place)})  # a folder that says nothing of the file
    assert stage.was_asked()


@pytest.mark.parametrize("shell", MORE_SHELLS)
@pytest.mark.parametrize("program", ["there", "gone"])
def test_a_folder_for_temporary_files_that_cannot_be_used_opens_nothing(world: World, shell: str, program: str) -> None:
    stage = stage_for(world, shell)
    shutil.rmtree(stage.memo)
    if program == "gone":
        stage.lose_python()
    else:
        stage.python(3)
    for env in ({"TMPDIR": "/nowhere"}, {"TMPDIR": "/proc"}):
        for lines in (record("refs/heads/master"), record("refs/heads/master") * 3000):
            assert stage.push(lines, env).returncode != 0


def test_where_the_tip_is_known_a_judged_update_needs_no_program_at_all(stage: Stage) -> None:
    world, tip = stage.world, stage.world.git("rev-parse", "origin/master")
    markers.tip(world.clone / ".git").write_text(f"{tip} {stage.memo.name}\n")
    stage.mark("refs/heads/master", A, B)
    usual = {"GIT_EXEC_PATH": "/usr/lib/git-core"}  # whichever git the tests run on: any other would have to be asked
    remember(world, stage.memo, env=usual)
    env = {"PATH": str(stage.here), "SHELL": "none", **usual}
    stage.shell = (shutil.which(stage.shell[0]) or "", *stage.shell[1:])
    assert (stage.push(record("refs/heads/master"), env).returncode, stage.was_asked()) == (0, False)
    for moved in ({"GIT_DIR": "elsewhere"}, {"GIT_COMMON_DIR": "elsewhere"}):
        stage.push(record("refs/heads/master"), {**env, **moved})
        assert stage.was_asked()
    world.git("update-ref", "refs/remotes/origin/master", B)
    stage.push(record("refs/heads/master"))
    assert stage.was_asked()


def test_the_files_of_another_clone_say_nothing(dash: Stage) -> None:
    world = dash.world
    other = world.root / "other"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    tip = world.git("rev-parse", "origin/master")
    markers.tip(world.clone / ".git").write_text(f"{tip} {dash.memo.name}\n")
    (dash.memo / "protected").write_text(" refs/heads/none \n .\n")
    world.git("config", "core.hooksPath", dash.hook.parent, cwd=other)
    world.git("worktree", "add", "--quiet", "-b", "wt", world.root / "linked", cwd=other)
    for cwd in (other, world.root / "linked"):
        world.git("push", "--quiet", "origin", f"HEAD:{cwd.name}", cwd=cwd)
        assert dash.was_asked()
    world.git("push", "--quiet", "origin", "HEAD:mine")
    assert not dash.was_asked()


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", ["", "\n", "\0" * 40, " refs/heads/main \n", " refs/heads/main \n .", " refs/heads/main \n ", "x\n"], ids=repr
)
def test_names_that_are_not_all_that_were_written_let_nothing_pass(gated: World, damage: str) -> None:
    green = gated.commit({"good": "1"})
    assert gated.run("git", "push", "origin", "HEAD:master", check=False).returncode == 0
    gated.git("fetch", "--quiet")
    gated.run("git", "push", "origin", "HEAD:topic")
    (protected,) = gated.clone.glob(".git/homelab/gate/2/*/protected")
    assert protected.read_text().endswith(f"\n{markers.WHOLE}\n")
    red = gated.commit({"bad": "1"})
    for specs in ([f"{red}:master"], [f"{green}:other", f"{red}:master"]):
        protected.write_text(damage)
        assert gated.run("git", "push", "origin", *specs, check=False).returncode == 1 and gated.tip() == green, specs
