import pytest

from homelab.errors import Failed
from homelab.git.repository import discover
from tests.support.world import World


def test_refs_are_found_among_more_names_than_a_list_of_arguments_holds(world: World) -> None:
    world.git("branch", "deep/er")
    repository = discover(world.clone)
    names = (f"refs/heads/{'x' * 60}/{number}" for number in range(40_000))
    found = repository.refs(*names, "refs/heads/master", "refs/heads/deep", "refs/remotes/origin/HEAD")
    head = world.git("rev-parse", "HEAD")
    assert found == {"refs/heads/master": (head, ""), "refs/remotes/origin/HEAD": (head, "refs/remotes/origin/master")}
    assert repository.refs() == {}


def test_refs_that_cannot_be_read_are_not_taken_for_none(world: World) -> None:
    (world.clone / ".git/packed-refs").write_text("# pack-refs with: peeled\nnonsense\n")
    with pytest.raises(Failed, match="cannot be read"):
        discover(world.clone).refs("refs/heads/master")
    done = world.homelab("hooks", "install")
    push = world.run("git", "push", "--quiet", "origin", "HEAD:refs/heads/feature", check=False)
    assert push.returncode and world.tip("refs/heads/feature") == "", done.stderr
