"""What a tree shows by itself, on real trees; and what runners say when they ran nothing."""

import os
import shutil

import pytest

from homelab.git.objects import Objects
from homelab.git.repository import discover
from homelab.policy import policy
from homelab.policy.detect import detect
from homelab.policy.found.python import PYTEST
from homelab.policy.targets import just_recipes, make_targets
from homelab.verify.no_tests import ran_nothing
from tests.support.world import BIN, World

RULE = "test:\n\ttrue\n"
PRE_COMMIT = "repos:\n- repo: https://example.org/x\n  rev: v1\n  hooks:\n  - id: {}\n"
NEEDS = '{"scripts": {"test": "node --test"}, "devDependencies": {"a": "1"}}'
NPM = '{"scripts": {"test": "node --test"}}'


def found(world: World, files: dict[str, str | bytes]) -> dict[str, str]:
    """Return name and command of what is detected in a commit of nothing but these files."""
    world.git("rm", "-rq", "--cached", ".")
    world.git("clean", "-fdxq")
    commit = world.commit(files)
    objects = Objects(world.clone / ".git")
    suites = detect(objects, objects.commit(commit).tree).suites
    assert all(suite.detected for suite in suites)
    return {suite.name: suite.run for suite in suites}


@pytest.mark.parametrize(
    ("files", "suites"),
    [
        ({"go.mod": "module x\n"}, {"go": "go test ./..."}),
        ({"Cargo.toml": "[package]\n"}, {"cargo": "cargo test"}),
        ({"package.json": NPM}, {"npm": "npm test"}),
        ({"noxfile.py": "import nox\n"}, {"nox": "nox"}),
        ({"tox.ini": "[tox]\n"}, {"tox": "tox"}),
        ({"tox.ini": "[testenv:py]\n"}, {"tox": "tox"}),
        ({"pyproject.toml": "", "tests/test_a.py": ""}, {"pytest": PYTEST}),
        ({"setup.cfg": "", "tests/unit/__init__.py": ""}, {"pytest": PYTEST}),
        ({"setup.py": "", "test_a.py": ""}, {"pytest": PYTEST}),
        ({"pytest.ini": "", "src/x/a_test.py": ""}, {"pytest": PYTEST}),
        ({"Makefile": RULE}, {"make": "make test"}),
        ({"GNUmakefile": "check: lint\n"}, {"make": "make check"}),
        ({"justfile": RULE}, {"just": "just test"}),
        ({".justfile": "@check:\n  true\n"}, {"just": "just check"}),
        ({"Justfile": "alias test := t\nt:\n  true\n"}, {"just": "just test"}),
        ({".pre-commit-config.yaml": PRE_COMMIT.format("ruff")}, {"pre-commit": "pre-commit run --all-files"}),
        ({"tox.toml": ""}, {"tox": "tox"}),
        ({"pyproject.toml": "[tool.tox]\n", "tests/test_a.py": ""}, {"tox": "tox"}),
        ({"setup.cfg": "[tox:tox]\n"}, {"tox": "tox"}),
        ({"pyproject.toml": "", "uv.lock": "", "tests/test_a.py": ""}, {"pytest": "uv run pytest"}),
        ({"pyproject.toml": "[tool.hatch.envs.hatch-test]\n", "tests/test_a.py": ""}, {"pytest": "hatch test"}),
        ({"package.json": NPM, "pnpm-lock.yaml": ""}, {"pnpm": "pnpm test"}),
        ({"Taskfile.yml": "tasks: {test: {cmds: ['true']}}\n"}, {"task": "task test"}),
        ({"mise.toml": "[tasks.check]\nrun = 'true'\n"}, {"mise": "mise run check"}),
        ({"prek.toml": "[[repos]]\nrepo = 'x'\n[[repos.hooks]]\nid = 'ruff'\n"}, {"prek": "prek run --all-files"}),
        (
            {"lefthook.yml": "pre-commit: {commands: {a: {run: yamllint .}}}\n"},
            {"lefthook": "lefthook run pre-commit --all-files"},
        ),
        ({".config/wt.toml": "[pre-merge]\nlint = 'yamllint .'\n"}, {"lint": "yamllint ."}),
    ],
)  # fmt: skip
def test_a_tree_shows_its_suite(world: World, files: dict[str, str | bytes], suites: dict[str, str]) -> None:
    assert found(world, files) == suites


@pytest.mark.parametrize(
    "files",
    [
        {"README": "hello"},
        {"sub/go.mod": "module x\n", "sub/Makefile": RULE, "sub/package.json": NPM},
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        {"package.json": '{"scripts": {"test": "  "}}'},
        {"package.json": '{"scripts": []}'},
        {"package.json": "[]"},
        {"package.json": "[" * 200_000},
        {"package.json": b'{"scripts": {"test": "\xff\x00\xfe"}}'},
        {"package.json": " " * (2 << 20)},
        {"tox.ini": "[flake8]\nmax-line-length = 100\n"},
        {"pyproject.toml": "", "src/x/a.py": ""},
        {"pyproject.toml": "", "node_modules/x/test_a.py": "", ".hidden/test_a.py": ""},
        {"pyproject.toml": "", "tests/run.sh": ""},
        {"tests/test_a.py": ""},
        {"Makefile": ".PHONY: test\nbuild:\n\ttrue\n"},
        {"Makefile": "test := yes\ncheck = no\ntest ::= x\ncheck ?= y\n"},
        {"Makefile": "test: FLAGS := -v\nall:\n"},
        {"Makefile": b"\x00\xff" * 1000},
        {"Makefile": " " * (1 << 19)},
        {"makefile": "all:\n\ttrue\n", "Makefile": RULE},
        {"justfile": "test := 'x'\n"},
        {"justfile": "test name:\n  true\n"},
        {"Makefile": "test: ship\nship:\n\tkubectl apply -f .\n"},
        {"Makefile": "export KUBECONFIG = x\ntest:\n\tgo test ./...\n"},
        {"package.json": '{"scripts": {"test": "npm publish"}}'},
        {"bin/test": "x"},
        {"Taskfile.yml": "tasks: [\n", "mise.toml": "[[["},
        {".pre-commit-config.yaml": PRE_COMMIT.format("verified-push")},
        {".pre-commit-config.yaml": PRE_COMMIT.format("lint") + "    stages: [pre-push]\n"},
        {".pre-commit-config.yaml": PRE_COMMIT.format("lint") + "default_stages: [commit-msg]\n"},
        {".pre-commit-config.yaml": "repos: [{hooks: [3]}, 4, {hooks: 5}]\n"},
        {".pre-commit-config.yaml": "a: [\n"},
        {".pre-commit-config.yaml": "!!python/object/apply:os.system [false]\n"},
        {".pre-commit-config.yaml": "[" * 20_000},
        {".pre-commit-config.yaml": b"\xff\xfe\x00"},
    ],
    ids=lambda files: " ".join(files)[:40],
)  # fmt: skip
def test_what_is_no_evidence_shows_nothing(world: World, files: dict[str, str | bytes]) -> None:
    assert found(world, files) == {}


def test_a_script_that_can_be_run_is_an_answer(world: World) -> None:
    for name in ("bin/test", "script/test"):
        world.git("rm", "-rq", "--cached", ".")
        world.git("clean", "-fdxq")
        world.write({name: "#!/bin/sh\ntrue\n"})
        (world.clone / name).chmod(0o755)
        objects = discover(world.clone).objects
        suites = detect(objects, objects.commit(world.commit({"README": name})).tree).suites
        assert suites == ()  # it is not tracked yet
        world.git("add", name)
        suites = detect(objects, objects.commit(world.commit({"README": ""})).tree).suites
        assert [suite.run for suite in suites] == [name]


@pytest.mark.parametrize(
    ("files", "prepare", "inputs", "caches"),
    [
        ({"package.json": NPM}, None, (), ()),
        (
            {"package.json": NEEDS, "package-lock.json": "{}"},
            "npm ci", ("package.json", "package-lock.json"), ("node_modules",),
        ),
        ({"package.json": NEEDS}, "npm install --no-package-lock", ("package.json",), ("node_modules",)),
        (
            {"package.json": NEEDS, "pnpm-lock.yaml": "", ".npmrc": ""},
            "pnpm install --frozen-lockfile", ("package.json", "pnpm-lock.yaml", ".npmrc"), ("node_modules",),
        ),
        (
            {"package.json": NEEDS, "package-lock.json": "{}", "Makefile": "test:\n\tnpm test\n"},
            "npm ci", ("package.json", "package-lock.json"), ("node_modules",),
        ),
        ({"tox.toml": ""}, None, (), ()),
    ],
)  # fmt: skip
def test_a_checkout_is_prepared_as_init_would_write_it(
    world: World, files: dict[str, str | bytes], prepare: str | None, inputs: tuple[str, ...], caches: tuple[str, ...]
) -> None:
    world.git("rm", "-rq", "--cached", ".")
    objects = discover(world.clone).objects
    read = policy.read(objects, objects.commit(world.commit(files)).tree).config.verify
    assert (read.prepare, read.prepare_inputs, read.caches) == (prepare, inputs, caches)


def test_several_languages_all_run(world: World) -> None:
    files: dict[str, str | bytes] = {
        "go.mod": "module x\n", "Cargo.toml": "", "package.json": NPM, "pyproject.toml": "", "tests/test_a.py": "",
        ".pre-commit-config.yaml": PRE_COMMIT.format("ruff"), "Makefile": "build:\n\ttrue\n",
    }  # fmt: skip
    assert list(found(world, files)) == ["go", "cargo", "npm", "pytest", "pre-commit"]


def test_nox_or_tox_stand_for_pytest(world: World) -> None:
    files: dict[str, str | bytes] = {"pyproject.toml": "", "tests/test_a.py": "", "noxfile.py": "", "tox.ini": "[tox]\n"}
    assert list(found(world, files)) == ["nox", "tox"]


def test_an_explicit_target_stands_alone(world: World) -> None:
    files: dict[str, str | bytes] = {
        "go.mod": "module x\n", "package.json": NPM, ".pre-commit-config.yaml": PRE_COMMIT.format("ruff"),
        "Makefile": "check:\n\ttrue\ntest:\n\ttrue\n", "justfile": "check:\n  true\n",
    }  # fmt: skip
    assert found(world, files) == {"make": "make test", "just": "just check"}


def test_links_and_folders_of_that_name_are_no_evidence(world: World) -> None:
    (world.clone / "go.mod").symlink_to("README")
    world.write({"Makefile/x": "", "package.json/x": "", ".pre-commit-config.yaml/x": "", "justfile/x": ""})
    assert found(world, {"go.mod/x": "", "Makefile/test": RULE, "package.json/x": "{}", "tox.ini/y": "[tox]\n"}) == {}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("test check: a b\n\ttrue\n", {"test", "check"}),
        ("test::\n\ttrue\n", {"test"}),
        ("a b &: c\n", {"a", "b"}),
        ("test: ; FOO=1 ./run\n", {"test"}),
        ("test: $(SOURCES:.c=.o)\n", {"test"}),
        ("\\\n  test: a\n", {"test"}),
        ("all:\n\ttest: not a rule\n", {"all"}),
        ("define X\ntest:\nendef\nreal:\n", {"real"}),
        ("# test: x\nurl = http://x\n", set()),
    ],
)
def test_rules_of_a_makefile_are_what_make_would_run(text: str, rules: set[str]) -> None:
    assert make_targets(text).keys() == rules


@pytest.mark.parametrize(
    "text",
    [
        "test: a b\na b:\n\ttrue\n", "test::\n\ttrue\n", "x test &: \n\ttrue\n", "test: ; FOO=1 true\n", "\\\n test:\n\ttrue\n",
        "S = a.c\ntest: $(S:.c=.o)\n%.o:\n\ttrue\n", ".PHONY: test\nall:\n", "test := yes\nall:\n", "test ::= x\nall:\n",
        "test: FLAGS := -v\nall:\n", "define X\ntest:\n\ttrue\nendef\nall:\n", "all:\n\techo test: no\n", "# test:\nall:\n",
        "ifdef NO\nelse\ntest:\n\ttrue\nendif\n", "all: ; true\nexport test = 1\n",
    ],
)  # fmt: skip
def test_make_agrees_about_its_rules(world: World, text: str) -> None:
    world.write({"Makefile": text})
    done = world.run("make", "-n", "test", check=False)
    # Without a rule make may still find the name in .PHONY or a variable of it, and has nothing to do.
    has_rule = done.returncode == 0 and "Nothing to be done" not in done.stdout
    assert ("test" in make_targets(text)) is has_rule


@pytest.mark.parametrize(
    ("text", "recipes"),
    [
        ("test *args: build\n  x\n", {"test"}),
        ("@test url='http://x' n=\"1\":\n  x\n", {"test"}),
        ("test a b='x':\n  x\n", set()),
        ("[group('ci')]\ntest:\n  check: no\n", {"test"}),
        ("set shell := ['sh']\nexport test := '1'\n", set()),
    ],
)
def test_recipes_of_a_justfile_are_those_that_need_no_argument(text: str, recipes: set[str]) -> None:
    assert just_recipes(text) == recipes


EMPTY_CARGO = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n"
SKIPPED = "check yaml......................................(no files to check)Skipped\n"


@pytest.mark.parametrize(
    ("run", "log", "code"),
    [
        (PYTEST, "", 5),
        (PYTEST, "collected 0 items\n\n===== no tests ran in 0.01s =====\n", 5),
        (PYTEST, "\x1b[33m=== \x1b[33mno tests ran\x1b[0m in 0.01s ===\n", 5),
        (PYTEST, "\n1 deselected in 0.00s\n", 5),
        (PYTEST, "collected 1 item\n\n==== 1 skipped, 1 warning in 0.00s ====\n", 0),
        ("make test", "no tests ran in 0.0s\nmake: *** [Makefile:3: check] Error 5\n", 2),
        ("just test", "no tests ran in 0.0s\nerror: Recipe `test` failed on line 2 with exit code 5\n", 5),
        ("nox", "no tests ran in 0.0s\nnox > Command python -m pytest failed with exit code 5\n", 1),
        ("nox", "nox > No sessions found in /x/noxfile.py.\n", 3),
        ("nox", "No sessions selected. Please select a session with -s <session name>.\n", 0),
        ("tox", "  py: OK (0.24 seconds)\n  congratulations :) (0.26 seconds)\n", 0),
        ("go test ./...", "?   \tx/a\t[no test files]\n?   \tx/b\t[no test files]\n", 0),
        ("go test ./...", "ok  \tx/a\t0.002s [no tests to run]\n", 0),
        ("go test ./...", 'go: warning: "./..." matched no packages\nno packages to test\n', 0),
        ("cargo test", EMPTY_CARGO * 2, 0),
        ("npm test", "TAP version 13\n1..0\n# tests 0\n# suites 0\n# pass 0\n# fail 0\n", 0),
        ("npm test", "\u2139 tests 0\n\u2139 pass 0\n", 0),
        ("npm test", "No tests found, exiting with code 0\n", 0),
        ("npm test", "\n  0 passing (1ms)\n", 0),
        ("make test", "make: 'test' is up to date.\n", 0),
        ("make test", "make: Nothing to be done for 'test'.\n", 0),
        ("make test", "python -m unittest\n\nRan 0 tests in 0.000s\n\nOK\n", 0),
        ("make test", "python -m unittest\n\nRan 0 tests in 0.000s\n\nNO TESTS RAN\nmake: *** [test] Error 5\n", 2),
        ("pre-commit run --all-files", SKIPPED * 2, 0),
        ("pre-commit run --all-files", "", 0),
    ],
)
def test_a_suite_that_ran_no_test_is_seen(run: str, log: str, code: int) -> None:
    assert ran_nothing(run, log, code)


@pytest.mark.parametrize(
    ("run", "log", "code"),
    [
        (PYTEST, "...\n3 passed in 0.01s\n", 0),
        (PYTEST, "collected 0 items / 1 error\n=== 1 error in 0.07s ===\n", 2),
        (PYTEST, "1 failed, 2 deselected in 0.01s\n", 1),
        ("go test ./...", "?   \tx/a\t[no test files]\nok  \tx/b\t0.002s\n", 0),
        ("go test ./...", "ok  \tx/b\t(cached)\n?   \tx/a\t[no test files]\n", 0),
        ("go test ./...", "?   \tx/a\t[no test files]\nFAIL\tx/b [build failed]\n", 1),
        ("cargo test", "running 2 tests\ntest result: ok. 2 passed; 0 failed\n" + EMPTY_CARGO, 0),
        ("npm test", "Tests:       1 failed, 2 skipped, 12 passed, 15 total\n", 1),
        ("npm test", " Tests  5 passed (5)\n", 0),
        ("npm test", "# tests 3\n# pass 3\n# fail 0\n", 0),
        ("npm test", "", 0),
        ("npm test", "sh: 1: jest: not found\n", 127),
        ("make test", "make[1]: Nothing to be done for 'all'.\nchecking\nfine\n", 0),
        ("make test", "./run\n", 0),
        ("make check", "no tests ran in 0.0s\nruff: error\nmake: *** [check] Error 1\n", 2),
        ("tox", "py: commands[0]> ./run\n  py: OK\n  congratulations :)\n", 0),
        ("pre-commit run --all-files", SKIPPED + "ruff....................................Passed\n", 0),
        ("pre-commit run --all-files", "ruff....................................Failed\n", 1),
    ],
)
def test_a_suite_that_ran_something_or_failed_is_told_as_it_is(run: str, log: str, code: int) -> None:
    assert not ran_nothing(run, log, code)


@pytest.mark.parametrize("filler", [".", " ", "\n", "1", "1 passed ", "make: ", "ok ", "/", "---", "passed"])
@pytest.mark.parametrize("start", ["", "ok ", "test result: ", "Tests: ", "1 skipped "])
@pytest.mark.timeout(60)  # a pattern that backtracks takes hours over these
def test_a_log_without_end_is_read_to_its_end(start: str, filler: str) -> None:
    ran_nothing("make test", start + filler * (200_000 // len(filler)), 0)


def really(world: World, command: str) -> bool:
    """Run a suite's command for real in the clone, and tell whether it is seen to have run nothing."""
    done = world.run("sh", "-c", f"exec 2>&1; {command}", check=False)
    return ran_nothing(command, done.stdout, done.returncode)


def test_make_that_finds_a_folder_called_test_has_run_nothing(world: World) -> None:
    world.write({"test/x": "", "Makefile": "test:\n\techo tested\n"})
    assert really(world, "make test")
    world.write({"Makefile": ".PHONY: test\ntest:\n\techo tested\n"})
    assert not really(world, "make test")


@pytest.mark.slow
def test_pytest_without_a_test_has_run_nothing(world: World) -> None:
    world.write({"tests/test_a.py": "", "Makefile": "test:\n\t@python -m pytest -p no:hypothesispytest tests\n"})
    assert really(world, "make test")
    world.write({"tests/test_a.py": "def test_a(): pass\n"})
    assert not really(world, "make test")


@pytest.mark.slow
def test_pytest_that_skips_all_has_run_nothing_and_a_broken_one_is_red(world: World) -> None:
    world.write({"tests/test_a.py": "import pytest\n\n@pytest.mark.skip\ndef test_a(): pass\n"})
    assert really(world, PYTEST)
    world.write({"tests/test_a.py": "import there_is_no_such_thing\n"})
    assert not really(world, PYTEST)


def test_unittest_without_a_test_has_run_nothing(world: World) -> None:
    command = "make check"
    world.write({"Makefile": "check:\n\tpython -m unittest\n", "test_a.py": ""})
    assert really(world, command)
    world.write({"test_a.py": "import unittest\nclass A(unittest.TestCase):\n  def test_a(self): pass\n"})
    assert not really(world, command)


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_node_without_a_test_has_run_nothing(world: World) -> None:
    assert really(world, "node --test")
    world.write({"a.test.js": "require('node:test')('a', () => {})\n"})
    assert not really(world, "node --test")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cargo"), reason="there is no cargo")
def test_cargo_without_a_test_has_run_nothing(world: World) -> None:
    where = {name: os.environ[name] for name in ("HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    world.env.update(where)
    world.write({"Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n', "src/lib.rs": ""})
    assert really(world, "cargo test --offline")
    world.write({"src/lib.rs": "#[test]\nfn a() {}\n"})
    assert not really(world, "cargo test --offline")


@pytest.mark.slow
def test_pre_commit_with_nothing_to_check_has_run_nothing(world: World) -> None:
    hook = "repos:\n- repo: local\n  hooks:\n  - {id: x, name: x, entry: 'true', language: system, files: '%s'}\n"
    world.commit({".pre-commit-config.yaml": hook % "nothing$"})
    assert really(world, "pre-commit run --all-files")
    world.commit({".pre-commit-config.yaml": hook % ""})
    assert not really(world, "pre-commit run --all-files")


def test_the_command_for_pytest_takes_the_python_that_is_there(world: World) -> None:
    only = world.root / "only"
    only.mkdir()
    (only / "python3").symlink_to(BIN / "python3")
    for tool in ("sh", "env"):
        (only / tool).symlink_to(str(shutil.which(tool)))
    done = world.run("sh", "-c", f"{PYTEST} --version", env={"PATH": str(only)}, check=False)
    assert "python3" in done.args[2]
    assert done.returncode == 0 or "No module named pytest" in done.stderr
