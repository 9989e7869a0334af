"""One hook id is one module, one program, one README heading and one test; one verb is one command with a tier and a help."""

import configparser
import re
import shlex

import pytest
import yaml

from homelab.commands.app import load
from homelab.commands.verbs import VERBS
from homelab.policy.found.tasks import OWN_HOOKS
from tests.support import ROOT
from tests.support.world import World

HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
COMMANDS = [verb for verb in VERBS if "--" not in verb]


def module(hook_id: str) -> str:
    return hook_id.replace("-", "_")


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def programs() -> dict[str, str]:
    rows = setup()["options.entry_points"]["console_scripts"].strip().splitlines()
    return {name.strip(): place.strip() for name, _, place in (row.partition("=") for row in rows)}


def test_every_folder_of_the_program_is_installed_with_its_files() -> None:
    """Nobody who works here would notice one that is left out: an editable install finds them all."""
    files = [path.relative_to(ROOT) for top in ("homelab", "hooks") for path in (ROOT / top).rglob("*") if path.is_file()]
    kept = [path for path in files if "__pycache__" not in path.parts]
    package = {path: ".".join(path.parent.parts).replace("hooks", "homelab_hooks") for path in kept}
    installed = setup()["options"]["packages"].split()
    assert installed == sorted(set(package.values()))
    data = {f"{name} {file}" for name, names in setup()["options.package_data"].items() for file in names.split()}
    assert data == {f"{package[path]} {path.name}" for path in kept if path.suffix != ".py"}


def test_every_hook_has_its_program_and_there_is_no_other() -> None:
    wanted = {f"homelab-{hook_id}": f"homelab_hooks.{module(hook_id)}:main" for hook_id in HOOKS}
    assert programs() == {"homelab": "homelab.cli:main", **wanted}
    assert {hook["entry"].split()[0] for hook in HOOKS.values()} == set(wanted)


def test_every_hook_has_its_module_and_there_is_no_other() -> None:
    modules = {path.stem for path in (ROOT / "hooks").glob("*.py")} - {"__init__"}
    assert modules == {module(hook_id) for hook_id in HOOKS}


@pytest.mark.parametrize("hook_id", HOOKS)
def test_every_hook_has_a_heading_and_a_test(hook_id: str) -> None:
    assert f"\n### {hook_id}\n" in (ROOT / "README.md").read_text()
    assert (ROOT / "tests/acceptance" / f"test_{module(hook_id)}.py").exists()


def test_a_hook_of_ours_is_no_evidence_that_a_tree_can_be_verified() -> None:
    assert set(HOOKS) <= OWN_HOOKS


@pytest.mark.parametrize("hook_id", HOOKS)
def test_every_hook_runs_in_its_own_environment_and_says_what_it_does(hook_id: str) -> None:
    hook = HOOKS[hook_id]
    assert hook["language"] == "python"
    assert hook["description"].endswith(".")
    assert set(hook["stages"]) <= {"pre-commit", "pre-push"}


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_is_a_command_with_a_help(verb: str) -> None:
    command = load(verb)
    assert (command.help or "").strip().split("\n")[0].endswith(".")


def test_every_verb_has_a_tier_and_one_line() -> None:
    assert {verb.tier for verb in VERBS.values()} <= {"read", "write"}
    assert all(verb.summary and "\n" not in verb.summary and not verb.summary.endswith(".") for verb in VERBS.values())


def test_the_manifest_lists_every_verb(world: World) -> None:
    answer = world.json("manifest")
    assert [row["command"] for row in answer] == list(VERBS)
    assert all({"command", "tier", "summary", "options", "arguments", "exit_codes"} <= set(row) for row in answer)
    land = next(row for row in answer if row["command"] == "work land")
    assert {"code": 5, "kind": "conflict"} in land["exit_codes"]
    assert next(one for one in land["options"] if "--verify-cmd" in one["names"])["takes"] == "CMD"
    assert next(one for one in land["options"] if "--no-verify" in one["names"])["takes"] is None
    start = next(row for row in answer if row["command"] == "work start")
    assert start["arguments"] == [{"name": "topic", "required": True, "many": False}]


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb not in ("agent-hook", "version")])
def test_every_verb_has_examples_that_can_be_parsed(verb: str) -> None:
    assert VERBS[verb].examples
    for example in VERBS[verb].examples:
        words = shlex.split(re.split(r"\)\"| \| ", example.partition("homelab ")[2])[0])
        assert words[: len(verb.split())] == verb.split(), example
        load(verb).make_context(verb, words[len(verb.split()) :])


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_answers_for_help(world: World, verb: str) -> None:
    done = world.homelab(*verb.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: homelab {verb}")
