"""The memo and Python say the same: whatever changes the rules, in every shell, a push ends as it does without a memo."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.install.test_shim import CHANGES, MORE_SHELLS, B
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
