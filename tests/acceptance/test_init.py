"""`homelab init` on real repositories: what it writes, and what it leaves alone."""

import contextlib
import os
import pty
import subprocess

import pytest

from homelab.policy import config, config_file
from tests.support.needs import needs
from tests.support.world import BIN, World


def bare_of_policy(world: World, files: dict[str, str | bytes]) -> None:
    """The clone's tree holds these files and no homelab.toml."""
    world.git("rm", "-q", "homelab.toml")
    world.commit(files)


def init(world: World, *args: str) -> object:
    return world.json("init", "--no-hooks", *args)


def written(world: World) -> config.Config:
    return config_file.parse((world.clone / "homelab.toml").read_bytes())


def test_it_writes_what_it_detects(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n", "package.json": '{"scripts": {"test": "node --test"}}'})
    path = world.clone / "homelab.toml"
    assert init(world) == {"ok": True, "path": str(path), "created": True, "suites": ["go", "npm"], "hooks": False}
    read = written(world)
    assert [suite.run for suite in read.suites] == ["go test ./...", "npm test"]
    assert (read.gate.remote, read.gate.target) == ("origin", "master")
    assert path.stat().st_mode & 0o777 == 0o644
    assert world.git("status", "--porcelain") == "?? homelab.toml"


def test_every_key_it_writes_stands_under_its_documentation(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    init(world)
    text = (world.clone / "homelab.toml").read_text()
    lines = text.splitlines()
    keys = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert keys
    assert all(lines[n - 1].startswith("# ") for n in keys)


def test_the_path_is_all_that_stands_on_stdout(world: World) -> None:
    bare_of_policy(world, {"Makefile": "test:\n\ttrue\n"})
    done = world.homelab("init", "--no-hooks")
    assert (done.returncode, done.stdout) == (0, f"{world.clone}/homelab.toml\n")
    assert "make test" in done.stderr
    assert "origin/master" in done.stderr


def test_a_file_that_exists_is_never_changed(world: World) -> None:
    before = (world.clone / "homelab.toml").read_bytes()
    done = world.homelab("init", "--no-hooks", "--verify-cmd", "true", "--branch", "main")
    assert done.returncode == 0
    assert "exists already" in done.stderr
    assert (world.clone / "homelab.toml").read_bytes() == before
    assert init(world)["created"] is False  # type: ignore[index]


def test_a_second_run_changes_nothing(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    init(world)
    before = (world.clone / "homelab.toml").read_bytes()
    assert world.homelab("init", "--no-hooks").returncode == 0
    assert (world.clone / "homelab.toml").read_bytes() == before


def test_a_given_command_is_the_one_suite(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    command = "printf '%s\\n' \"ä\" && \\\ntrue"
    assert init(world, "--verify-cmd", command)["suites"] == ["verify"]  # type: ignore[index]
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("verify", command)]


def test_where_nothing_is_found_it_names_three_ways_and_leaves_an_example(world: World) -> None:
    bare_of_policy(world, {"notes/a.txt": ""})
    done = world.homelab("init", "--no-hooks")
    assert done.returncode == 0
    assert "nothing can land by it yet" in done.stderr
    assert done.stderr.count("hint:   ") == 3
    assert written(world).suites == ()
    text = (world.clone / "homelab.toml").read_text()
    example = text[text.index("# [[suite]]") :].replace("# [[", "[[").replace("# name", "name").replace("# run", "run")
    assert [suite.name for suite in config_file.parse(example.encode()).suites] == ["check"]


def test_npm_with_a_lock_file_gets_its_modules(world: World) -> None:
    bare_of_policy(world, {"package.json": '{"scripts": {"test": "x"}}', "package-lock.json": "{}"})
    init(world)
    verify = written(world).verify
    assert (verify.prepare, verify.caches) == ("npm ci", ("node_modules",))
    assert verify.prepare_inputs == ("package.json", "package-lock.json")


def test_what_is_said_wins_over_what_is_detected(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    world.git("remote", "add", "upstream", str(world.remote))
    init(world, "--remote", "upstream", "--branch", "main")
    assert (written(world).gate.remote, written(world).gate.target) == ("upstream", "main")


def test_a_target_that_nobody_has_seen_is_told(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    assert "note" not in world.homelab("init", "--no-hooks", "--branch", "master").stderr
    (world.clone / "homelab.toml").unlink()
    assert "origin/mastre" in world.homelab("init", "--no-hooks", "--branch", "mastre").stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--remote", "nowhere"],
        ["--remote", "--evil"],
        ["--branch", "a..b"],
        ["--branch", "@{-1}"],
        ["--branch", ""],
        ["--verify-cmd", "  "],
        ["--verify-cmd", "a\x1b[31m"],
        ["--verify-cmd", os.fsdecode(b"a\xff")],
    ],
)
def test_wrong_usage_touches_nothing(world: World, args: list[str]) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    done = world.homelab("init", *args)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world.clone / "homelab.toml").exists()
    assert not (world.clone / ".git/hooks/pre-push").exists()


def test_outside_a_repository_it_is_wrong_usage(world: World) -> None:
    assert world.homelab("init", cwd=world.root).returncode == 2
    assert world.json("init", cwd=world.root)["error"]["kind"] == "usage"


def test_a_broken_file_is_named_and_kept(world: World) -> None:
    world.write({"homelab.toml": "[gaet]\n"})
    done = world.homelab("init")
    assert done.returncode == 2
    assert "gate" in done.stderr
    assert (world.clone / "homelab.toml").read_text() == "[gaet]\n"
    assert not (world.clone / ".git/hooks/pre-push").exists()


def test_a_folder_or_a_dangling_link_of_that_name_is_not_written_through(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    (world.clone / "homelab.toml").symlink_to("/nowhere/x")
    assert world.homelab("init", "--no-hooks").returncode == 2
    (world.clone / "homelab.toml").unlink()
    (world.clone / "homelab.toml").mkdir()
    assert world.homelab("init", "--no-hooks").returncode == 2


def test_an_empty_repository_without_a_remote_begins_too(world: World) -> None:
    fresh = world.root / "fresh"
    world.git("init", "--quiet", fresh, cwd=world.root)
    done = world.homelab("init", "--no-hooks", cwd=fresh)
    assert done.returncode == 0
    read = config_file.parse((fresh / "homelab.toml").read_bytes())
    assert (read.gate.remote, read.gate.target, read.suites) == (None, None, ())


def test_it_works_from_a_folder_of_a_linked_worktree(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n", "deep/er/x": ""})
    world.git("worktree", "add", "--quiet", world.root / "linked")
    answer = world.json("init", "--no-hooks", cwd=world.root / "linked/deep/er")
    assert answer["path"] == str(world.root / "linked/homelab.toml")
    assert not (world.clone / "homelab.toml").exists()


def test_the_hooks_are_installed_even_where_the_file_exists(world: World) -> None:
    assert world.json("init")["hooks"] is True
    assert (world.clone / ".git/hooks/pre-push").exists()


def test_where_the_hooks_are_refused_nothing_is_written(world: World) -> None:
    bare_of_policy(world, {"go.mod": "module x\n"})
    command_line = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "elsewhere"}
    assert world.homelab("init", env=command_line).returncode == 3
    assert not (world.clone / "homelab.toml").exists()


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


def on_a_terminal(world: World, answers: str, *args: str) -> str:
    """Run `init` with a terminal for all three streams, type the answers, and return what the terminal showed."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [BIN / "homelab", "init", "--no-hooks", *args], cwd=world.clone, env={**world.env, "TERM": "dumb", "COLUMNS": "200"},
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    os.write(parent, answers.encode())
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the last writer is gone
        while part := os.read(parent, 4096):
            shown += part
    os.close(parent)
    assert process.wait(60) == 0, shown
    return shown.decode(errors="replace")


def test_a_person_leaves_out_what_is_not_wanted(world: World) -> None:
    bare_of_policy(world, {"Makefile": "test:\n\ttrue\nlint:\n\ttrue\n"})
    shown = on_a_terminal(world, "what\n2\n")
    assert [suite.name for suite in written(world).suites] == ["make"]
    assert "trying on" in shown


def test_a_person_is_asked_for_the_command_where_nothing_is_found(world: World) -> None:
    bare_of_policy(world, {"notes": ""})
    on_a_terminal(world, "test -e notes\n")
    assert [(suite.name, suite.run) for suite in written(world).suites] == [("verify", "test -e notes")]
    (world.clone / "homelab.toml").unlink()
    assert "one of these goes on" in on_a_terminal(world, "\n")
    assert written(world).suites == ()
