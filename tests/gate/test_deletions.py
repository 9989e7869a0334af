"""What counts as deleted: a path that is gone and whose content is nowhere new."""

import pytest

from homelab.gate import deletions
from homelab.git.repository import discover
from tests.support.world import World

FULL = {f"stacks/s{n:02}/main.tf": f"{n}\n" for n in range(40)}
SAME = {f"stacks/s{n:02}/main.tf": "the same\n" for n in range(40)}


def without(files: dict[str, str], count: int) -> dict[str, str]:
    return dict(list(files.items())[count:])


@pytest.mark.parametrize(
    ("before", "after", "percent", "deleted"),
    [
        pytest.param(FULL, without(FULL, 20), 50, None, id="exactly the limit"),
        pytest.param(FULL, without(FULL, 21), 50, 21, id="one more than the limit"),
        pytest.param(FULL, {}, 50, 40, id="everything"),
        pytest.param(FULL, {}, 100, None, id="everything, and no limit"),
        pytest.param(FULL, without(FULL, 1), 0, 1, id="nothing may go"),
        pytest.param(FULL, {f"new/{name}": text for name, text in FULL.items()}, 0, None, id="a folder moved"),
        pytest.param(FULL, {name: f"new {text}" for name, text in FULL.items()}, 0, None, id="all changed"),
        pytest.param(SAME, without(SAME, 30), 50, 30, id="one content in many files"),
        pytest.param(SAME, {"one/main.tf": "the same\n"}, 50, 39, id="of many files with one content one moved"),
        pytest.param(FULL, {"stacks": "a file\n"}, 50, 40, id="a folder became a file"),
        pytest.param(without(FULL, 21), {}, 50, None, id="a tree of nineteen files"),
        pytest.param(without(FULL, 20), {}, 50, 20, id="a tree of twenty files"),
    ],
)
def test_what_is_deleted_is_told_apart_from_what_is_moved(
    world: World, before: dict[str, str], after: dict[str, str], percent: int, deleted: int | None
) -> None:
    def tree(files: dict[str, str]) -> str:
        world.git("rm", "-rq", "--cached", "--ignore-unmatch", ".")
        for name in world.clone.iterdir():
            if name.name != ".git":
                world.run("rm", "-r", name)
        world.write(files)
        world.git("add", "--all")
        return world.git("write-tree")

    old, new = tree(before), tree(after)
    found = deletions.excess(discover(world.clone).objects, old, new, percent)
    assert (found and found.deleted) == deleted
    assert found is None or found.files == len(before)
