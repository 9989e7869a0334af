"""The first ten minutes in the layouts that people have: from `init` to a landed change, and never by `--no-verify`."""

from pathlib import Path

import pytest

from homelab.policy import config_file
from tests.support.layouts import LAYOUTS, STACKS, UNFORMATTED, Layout, infra, toolbox
from tests.support.needs import needs
from tests.support.world import World, build


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH without the programs whose absence is looked at."""
    return toolbox(tmp_path_factory.mktemp("tools") / "bin")


def settled(root: Path, path: str, layout: Layout) -> World:
    """Return a world whose target has the layout's files and no `homelab.toml`."""
    world = build(root, layout.files)
    world.env["PATH"] = path
    if layout.executable:
        world.git("update-index", "--chmod=+x", *layout.executable)
        world.git("commit", "--quiet", "-m", "may be run")
        world.git("reset", "--quiet", "--hard")
        world.git("push", "--quiet", "origin", "master")
    return world


def next_command(words: str, layout: Layout) -> str:
    """Return the command that `init` names next, with the person's own for COMMAND where nothing is in force."""
    if layout.said:
        assert "nothing can land by it yet" in words
        way = next(line for line in words.splitlines() if "COMMAND" in line and "[[suite]]" in line)
        return way.partition("hint:   ")[2].replace("COMMAND", layout.said)
    return next(line for line in words.splitlines() if "next: " in line).partition("next: ")[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(each, marks=list(map(needs, LAYOUTS[each].needs))) for each in LAYOUTS])
def test_a_repository_comes_from_init_to_a_landed_change(tmp_path: Path, path: str, name: str) -> None:
    layout = LAYOUTS[name]
    world = settled(tmp_path, path, layout)

    begun = world.homelab("init", "--yes", timeout=120)
    assert begun.returncode == 0, begun.stderr
    file = world.clone / "homelab.toml"
    assert [suite.name for suite in config_file.parse(file.read_bytes()).suites] == ([] if layout.said else [*layout.suites]), (
        file.read_text() + begun.stderr
    )
    for suite, reason in layout.off.items():
        stanza = file.read_text().partition(f'# name = "{suite}"')[0].rpartition("\n\n")[2]
        assert "Switched off: " in stanza and reason in " ".join(stanza.replace("\n# ", " ").split()), (suite, file.read_text())
    for words in layout.told:
        assert words in begun.stderr
    assert not [words for words in layout.unwritten if words in file.read_text()]

    saving, push = next_command(begun.stderr, layout).rsplit(" && ", 1)
    world.run("sh", "-c", saving)
    verified = world.json("verify", timeout=120)
    assert verified["ok"], verified
    # What was detected before binds the first file too, where it is green on the target.
    assert {suite["name"] for suite in verified["suites"]} >= {*layout.suites}
    world.run("sh", "-c", push)
    assert world.tip() == world.git("rev-parse", "HEAD") == verified["commit"]
    again = world.homelab("init")
    assert ("next:" in again.stderr, "in force on origin/master" in again.stderr) == (False, True)

    worktree = Path(world.homelab("work", "start", "change").stdout.strip())
    world.commit(layout.change, cwd=worktree)
    landed = world.json("work", "land", cwd=worktree, timeout=120)
    assert (landed.get("error"), landed["status"], world.tip()) == (None, "landed", landed["pushed"])
    results = {label(suite): suite["result"] for suite in landed["suites"]}
    there = dict.fromkeys(layout.ran, "passed") | dict.fromkeys(layout.red, "red-before")
    assert results == dict.fromkeys(results, "cached") | there


def label(suite: dict[str, str]) -> str:
    """Return a run's name, with its folder where the suite runs in many."""
    return suite["name"] if suite["dir"] == "." else f"{suite['name']} ({suite['dir']})"


@pytest.mark.slow
@pytest.mark.timeout(600)
@needs("git-crypt")
@needs("terraform")
def test_the_owners_repository_comes_from_a_clone_to_a_landed_change_in_five_commands(tmp_path: Path, path: str) -> None:
    world = build(tmp_path, {"README.md": ""})
    world.env["PATH"] = path
    world.run("git-crypt", "init")
    world.commit(infra(), "all of it")
    world.git("push", "--quiet", "origin", "master")
    clone = world.root / "owner"

    world.git("clone", "--quiet", world.remote, clone, cwd=world.root)  # locked, as all but one are
    begun = world.homelab("init", "--yes", cwd=clone, timeout=400)
    assert begun.returncode == 0, begun.stderr
    assert "apply" not in (clone / "homelab.toml").read_text()
    world.run("sh", "-c", next_command(begun.stderr, Layout({}, (), {}, ())), cwd=clone, timeout=120)
    worktree = Path(world.homelab("work", "start", "dns", cwd=clone).stdout.strip())
    stack = "stacks/s100"
    world.commit({f"{stack}/main.tf": str(infra()[f"{stack}/main.tf"]) + "# mine\n"}, cwd=worktree)
    landed = world.json("work", "land", cwd=worktree, timeout=120)

    assert (landed.get("error"), landed["status"], world.tip()) == (None, "landed", landed["pushed"])
    results = {label(suite): suite["result"] for suite in landed["suites"]}
    red = {f"stack (stacks/s{n:03})": "red-before" for n in range(UNFORMATTED)}
    stacks = {f"stack (stacks/s{n:03})": "cached" for n in range(STACKS)}
    rest = {"service (modules/service)": "cached", "audit (tools/audit)": "cached"}
    assert results == rest | stacks | red | {f"stack ({stack})": "passed"}
    assert "hunter2" not in world.git("show", "master:config.tfvars", cwd=world.remote)
