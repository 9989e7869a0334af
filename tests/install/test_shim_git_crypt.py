"""Where git-crypt may be used the shell hook hands every push to Python that might bring plaintext."""

from __future__ import annotations

import pytest

from homelab.gate import markers
from tests.support.shim_stage import ZERO, Stage, record


@pytest.mark.parametrize("name", [".gitattributes", "deep/er/.gitattributes"])
def test_whoever_touches_an_attribute_file_is_looked_at(stage: Stage, name: str) -> None:
    world = stage.world
    markers.plain(world.clone / ".git").write_text(world.git("rev-parse", "HEAD") + "\n")
    commit = world.commit({name: "x text\n", "deep/y": "1"})
    later = world.commit({"deep/y": "2"})
    world.git("rm", "--quiet", name)
    world.git("commit", "--quiet", "-m", "gone again")
    for new in (commit, later, world.git("rev-parse", "HEAD")):
        for env in ({}, {"GIT_LITERAL_PATHSPECS": "1"}):
            stage.push(record("refs/heads/feature") + record("refs/tags/x", new=new), env)
            assert stage.was_asked()


@pytest.mark.parametrize("content", [None, "", "-\n", "HEAD\n", "f" * 40 + "\n"])
def test_where_it_is_not_known_that_git_crypt_is_not_used_every_push_is_looked_at(stage: Stage, content: str | None) -> None:
    file = markers.plain(stage.world.clone / ".git")
    file.unlink() if content is None else file.write_text(content)
    stage.push(record("refs/heads/feature"))
    assert stage.was_asked()
    assert stage.push(record("refs/heads/feature", new=ZERO)).returncode == 0
    assert stage.was_asked() is (content in (None, ""))


def test_a_source_that_splits_its_record_is_looked_at(stage: Stage) -> None:
    stage.push(record("refs/heads/feature", source="a\nb"))
    assert stage.was_asked()


def test_a_new_commit_that_is_not_here_is_looked_at(stage: Stage) -> None:
    stage.push(record("refs/heads/feature", new="b" * 40))
    assert stage.was_asked()


def test_without_its_program_what_may_hold_secrets_stays_here(stage: Stage) -> None:
    world, plain = stage.world, markers.plain(stage.world.clone / ".git")
    stage.lose_python()
    assert stage.push(record("refs/tags/v1")).returncode == 0
    brings = world.commit({".gitattributes": "x text\n"})
    for what, new in {
        "an attribute file": brings,
        "no commit of this clone": "b" * 40,
        "a tree": world.git("mktree", input=""),
    }.items():
        done = stage.push(record("refs/tags/v1", new=new))
        assert (done.returncode, b"is gone" in done.stderr) == (1, True), what
    for content in ("-\n", "", "HEAD\n"):  # git-crypt is used, and: nobody knows
        plain.write_text(content)
        assert stage.push(record("refs/tags/v1")).returncode == 1, content
    assert stage.push(record("refs/tags/v1", new=ZERO)).returncode == 0  # a deletion brings nothing
