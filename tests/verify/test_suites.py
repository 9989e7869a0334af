"""Keys: what changes them, and what does not."""

from collections.abc import Callable

import pytest

from homelab.git.repository import discover
from homelab.policy import config_file
from homelab.policy.config import Config, Suite, Verify
from homelab.policy.policy import Policy
from homelab.verify import suites
from tests.support.world import World


def keys(world: World, suite: Suite, verify: Verify | None = None, rev: str = "HEAD") -> list[str]:
    repository = discover(world.clone)
    tree = world.git("rev-parse", f"{rev}^{{tree}}")
    found = Policy(Config(verify=verify or Verify(), suites=(suite,)), "test", None)
    return [run.key for run in suites.demand(repository.objects, tree, [found], "").runs]


@pytest.fixture
def stacks(world: World) -> World:
    world.commit({"stacks/a/main.tf": "a", "stacks/b/main.tf": "b", "modules/m": "m", "docs/d": "d", "stacks/.hidden/f": "h"})
    return world


SCOPED = Suite("s", "true", inputs=("modules",))


@pytest.mark.parametrize(
    "other",
    [
        Suite("s", "true ", inputs=("modules",)),
        Suite("s", "true", dir="modules", inputs=("modules",)),
        Suite("s", "true", inputs=("modules", "docs")),
        Suite("s", "true", inputs=("modules",), env=("SOME",)),
        Suite("s", "true"),
    ],
)
def test_another_command_folder_input_or_variable_is_another_key(stacks: World, other: Suite) -> None:
    assert keys(stacks, SCOPED) != keys(stacks, other)


def test_a_name_a_timeout_and_retries_decide_nothing(stacks: World) -> None:
    assert keys(stacks, SCOPED) == keys(stacks, Suite("t", "true", inputs=("modules",), timeout=1, retries=3))


def test_the_value_of_a_variable_is_part_of_the_key(stacks: World, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Suite("s", "true", env=("SOME",))
    monkeypatch.setenv("SOME", "1")
    one = keys(stacks, suite)
    monkeypatch.setenv("SOME", "2")
    assert one != keys(stacks, suite) != keys(stacks, Suite("s", "true"))


def test_what_prepares_the_checkout_is_part_of_the_key(stacks: World) -> None:
    one = keys(stacks, SCOPED, Verify(prepare="true", prepare_inputs=("docs",)))
    assert one != keys(stacks, SCOPED)
    stacks.commit({"docs/d": "changed"})
    assert one != keys(stacks, SCOPED, Verify(prepare="true", prepare_inputs=("docs",)))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda w: w.commit({"docs/d": "2"}), True),
        (lambda w: w.git("commit", "--quiet", "--amend", "-m", "other words"), True),
        (lambda w: w.commit({"modules/m": "2"}), False),
        (lambda w: w.commit({".gitattributes": "* text\n"}), False),
        (lambda w: w.commit({"stacks/.gitattributes": "* text\n"}), True),
    ],
)
def test_only_what_decides_the_result_changes_the_key(stacks: World, change: Callable[[World], object], same: bool) -> None:
    before = keys(stacks, SCOPED)
    change(stacks)
    assert (keys(stacks, SCOPED) == before) is same


def test_a_mode_is_content(stacks: World) -> None:
    before = keys(stacks, SCOPED)
    stacks.git("update-index", "--chmod=+x", "modules/m")
    stacks.git("commit", "--quiet", "-m", "mode")
    assert keys(stacks, SCOPED) != before


@pytest.mark.parametrize(
    ("links", "inputs"),
    [
        ({"modules/l": "../docs/d"}, ("modules",)),
        ({"modules/l": "../docs"}, ("modules",)),
        ({"l": "docs"}, ("l",)),
        ({"modules/l": "../one", "one": "./two", "two": "docs/d"}, ("modules",)),
        ({"modules/l": "../modules", "modules/m2": "../docs/d"}, ("modules/l",)),
        ({"modules/up": "../docs/deep", "modules/l": "up/../d"}, ("modules",)),  # beside deep, not beside up
        ({"up": "docs/deep", "modules/l": "../up/../d"}, ("modules",)),
        ({"modules/l": "../docs/d", "modules/loop": "loop", "modules/out": "../../x", "modules/root": "/"}, ("modules",)),
        ({}, ("docs",)),
    ],
)
def test_a_link_counts_with_what_it_points_at(stacks: World, links: dict[str, str], inputs: tuple[str, ...]) -> None:
    stacks.commit({"docs/deep/x": "x"})
    for name, target in links.items():
        (stacks.clone / name).symlink_to(target)
        stacks.git("add", name)
    suite = Suite("s", "true", inputs=inputs)
    stacks.git("commit", "--quiet", "--allow-empty", "-m", "links")
    before = keys(stacks, suite)
    stacks.commit({"stacks/a/main.tf": "elsewhere"})
    assert keys(stacks, suite) == before
    stacks.commit({"docs/d": "changed"})
    assert keys(stacks, suite) != before


@pytest.mark.parametrize("file", ["docs/.gitattributes", ".gitattributes", ".lfsconfig"])
@pytest.mark.parametrize(
    ("suite", "verify"),
    [
        (Suite("s", "true", inputs=("stacks/l",)), Verify()),
        (Suite("s", "true", inputs=("modules",)), Verify(prepare="true", prepare_inputs=("docs/d",))),
        (Suite("s", "", inputs=("docs/d",), ci="ci/*"), Verify()),
    ],
    ids=["a link's end", "what prepares", "for CI"],
)
def test_what_decides_how_an_input_looks_is_part_of_the_key(stacks: World, suite: Suite, verify: Verify, file: str) -> None:
    (stacks.clone / "stacks/l").symlink_to("../docs/d")
    stacks.git("add", "stacks/l")
    stacks.commit({"docs/e/x": ""})
    before = keys(stacks, suite, verify)
    stacks.commit({"docs/e/.gitattributes": "* text\n"})
    assert keys(stacks, suite, verify) == before
    stacks.commit({file: "# d eol=crlf\n"})
    assert keys(stacks, suite, verify) != before


def test_an_input_of_what_prepares_that_is_missing_is_named_and_all_of_the_tree_decides(stacks: World) -> None:
    misspelt = Verify(prepare="true", prepare_inputs=("docs/d", "docs/b"))
    before = keys(stacks, SCOPED, misspelt)
    found = Policy(Config(verify=misspelt, suites=(SCOPED,)), "test", None)
    [note] = suites.demand(discover(stacks.clone).objects, stacks.git("rev-parse", "HEAD^{tree}"), [found], "").notes
    assert "docs/b, which is not there" in note
    stacks.commit({"elsewhere": "1"})
    assert keys(stacks, SCOPED, misspelt) != before


def test_a_folder_to_run_in_and_what_prepares_without_inputs_are_inputs(stacks: World) -> None:
    there = Suite("s", "true", dir="docs", inputs=("modules",))
    anything = Verify(prepare="true")
    before = keys(stacks, there), keys(stacks, SCOPED, anything)
    stacks.commit({"docs/d": "changed"})
    assert keys(stacks, there) != before[0] and keys(stacks, SCOPED, anything) != before[1]


def test_what_tools_print_and_which_filters_run_is_part_of_the_key(stacks: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", stacks.env["HOME"])
    version = stacks.root / "version"
    version.write_text("1\n")
    tools = Verify(tools=(f"cat {version}",))
    before = keys(stacks, SCOPED, tools)
    version.write_text("2\n")
    suites.printed.cache_clear()  # asked once by a process
    assert keys(stacks, SCOPED, tools) != before
    seen = [suites.filters(discover(stacks.clone).settings())]
    for args in (
        ("filter.lfs.smudge", "git-lfs smudge --skip -- %f"), ("lfs.fetchexclude", "*.bin"),
        ("--global", "lfs.fetchexclude", "*.iso"), ("--global", "filter.own.smudge", "cat"),
    ):  # fmt: skip
        stacks.git("config", *args)
        seen.append(suites.filters(discover(stacks.clone).settings()))
    assert len(set(seen)) == 5, "what a checkout of ours runs"
    stacks.git("config", "filter.own.smudge", "tr a b")
    assert suites.filters(discover(stacks.clone).settings()) == seen[-1], "and what it does not"


def test_each_matching_folder_is_a_run_of_its_own(stacks: World) -> None:
    suite = Suite("s", "true", each="stacks/*", inputs=("modules",))
    a, b = keys(stacks, suite)
    stacks.commit({"stacks/b/main.tf": "changed"})
    a2, b2 = keys(stacks, suite)
    assert a == a2 and b != b2
    stacks.commit({"modules/m": "changed"})
    assert {a2, b2}.isdisjoint(keys(stacks, suite))
    assert keys(stacks, Suite("s", "true", each="nothing/*")) == []


def test_an_input_that_is_missing_is_named_and_its_coming_changes_the_key(stacks: World) -> None:
    repository = discover(stacks.clone)
    suite = Suite("s", "true", inputs=("modlues",))
    found = Policy(Config(suites=(suite,)), "test", None)
    tree = stacks.git("rev-parse", "HEAD^{tree}")
    [run] = suites.demand(repository.objects, tree, [found], "").runs
    assert run.missing == ("modlues",)
    stacks.commit({"elsewhere": "1"})
    whole = keys(stacks, suite)
    assert whole != [run.key]  # until it is there the whole tree decides
    stacks.commit({"modlues": "now"})
    assert keys(stacks, suite) != whole


@pytest.mark.parametrize("pattern", ["stacks/*/", "./stacks/*", "stacks//*"])
def test_a_pattern_of_folders_may_be_written_in_any_way(stacks: World, pattern: str) -> None:
    suite = config_file.parse(f'[[suite]]\nname = "s"\nrun = "true"\neach = "{pattern}"\n'.encode()).suites[0]
    assert len(keys(stacks, suite)) == 2


def test_a_branch_may_be_named_as_a_whole_ref() -> None:
    gate = config_file.parse(b'[gate]\ntarget = "refs/heads/main"\nprotect = ["refs/heads/release/*"]\n').gate
    assert gate.target == "main" and gate.protect == ("release/*",)
