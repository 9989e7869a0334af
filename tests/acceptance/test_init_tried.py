"""`homelab init` tries what it finds, and names the command that puts it into force."""

import pytest

from tests.support.initial import bare_of_policy, written
from tests.support.needs import needs
from tests.support.world import World

#: A layout each, with the suites that are in force; `test_layouts.py` has those that are tried.
OUTPUT = 'output "a" {\n  value = 1\n}\n'
LAYOUTS: dict[str, tuple[dict[str, str | bytes], list[str]]] = {
    "make": ({"Makefile": "test:\n\ttrue\ndeploy:\n\tkubectl apply -f .\n"}, ["make"]),
    "python": ({"pyproject.toml": "", "tests/test_a.py": "def test_a(): pass\n"}, ["pytest"]),
    "nested": (
        {"lib/a/setup.py": "", "lib/a/test_a.py": "def test_a(): pass\n", "web/Makefile": "check:\n\ttest -e Makefile\n"},
        ["web", "a"],
    ),
    "CI": (
        {
            ".woodpecker/a.yml": "steps:\n- {name: t, image: x, commands: [sh -n run.sh, cd scripts && make check]}\n"
            "- {name: ship, image: x, commands: [./deploy.sh]}\n",
            "run.sh": "true\n", "scripts/Makefile": "check:\n\ttrue\n",
        },
        ["sh", "scripts"],
    ),
    "npm": (
        {
            "package.json": '{"name": "a", "scripts": {"test": "node --test"}, "dependencies": {"dep": "file:dep"}}',
            "package-lock.json": '{"name": "a", "lockfileVersion": 3, "packages": {"": {"name": "a", "dependencies": '
            '{"dep": "file:dep"}}, "dep": {}, "node_modules/dep": {"resolved": "dep", "link": true}}}',
            "dep/package.json": '{"name": "dep", "main": "a.js"}', "dep/a.js": "", ".gitignore": "node_modules\n",
            "a.test.js": "require('dep'); require('node:test')('a', () => {})\n",
        },
        ["npm"],
    ),
    "shell": ({"ops/tests/test_a.sh": "#!/bin/sh\ntest 1 = 1\n"}, ["ops"]),
}  # fmt: skip


def walked(world: World, words: str) -> None:
    """Run the command that `init` names next, as a person would, and see the target move to HEAD."""
    command = next(line for line in words.splitlines() if "next: " in line).partition("next: ")[2]
    world.run("sh", "-c", command, timeout=120)
    assert world.tip() == world.git("rev-parse", "HEAD")


@pytest.mark.slow
@pytest.mark.parametrize("layout", [pytest.param(name, marks=needs("npm") if name == "npm" else ()) for name in LAYOUTS])
def test_the_file_it_writes_untried_lands_by_the_command_that_it_names(world: World, layout: str) -> None:
    files, suites = LAYOUTS[layout]
    bare_of_policy(world, files)
    world.git("push", "--quiet", "origin", "master")
    done = world.homelab("init", timeout=120)
    assert done.returncode == 0, done.stderr
    assert [suite.name for suite in written(world).suites] == suites
    assert "trying on" not in done.stderr
    walked(world, done.stderr)
    again = world.homelab("init")
    assert (again.returncode, "next:" in again.stderr, "in force on origin/master" in again.stderr) == (0, False, True)


@pytest.mark.slow
@pytest.mark.parametrize("files", [{"notes": ""}, {"Makefile": "test:\n\tfalse\n"}], ids=["nothing", "red"])
def test_where_nothing_is_in_force_the_first_way_that_it_names_lands(world: World, files: dict[str, str | bytes]) -> None:
    bare_of_policy(world, files)
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    for _ in range(2):  # the second says what is missing, and leads on the same way
        done = world.homelab("init", "--yes")
        assert (done.returncode, written(world).suites) == (0, ())
        ways = [line.partition("hint:   ")[2] for line in done.stderr.splitlines() if "hint:   " in line]
        assert len(ways) == 3
    world.run("sh", "-c", ways[0].replace("COMMAND", "test -e homelab.toml"))
    assert world.tip() == world.git("rev-parse", "HEAD")


@pytest.mark.slow
def test_the_next_command_works_in_a_folder_and_on_a_branch(world: World) -> None:
    bare_of_policy(world, {"Makefile": "check:\n\ttrue\n", "deep/er/x": ""})
    world.git("push", "--quiet", "origin", "master")
    world.git("switch", "--quiet", "-c", "topic")
    done = world.homelab("init", "--yes", cwd=world.clone / "deep/er")
    command = done.stderr.partition("next: ")[2].splitlines()[0]
    assert "homelab work land" in command
    world.run("sh", "-c", command, cwd=world.clone / "deep/er")
    assert world.git("show", "master:homelab.toml", cwd=world.remote) == (world.clone / "homelab.toml").read_text().strip()


@pytest.mark.slow
def test_trying_writes_what_is_green_and_the_rest_with_its_reason(world: World) -> None:
    bare_of_policy(
        world,
        {
            "Makefile": "test:\n\ttrue\nlint:\n\tfalse\nvalidate:\n\tkubectl get pods\n", ".tflint.hcl": "",
            **{f"hosts/{name}/Makefile": f"check:\n\ttest {name} != c\n" for name in "abc"},
            ".gitlab-ci.yml": "unit: {script: [frobnicate-lint-9 .]}\n", "mise.toml": "[tasks]\ntest = 'pytest'\n",
        },
    )  # fmt: skip
    world.git("rm", "-q", "mise.toml")
    world.git("commit", "-qm", "no mise")
    answer = world.json("init", "--no-hooks", "--yes")
    text = (world.clone / "homelab.toml").read_text()
    assert answer["suites"] == ["make", "a", "b"]
    assert {row["name"]: (row["green"], row["red"]) for row in answer["tried"]}["c"] == (0, ["hosts/c"])
    for name, reason in {
        "make-lint": "it is red on",
        "make-validate": "it asks a system",
        "tflint": "tflint is not",
    }.items():
        stanza = text.partition(f'# name = "{name}"')[0].rpartition("\n\n")[2]
        assert reason in stanza, name
    head = world.git("rev-parse", "HEAD")
    assert head[:12] in text


@pytest.mark.slow
def test_a_hint_names_init_only_where_there_is_no_file(world: World) -> None:
    bare_of_policy(world, {"notes": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    for args in (["verify"], ["doctor"], []):
        done = world.homelab(*args)
        assert "homelab init" in done.stdout + done.stderr, args
    world.homelab("init")
    world.git("add", "homelab.toml")
    world.git("commit", "-qm", "no suite in it")
    assert "name one in homelab.toml" in (told := world.homelab("doctor").stdout) and "homelab init" not in told
    pushed = world.run("git", "push", "origin", "master", check=False)
    landed = world.git("push", "--quiet", "--no-verify", "origin", "master")
    for args in (["verify"], ["doctor"], []):
        done = world.homelab(*args)
        assert "homelab init" not in landed + pushed.stderr + done.stdout + done.stderr, args
        assert "homelab.toml" in done.stdout + done.stderr, args


@pytest.mark.slow
def test_what_is_not_installed_is_named_once_and_leads_to_more_of_the_file(world: World) -> None:
    bare_of_policy(world, {".yamllint": "", ".ansible-lint": "", ".tflint.hcl": ""})
    tools = world.root / "tools"
    tools.mkdir()
    path = f"{tools}:/usr/bin:/bin"
    done = world.homelab("init", "--no-hooks", "--yes", env={"PATH": path})
    hint = next(line for line in done.stderr.splitlines() if "install " in line)
    assert hint.startswith("homelab: hint: install ") and "ansible-lint" in hint and "tflint" in hint and "yamllint" in hint
    for name in ("ansible-lint", "tflint", "yamllint"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    assert "tried again where you move it away" in world.homelab("init", "--no-hooks", env={"PATH": path}).stderr
    command = hint.partition("`")[2].partition("`")[0]
    assert command == "rm homelab.toml && homelab init"
    (world.clone / "homelab.toml").unlink()
    done = world.homelab("init", "--no-hooks", "--yes", env={"PATH": path})
    assert "yamllint, ansible-lint, tflint: green" in done.stderr and "install " not in done.stderr
    assert len(written(world).suites) == 3


@pytest.mark.slow
def test_folders_in_which_a_suite_is_red_are_counted(world: World) -> None:
    files: dict[str, str | bytes] = {f"charts/{name}/Chart.yaml": "" for name in "abcd"}
    bare_of_policy(world, files)
    tools = world.root / "tools"
    tools.mkdir()
    (tools / "helm").write_text("#!/bin/sh\ncase $PWD in */d) exit 1;; esac\n")
    (tools / "helm").chmod(0o755)
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.env["PATH"] = f"{tools}:{world.env['PATH']}"
    done = world.homelab("init", "--yes")
    assert [(suite.each, suite.run) for suite in written(world).suites] == [("charts/*", "helm lint .")]
    assert "Red in 1 of 4 folders" in (world.clone / "homelab.toml").read_text()
    assert "red in 1 of 4 folders" in done.stderr
    walked(world, done.stderr)


@pytest.mark.slow
def test_nothing_is_run_that_was_not_asked_for(world: World) -> None:
    bare_of_policy(world, {"Makefile": "test:\n\techo ran >> $(HOME)/ran\n"})
    for args in ([], ["--no-try", "--yes"], ["--verify-cmd", "make test", "--yes"]):
        assert world.homelab("init", "--no-hooks", *args).returncode == 0
        assert not (world.root / "home/ran").exists()
        assert len(written(world).suites) == 1
        (world.clone / "homelab.toml").unlink()
    world.homelab("init", "--no-hooks", "--yes")
    assert (world.root / "home/ran").exists()


def test_what_deploys_is_neither_run_nor_written(world: World) -> None:
    files: dict[str, str | bytes] = {
        "Makefile": "test: ship\nship:\n\ttouch $(HOME)/ran\n\tkubectl apply -f .\n", "justfile": "check:\n  ./deploy.sh\n",
        "package.json": '{"scripts": {"test": "npm publish"}}', "deploy.sh": "#!/bin/sh\ntouch ~/ran\n",
        ".github/workflows/a.yml": "on: push\njobs: {a: {steps: [{run: terraform apply}, {run: pytest smoke}]}}\n",
    }  # fmt: skip
    bare_of_policy(world, files)
    done = world.homelab("init", "--yes")
    text = (world.clone / "homelab.toml").read_text()
    assert written(world).suites == ()
    assert not any(word in text for word in ("make test", "just check", "npm test", "apply", "pytest"))
    assert ".github/workflows/a.yml, step a/1" in done.stderr
    assert world.homelab("verify").returncode == 3  # nor is it detected where the file names no suite
    assert not (world.root / "home/ran").exists()


def test_what_fails_to_prepare_takes_nothing_else_with_it(world: World) -> None:
    files: dict[str, str | bytes] = {
        "package.json": '{"scripts": {"test": "x"}, "dependencies": {"a": "file:nowhere"}}', "package-lock.json": "{}",
        "web/Makefile": "check:\n\ttrue\n",
    }  # fmt: skip
    bare_of_policy(world, files)
    tools = world.root / "tools"
    tools.mkdir()
    (tools / "npm").write_text("#!/bin/sh\nexit 1\n")
    (tools / "npm").chmod(0o755)
    world.homelab("init", "--no-hooks", "--yes", env={"PATH": f"{tools}:{world.env['PATH']}"})
    read = written(world)
    assert ([suite.name for suite in read.suites], read.verify.prepare) == (["web"], None)


def test_without_a_network_what_is_left_of_a_stack_is_written(world: World) -> None:
    bare_of_policy(world, {f"stacks/{name}/main.tf": OUTPUT for name in "ab"})
    tools = world.root / "tools"
    tools.mkdir()
    (tools / "terraform").write_text(
        '#!/bin/sh\n[ "$1" != init ] || { echo "lookup registry.terraform.io: no such host"; exit 1; }\n'
    )
    (tools / "terraform").chmod(0o755)
    world.homelab("init", "--no-hooks", "--yes", env={"PATH": f"{tools}:{world.env['PATH']}"})
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("stack", "terraform fmt -check -recursive .")]
    assert '# name = "stack-whole"' in (world.clone / "homelab.toml").read_text()


@pytest.mark.slow
def test_what_is_red_everywhere_is_tried_without_its_providers_and_those_are_brought_once(world: World) -> None:
    bare_of_policy(world, {f"stacks/{n}/main.tf": f'provider "x" {{\n  a = {n}\n}}\n' for n in range(9)})
    tools = world.root / "tools"
    tools.mkdir()
    (tools / "terraform").write_text(
        '#!/bin/sh\n[ "$1" != init ] || echo x >> "$TF_PLUGIN_CACHE_DIR/brought"\n[ "$1" != validate ] || exit 1\n'
    )
    (tools / "terraform").chmod(0o755)
    done = world.homelab("init", "--no-hooks", "--yes", env={"PATH": f"{tools}:{world.env['PATH']}"})
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("stack", "terraform fmt -check -recursive .")]
    text = (world.clone / "homelab.toml").read_text()
    assert '# name = "stack-whole"' in text and "Switched off: it is red on" in text
    assert text.index('name = "stack"') < text.index('# name = "stack-whole"')
    caches = [path.read_text().count("x") for path in world.root.rglob(".terraform-plugins/brought")]
    assert sum(caches) == 9, "a cache that is emptied before each run brings every provider nine times"
    assert "the other folders: " in done.stderr


@pytest.mark.slow
def test_many_folders_without_a_network_are_not_all_tried(world: World) -> None:
    files = {f"stacks/{n}/main.tf": f'output "a" {{\n  value = {n}\n}}\n' for n in range(20)}
    bare_of_policy(world, {**files, "stacks/3/README": ""})
    tools = world.root / "tools"
    tools.mkdir()
    (tools / "terraform").write_text(
        f'#!/bin/sh\necho "$1" >> {world.root}/asked\n[ "$1" != init ] || {{ echo "lookup x: no such host"; exit 1; }}\n'
    )
    (tools / "terraform").chmod(0o755)
    world.homelab("init", "--no-hooks", "--yes", env={"PATH": f"{tools}:{world.env['PATH']}"})
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("stack", "terraform fmt -check -recursive .")]
    assert (world.root / "asked").read_text().split().count("init") == 4
    world.git("add", "homelab.toml")
    world.git("commit", "--quiet", "-m", "Begin")
    assert "20 cached" in world.homelab("verify", env={"PATH": f"{tools}:{world.env['PATH']}"}).stdout, "each was tried, once"
