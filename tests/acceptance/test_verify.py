"""`homelab verify`: what a suite sees, when it counts, and what is remembered."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World


def rules(world: World, *suites: str, verify: str = "", files: dict[str, str | bytes] | None = None) -> None:
    text = f"[verify]\n{verify}\n" if verify else ""
    text += "".join(f'[[suite]]\nname = "s{n}"\n{suite}\n' for n, suite in enumerate(suites))
    world.commit({"homelab.toml": text, **(files or {})})


def results(world: World, *args: str, **options: Any) -> list[tuple[str, str]]:
    return [(suite["name"], suite["result"]) for suite in world.json("verify", *args, **options)["suites"]]


@pytest.fixture
def fresh(world: World) -> World:
    """A clone whose target has no rules, so that the change's own count alone."""
    world.git("rm", "--quiet", "homelab.toml")
    world.git("commit", "--quiet", "-m", "no rules")
    world.git("push", "--quiet", "origin", "master")
    return world


@pytest.mark.slow
def test_green_is_remembered_and_red_is_not(fresh: World) -> None:
    rules(fresh, 'run = "true"', f'run = "test -e {fresh.root}/flag"')
    assert results(fresh) == [("s0", "passed"), ("s1", "failed")]
    assert results(fresh) == [("s0", "cached"), ("s1", "failed")]
    (fresh.root / "flag").touch()
    assert results(fresh) == [("s0", "cached"), ("s1", "passed")]
    assert results(fresh) == [("s0", "cached"), ("s1", "cached")]
    assert results(fresh, "--fresh") == [("s0", "passed"), ("s1", "passed")]


def test_suites_that_ask_the_same_are_run_once_and_each_is_told(fresh: World, tmp_path: Path) -> None:
    rules(fresh, *[f'run = "echo run >> {tmp_path}/runs; test ! -e bad"'] * 3)
    assert results(fresh) == [("s0", "passed"), ("s1", "passed"), ("s2", "passed")]
    assert (tmp_path / "runs").read_text() == "run\n"
    assert results(fresh) == [("s0", "cached"), ("s1", "cached"), ("s2", "cached")]
    fresh.commit({"bad": ""})
    assert results(fresh) == [("s0", "failed"), ("s1", "failed"), ("s2", "failed")]
    assert (tmp_path / "runs").read_text() == "run\n" * 2


@pytest.mark.slow
def test_another_worktree_of_the_clone_knows_the_results(fresh: World) -> None:
    rules(fresh, 'run = "true"')
    assert results(fresh) == [("s0", "passed")]
    linked = fresh.root / "linked"
    fresh.git("worktree", "add", "--quiet", "--detach", linked)
    assert results(fresh, cwd=linked) == [("s0", "cached")]


def test_a_suite_sees_the_commit_and_nothing_else(fresh: World) -> None:
    rules(
        fresh, 'run = "test \\"$(ls -A | tr \'\\\\n\' \' \')\\" = \\".git README f homelab.toml \\" && test \\"$(cat f)\\" = 1"'
    )
    fresh.commit({"f": "1"})
    fresh.write({"f": "2", "untracked": "1"})
    assert results(fresh) == [("s0", "passed")]


def test_a_suite_that_changes_tracked_files_fails(fresh: World) -> None:
    rules(fresh, 'run = "echo >> README"', 'run = "git rm -q README && git -c user.name=x -c user.email=x@x commit -qm x"')
    answer = fresh.json("verify")
    assert [suite["result"] for suite in answer["suites"]] == ["failed", "failed"]
    assert "tracked files" in answer["suites"][0]["reason"]


def test_the_users_clone_stays_as_it_is_whatever_a_suite_does(fresh: World) -> None:
    rules(
        fresh,
        'run = "git config user.email evil; git tag evil; git branch evil; git remote set-url origin evil; git init -q x"',
    )
    config, refs = (fresh.clone / ".git/config").read_bytes(), fresh.git("for-each-ref")
    assert results(fresh, env={"GIT_DIR": str(fresh.clone / ".git")}) == [("s0", "passed")]
    assert (fresh.clone / ".git/config").read_bytes() == config
    assert fresh.git("for-each-ref", "refs/heads", "refs/tags", "refs/remotes") == "\n".join(
        row for row in refs.split("\n") if "refs/homelab" not in row
    )


def test_a_timeout_ends_the_whole_tree(fresh: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "life")
    rules(fresh, f'timeout = "1s"\nrun = "(setsid sh -c \'sleep 600\' > {tmp_path}/life &) ; sleep 600"')
    reader = os.open(tmp_path / "life", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert results(fresh) == [("s0", "timeout")]
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""  # nobody has it open for writing any more
    finally:
        os.close(reader)


def test_output_of_any_size_and_kind_is_kept_and_its_end_is_shown(fresh: World) -> None:
    rules(fresh, "run = \"head -c 30000000 /dev/urandom; printf '\\\\n\\\\033]0;evil\\\\007the end\\\\n'; exit 3\"")
    done = fresh.homelab("verify")
    assert done.returncode == 1 and "the end" in done.stderr and "\x1b" not in done.stderr and len(done.stderr) < 60_000
    assert "it ended with 3" in done.stderr


def test_a_suite_has_no_stdin_and_a_leftover_process_holds_nothing_up(fresh: World) -> None:
    rules(fresh, 'run = "cat; sleep 100 & true"')
    assert fresh.homelab("verify", input="typed\n", timeout=20).returncode == 0


@pytest.mark.slow
def test_the_environment_is_an_allow_list_and_what_is_named(fresh: World) -> None:
    rules(fresh, 'env = ["TOKEN"]\nrun = "test \\"$TOKEN\\" = a && test -z \\"$OTHER$SKIP$GIT_DIR$HOMELAB_SESSION\\""')
    env = {"TOKEN": "a", "OTHER": "b", "SKIP": "c", "HOMELAB_SESSION": "d"}
    assert results(fresh, env=env) == [("s0", "passed")]
    assert results(fresh, env=env) == [("s0", "cached")]
    assert results(fresh, env={**env, "TOKEN": "b"}) == [("s0", "failed")]


@pytest.mark.slow
def test_a_checkout_is_prepared_once_for_each_state_of_its_inputs(fresh: World, tmp_path: Path) -> None:
    rules(
        fresh,
        'run = "test -e made/it"',
        verify=f'prepare = "mkdir -p made && touch made/it && echo >> {tmp_path}/n"\nprepare_inputs = ["lock"]\n'
        'caches = ["made"]\njobs = 1',
        files={"lock": "1", ".gitignore": "made/\n"},
    )
    assert results(fresh) == [("s0", "passed")]
    fresh.commit({"f": "1"})
    assert results(fresh) == [("s0", "passed")]
    assert (tmp_path / "n").read_text() == "\n"
    fresh.commit({"lock": "2"})
    assert results(fresh) == [("s0", "passed")]
    assert (tmp_path / "n").read_text() == "\n\n"


@pytest.mark.parametrize(
    ("prepare", "made"),
    [("touch made", "-e made"), ("chmod 600 README", '\\"$(stat -c %a README)\\" = 600')],
    ids=["a file", "a mode"],
)
def test_what_prepare_leaves_outside_the_caches_is_made_again(fresh: World, prepare: str, made: str) -> None:
    rules(
        fresh,
        f'run = "test {made} && touch rubbish && chmod 640 homelab.toml"',
        f'run = "test {made} && test ! -e rubbish && test -z \\"$(find . -perm 640)\\""',
        verify=f'prepare = "{prepare}"\njobs = 1',
    )
    assert results(fresh) == [("s0", "passed"), ("s1", "passed")]


def test_a_prepare_that_fails_is_told_apart_from_a_red_suite(fresh: World) -> None:
    rules(fresh, 'run = "true"', verify='prepare = "exit 4"')
    done = fresh.homelab("verify")
    assert done.returncode == 1 and "prepare failed: it ended with 4" in done.stderr


def test_a_green_after_a_red_is_flaky(fresh: World, tmp_path: Path) -> None:
    rules(fresh, f'retries = 1\nrun = "test -e {tmp_path}/once || {{ touch {tmp_path}/once; exit 1; }}"')
    done = fresh.homelab("verify", "--json")
    [suite] = json.loads(done.stdout)["suites"]
    assert suite["result"] == "passed" and suite["flaky"] is True and " s   flaky\n" in done.stderr


@pytest.mark.slow
def test_a_detected_suite_that_runs_no_test_has_verified_nothing(fresh: World) -> None:
    fresh.commit({"Makefile": "test:\n\t@:\n", "test": ""})
    done = fresh.homelab("verify")
    assert done.returncode == 3 and "ran no test" in done.stderr
    assert fresh.json("verify")["error"]["kind"] == "refused"


def test_an_input_that_is_not_there_is_named(fresh: World) -> None:
    rules(fresh, 'inputs = ["modlues"]\nrun = "true"')
    assert "modlues" in fresh.homelab("verify").stderr


def test_a_folder_that_is_not_there_is_a_red(fresh: World) -> None:
    rules(fresh, 'dir = "nowhere"\nrun = "true"')
    assert fresh.homelab("verify").returncode == 1


@pytest.mark.slow
def test_another_file_of_rules_counts_by_hand_and_nowhere_else(fresh: World) -> None:
    rules(fresh, 'run = "false"')
    (fresh.root / "other.toml").write_text('[[suite]]\nname = "o"\nrun = "true"\n')
    env = {"HOMELAB_CONFIG": str(fresh.root / "other.toml")}
    assert results(fresh, env=env) == [("o", "passed")]
    fresh.git("switch", "--quiet", "-c", "ada/x")
    assert fresh.homelab("work", "land", env=env).returncode == 1
    assert fresh.homelab("verify", env={"HOMELAB_CONFIG": "/nowhere"}).returncode == 2
    (fresh.root / "other.toml").write_text("")
    assert "`homelab init`" not in fresh.homelab("verify", env=env).stderr, "there is a file"
    fresh.commit({"Makefile": "test:\n\ttrue\n"})
    assert results(fresh, env=env) == [("make", "passed")]


def test_a_cache_that_cannot_be_written_is_one_sentence(fresh: World) -> None:
    rules(fresh, 'run = "true"')
    done = fresh.homelab("verify", env={"XDG_CACHE_HOME": "/proc/nowhere"})
    assert done.returncode == 1 and "/proc/nowhere" in done.stderr and "hint:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"{", b"", b'{"v": 2}', b'{"v": 1, "key": "other"}', b"\xff"])
def test_a_damaged_receipt_is_none(fresh: World, content: bytes) -> None:
    rules(fresh, 'run = "true"')
    assert results(fresh) == [("s0", "passed")]
    for path in (fresh.clone / ".git/homelab/receipts").rglob("*.json"):
        path.write_bytes(content)
    assert results(fresh) == [("s0", "passed")]
    assert results(fresh) == [("s0", "cached")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "prepare", ['prepare = "mkdir -p made/deep && echo 1 > made/deep/it"\nprepare_inputs = ["lock"]\n', ""]
)
def test_what_a_suite_writes_into_a_cache_is_gone_for_the_next_one(fresh: World, prepare: str) -> None:
    rules(
        fresh,
        'run = "mkdir -p made/deep; echo red > made/deep/it; touch -d @0 made/deep/it; touch made/new; chmod 500 made/deep"',
        'run = "test ! -e made/new && { test ! -e made/deep || grep -q 1 made/deep/it; }"',
        verify=f'{prepare}caches = ["made"]\njobs = 1',
        files={"lock": "1", ".gitignore": "made/deep\nmade/new\n", "made/tracked": "t"},
    )
    for n in range(3):
        fresh.commit({"f": str(n), "made/tracked": str(n)})
        assert results(fresh) == [("s0", "passed"), ("s1", "passed")]


@pytest.mark.parametrize(
    ("suite", "pointed"),
    [
        ('run = "cat local.auto.tfvars"', "local.auto.tfvars is here and git ignores it"),
        ('run = "python3 -c \'open(\\"local.auto.tfvars\\")\'"', "local.auto.tfvars is here and git ignores it"),
        ("run = \"sh -c 'set -u; echo $VAULT_TOKEN'\"", "VAULT_TOKEN is set here"),
        ('run = "python3 -c \'import os; os.environ[\\"VAULT_TOKEN\\"]\'"', "VAULT_TOKEN is set here"),
        ("run = \"echo 'npm error code EBADENGINE'; exit 1\"", "a tool here has another version"),
        ("run = \"echo 'Error: Unsupported Terraform Core version'; exit 1\"", "a tool here has another version"),
        ('run = "cat README nowhere"', "mend it"),
    ],
)
def test_a_red_points_at_what_it_is_not(fresh: World, suite: str, pointed: str) -> None:
    rules(fresh, suite, files={".gitignore": "*.tfvars\n"})
    fresh.write({"local.auto.tfvars": "x"})
    done = fresh.homelab("verify", env={"VAULT_TOKEN": "secret"})
    assert done.returncode == 1 and pointed in done.stderr and "secret" not in done.stderr


def test_another_version_of_a_tool_is_verified_again_even_where_the_very_push_was_judged(gated: World) -> None:
    version = gated.root / "version"
    version.write_text("1")
    rules = f'[verify]\ntools = ["cat {version}"]\n[[suite]]\nname = "s"\ninputs = ["homelab.toml"]\n'
    gated.commit({"homelab.toml": f'{rules}run = "test $(cat {version}) = 1"\n'})
    before = gated.tip()
    assert gated.homelab("verify").returncode == 0
    version.write_text("2")
    assert gated.run("git", "push", "origin", "master", check=False).returncode != 0 and gated.tip() == before
    version.write_text("1")
    gated.git("push", "--quiet", "origin", "master")
    assert not list((gated.clone / ".git/homelab/gate").rglob(f"*-{gated.tip()}"))
