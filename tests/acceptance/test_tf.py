"""Stacks: found, run by the runner with its own words, and applied under their claim."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.claimants import Claimants
from tests.support.waiting import eventually, is_alive

RECORD = """
printf '%s\\0' "$PWD" "$@" >> "$RECORDED"
[ -z "$SLOW" ] || { echo $$ > "$SLOW.pid"; while [ ! -e "$SLOW" ]; do sleep 0.05; done; }
exit ${TG_EXIT:-0}
"""


@pytest.fixture
def stacks(on_files: Claimants) -> Claimants:
    """Sessions in a repository with the stacks `vault` and `dbaas`, whose runner records how it is called."""
    top = on_files.root / "infra"
    for name in ("vault", "dbaas"):
        (top / "stacks" / name).mkdir(parents=True)
    (top / "terragrunt.hcl").touch()
    (top / "scripts").mkdir()
    runner = top / "scripts/tg"
    runner.write_text(f"#!/bin/bash\n{RECORD}")
    runner.chmod(0o755)
    on_files.env["RECORDED"] = str(on_files.root / "recorded")
    on_files.root = top
    return on_files


def recorded(stacks: Claimants) -> list[str]:
    path = Path(stacks.env["RECORDED"])
    return path.read_text().split("\0")[:-1] if path.exists() else []


@pytest.mark.parametrize(
    ("args", "called"),
    [
        (["plan", "vault", "-out", "x", "--json", "--help"], ["plan", "-out", "x", "--json", "--help"]),
        (["validate", "vault", "--", "-q", ""], ["validate", "--", "-q", ""]),
        (["fmt", "vault", "-check"], ["fmt", "-recursive", "-check"]),
        (
            ["apply", "vault", "-target=a.b", "--wait", "--help"],
            ["apply", "--non-interactive", "-target=a.b", "--wait", "--help"],
        ),
        (["apply", "--wait", "5s", "vault"], ["apply", "--non-interactive"]),
        (["apply", "vault", "--non-interactive"], ["apply", "--non-interactive"]),
        (["force-unlock", "vault", "some-id"], ["force-unlock", "-force", "some-id"]),
    ],
)
def test_the_runner_gets_its_verb_and_all_that_follows_the_stack(stacks: Claimants, args: list[str], called: list[str]) -> None:
    below = stacks.root / "stacks/dbaas"
    done = stacks.run("tf", *args, cwd=below)
    assert recorded(stacks) == [str(stacks.root / "stacks/vault"), *called]
    assert done.returncode == 0


@pytest.mark.parametrize("verb", ["plan", "apply"])
@pytest.mark.parametrize("code", [1, 2, 42])
def test_the_exit_code_is_the_runners(stacks: Claimants, verb: str, code: int) -> None:
    assert stacks.run("tf", verb, "vault", env={"TG_EXIT": str(code)}).returncode == code
    assert stacks.board() == []


@pytest.mark.slow
def test_an_unknown_stack_is_wrong_usage_and_names_the_nearest(stacks: Claimants) -> None:
    for verb in ("plan", "apply"):
        done = stacks.run("tf", verb, "vautl")
        assert done.returncode == 2 and "vault" in done.stderr
    for name in ("../x", ".", "", "/etc", "-x"):
        assert stacks.run("tf", "plan", name).returncode == 2
    assert stacks.run("tf", "plan", "vault", cwd=stacks.root.parent).returncode == 2
    assert recorded(stacks) == [] and stacks.board() == []


def test_a_stacks_folder_without_a_mark_is_passed_by(stacks: Claimants) -> None:
    (stacks.root / "stacks/vault/stacks/other").mkdir(parents=True)
    stacks.ok("tf", "plan", "dbaas", cwd=stacks.root / "stacks/vault/stacks/other")
    assert recorded(stacks)[0] == str(stacks.root / "stacks/dbaas")


@pytest.mark.slow
def test_apply_holds_the_stack_while_it_runs_and_says_that_it_is_out_of_band(stacks: Claimants) -> None:
    slow = stacks.root / "slow"
    child = stacks.start("tf", "apply", "vault", env={"SLOW": str(slow)}, stderr=subprocess.PIPE)
    (claim,) = eventually(stacks.board)
    assert (claim["label"], claim["binding"], claim["holder"]["pid"]) == ("stack:vault", "process", child.pid)
    eventually(lambda: recorded(stacks))
    assert stacks.run("tf", "apply", "vault").returncode == 4
    assert stacks.run("tf", "apply", "vault", session="b").returncode == 4
    assert len(recorded(stacks)) == 3
    slow.touch()
    assert "CI applies" in child.communicate()[1].decode()
    assert child.returncode == 0 and stacks.board() == []


@pytest.mark.slow
def test_apply_goes_through_under_the_sessions_lease_and_leaves_it(stacks: Claimants) -> None:
    stacks.ok("claim", "stack:vault", "--purpose", "maintenance")
    before = stacks.board()
    stacks.ok("tf", "apply", "vault")
    assert [claim["fence"] for claim in stacks.board()] == [before[0]["fence"]]
    assert stacks.run("tf", "apply", "vault", session="b").returncode == 4
    assert len(recorded(stacks)) == 3


def test_apply_goes_through_inside_a_claim_of_the_stack(stacks: Claimants) -> None:
    stacks.ok("claim", "stack:vault", "--purpose", "outer", "--", "homelab", "tf", "apply", "vault")
    assert recorded(stacks)[1:] == ["apply", "--non-interactive"]


@pytest.mark.parametrize(
    "spelling", ["prod//dns", "prod/./dns", "prod/dns/.", "prod/dns/", "link", "./stacks/prod/dns", "stacks/link"]
)
def test_a_stack_has_one_label_however_it_is_spelled(stacks: Claimants, spelling: str) -> None:
    (stacks.root / "stacks/prod/dns").mkdir(parents=True)
    (stacks.root / "stacks/link").symlink_to("prod/dns")
    stacks.ok("claim", "stack:prod/dns", "--purpose", "first", session="b")
    assert stacks.run("tf", "apply", spelling).returncode == 4
    stacks.ok("tf", "plan", spelling)
    assert recorded(stacks) == [str(stacks.root / "stacks/prod/dns"), "plan"]


@pytest.mark.parametrize("label", ["stack:link", "stack:stacks/prod/dns"])
def test_a_claim_by_another_name_of_the_folder_is_of_the_stack(stacks: Claimants, label: str) -> None:
    (stacks.root / "stacks/prod/dns").mkdir(parents=True)
    (stacks.root / "stacks/link").symlink_to("prod/dns")
    stacks.ok("claim", label, "--purpose", "first", session="b")
    assert [row["label"] for row in json.loads(stacks.ok("claims", label, "--json"))] == ["stack:prod/dns"]
    assert stacks.run("tf", "apply", "prod/dns").returncode == 4
    stacks.ok("release", label, session="b")
    assert json.loads(stacks.ok("claims", "--json")) == []


def test_a_link_out_of_the_stacks_is_none(stacks: Claimants) -> None:
    (stacks.root / "stacks/out").symlink_to("../scripts")
    assert stacks.run("tf", "apply", "out").returncode == 2
    assert recorded(stacks) == []


def test_the_stack_one_stands_in_is_a_dot(stacks: Claimants) -> None:
    stacks.ok("tf", "plan", ".", cwd=stacks.root / "stacks/vault")
    assert recorded(stacks) == [str(stacks.root / "stacks/vault"), "plan"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("held", "applied"), [("stack:prod", "prod/dns"), ("stack:prod/dns", "prod"), ("stack:prod/dns/a", "prod")]
)
def test_an_apply_heeds_the_stacks_around_and_below_it(stacks: Claimants, held: str, applied: str) -> None:
    (stacks.root / "stacks/prod/dns").mkdir(parents=True)
    (stacks.root / "stacks/production").mkdir()
    stacks.ok("claim", held, "stack:production/x", "--purpose", "first", session="b")
    done = stacks.run("tf", "apply", applied)
    assert done.returncode == 4 and f"{held} is held by" in done.stderr and recorded(stacks) == []
    waiting = stacks.start("tf", "apply", "--wait", "30s", applied)
    stacks.ok("release", held, session="b")
    assert waiting.wait(10) == 0 and recorded(stacks)
    stacks.ok("claim", held, "--purpose", "own")
    stacks.ok("tf", "apply", applied)


@pytest.mark.slow
def test_of_two_applies_one_inside_the_other_one_runs(stacks: Claimants) -> None:
    (stacks.root / "stacks/prod/dns").mkdir(parents=True)
    slow = stacks.root / "slow"
    first = stacks.start("tf", "apply", "prod", env={"SLOW": str(slow)})
    eventually(lambda: recorded(stacks))
    for session in ("a", "b"):
        assert stacks.run("tf", "apply", "prod/dns", session=session).returncode == 4
    slow.touch()
    assert first.wait(10) == 0 and len(recorded(stacks)) == 3
    stacks.ok("claim", "stack:prod", "--purpose", "outer", "--", "homelab", "tf", "apply", "prod/dns")


@pytest.mark.slow
def test_apply_waits_its_turn(stacks: Claimants) -> None:
    stacks.ok("claim", "stack:vault", "--purpose", "first", session="b")
    child = stacks.start("tf", "apply", "--wait", "30s", "vault")
    eventually(lambda: stacks.board()[0]["waiting"])
    assert recorded(stacks) == []
    stacks.ok("release", "stack:vault", session="b")
    assert child.wait(10) == 0 and recorded(stacks)


@pytest.mark.slow
def test_apply_without_a_claim_runs_and_the_history_keeps_the_reason(stacks: Claimants) -> None:
    stacks.ok("claim", "stack:vault", "--purpose", "first", session="b")
    done = stacks.run("tf", "apply", "--no-claim", "the store burns", "vault")
    assert done.returncode == 0 and "the store burns" in done.stderr and recorded(stacks)
    (_, event) = json.loads(stacks.ok("claims", "history", "stack:vault", "--json"))
    assert (event["event"], event["reason"], event["by"]["session"]) == ("overridden", "the store burns", "a")
    assert "None" not in stacks.run("claims", "history", "stack:vault").stdout, "it has no fence"
    assert stacks.run("tf", "apply", "--no-claim", "", "vault").returncode == 2


def test_apply_without_a_store_starts_nothing_but_with_a_reason(stacks: Claimants) -> None:
    place = stacks.root / "file"
    place.write_text("")
    env = {"HOMELAB_CLAIMS": f"file://{place}/store"}
    done = stacks.run("tf", "apply", "vault", env=env)
    assert done.returncode in (3, 7) and recorded(stacks) == [] and str(place) in done.stderr
    assert stacks.run("tf", "apply", "--no-claim", "burns", "vault", env=env).returncode == 0
    assert recorded(stacks)


@pytest.mark.slow
def test_sigkill_of_homelab_leaves_the_apply_and_its_claim(stacks: Claimants) -> None:
    slow = stacks.root / "slow"
    child = stacks.start("tf", "apply", "vault", env={"SLOW": str(slow)})
    pid = int(eventually(lambda: (stacks.root / "slow.pid").exists() and (stacks.root / "slow.pid").read_text()))
    child.kill()
    child.wait()
    assert [claim["state"] for claim in stacks.board()] == ["orphaned"]
    assert is_alive(pid) and stacks.run("tf", "apply", "vault", session="b").returncode == 4
    slow.touch()
    eventually(lambda: stacks.board() == [])
    stacks.ok("tf", "apply", "vault", session="b")


@pytest.mark.slow
def test_a_runner_that_cannot_run_leaves_no_claim(stacks: Claimants) -> None:
    (stacks.root / "scripts/tg").chmod(0o644)
    assert stacks.run("tf", "apply", "vault").returncode == 126
    (stacks.root / "scripts/tg").unlink()
    bare = {"PATH": str(stacks.root / "nothing")}
    done = subprocess.run(
        [os.path.join(stacks.env["PATH"].split(":")[0], "homelab"), "tf", "apply", "vault"],  # noqa: PTH118
        cwd=stacks.root, env={**stacks.env, **bare}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 127
    assert stacks.board() == [] and stacks.events() == []


@pytest.mark.slow
def test_a_linked_worktree_of_a_git_crypt_repository_names_the_main_one(stacks: Claimants) -> None:
    def git(*args: str | Path) -> None:
        subprocess.run(["git", *map(str, args)], cwd=stacks.root, env=stacks.env, check=True, capture_output=True)

    linked = stacks.root.parent / "linked"
    (stacks.root / "stacks/vault/main.tf").touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "begin")
    git("worktree", "add", "-q", linked)
    assert stacks.run("tf", "plan", "vault", cwd=linked).returncode == 0
    (stacks.root / ".gitattributes").write_text("secrets/** filter=git-crypt diff=git-crypt\n")
    git("add", ".gitattributes")
    git("commit", "-qm", "seal")
    subprocess.run(["git", "merge", "-q", "master"], cwd=linked, env=stacks.env, check=False, capture_output=True)
    subprocess.run(["git", "merge", "-q", "main"], cwd=linked, env=stacks.env, check=False, capture_output=True)
    before = recorded(stacks)
    for verb in ("plan", "apply"):
        done = stacks.run("tf", verb, "vault", cwd=linked)
        assert done.returncode == 3 and str(stacks.root) in done.stderr
    assert recorded(stacks) == before and stacks.board() == []
    assert stacks.run("tf", "validate", "vault", cwd=linked).returncode == 0
    assert stacks.run("tf", "plan", "vault").returncode == 0


@pytest.mark.parametrize(
    ("name", "given"),
    [("terragrunt", ["--non-interactive", "-auto-approve"]), ("tofu", ["-auto-approve"]), ("terraform", ["-auto-approve"])],
)
def test_every_runner_is_answered_in_its_own_words_and_only_once(stacks: Claimants, name: str, given: list[str]) -> None:
    (stacks.root / "scripts/tg").rename(stacks.root / "bin-runner")
    programs = stacks.root / "bin"
    programs.mkdir()
    (stacks.root / "bin-runner").rename(programs / name)
    env = {"PATH": f"{programs}:{stacks.env['PATH']}"}
    stacks.ok("tf", "apply", "vault", "-target=x", env=env)
    assert recorded(stacks)[1:] == ["apply", *given, "-target=x"]
    Path(stacks.env["RECORDED"]).unlink()
    stacks.ok("tf", "apply", "vault", *given, env=env)
    assert recorded(stacks)[1:] == ["apply", *given]


@pytest.mark.slow
def test_force_unlock_heeds_whoever_works_on_the_stack(stacks: Claimants) -> None:
    slow = stacks.root / "slow"
    running = stacks.start("tf", "apply", "vault", env={"SLOW": str(slow)})
    eventually(lambda: recorded(stacks))
    for session in ("a", "b"):
        assert stacks.run("tf", "force-unlock", "vault", "id", session=session).returncode == 4
    slow.touch()
    assert running.wait(10) == 0
    stacks.ok("claim", "stack:vault", "--purpose", "own")
    assert stacks.run("tf", "force-unlock", "vault", "id", session="b").returncode == 4
    assert len(recorded(stacks)) == 3
    stacks.ok("tf", "force-unlock", "vault", "id")


def test_what_is_no_verb_of_ours_names_the_way(stacks: Claimants) -> None:
    for verb, words in (("destroy", "homelab tf apply STACK -destroy"), ("import", "homelab claim stack:NAME")):
        done = stacks.run("tf", verb, "vault")
        assert done.returncode == 2 and words in done.stderr
    (stacks.root / "terragrunt.hcl").unlink()
    done = stacks.run("tf", "plan", "vault")
    assert done.returncode == 2 and "terragrunt.hcl" in done.stderr and str(stacks.root / "root.hcl") in done.stderr


MAIN = """
resource "terraform_data" "one" {
  input = "x"
  provisioner "local-exec" { command = "echo begun > ${path.module}/begun; sleep 1; echo done > ${path.module}/done" }
}
"""


@pytest.mark.slow
def test_real_terraform_ends_its_apply_under_the_claim_after_sigkill(stacks: Claimants) -> None:
    (stacks.root / "scripts/tg").unlink()
    folder = stacks.root / "stacks/vault"
    (folder / "main.tf").write_text(MAIN)
    env = {"PATH": ":".join(p for p in stacks.env["PATH"].split(":"))}
    done = subprocess.run(["terraform", "init"], cwd=folder, env={**stacks.env, **env}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    child = stacks.start("tf", "apply", "vault")
    eventually((folder / "begun").exists, 30)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert stacks.run("tf", "apply", "vault", session="b").returncode == 4
    eventually((folder / "done").exists, 30)
    eventually(lambda: stacks.board() == [], 30)
    stacks.ok("tf", "apply", "vault", session="b")
    assert stacks.ok("tf", "fmt", "vault") is not None
    stacks.ok("tf", "validate", "vault")


def test_a_runner_without_a_first_line_is_run_by_sh(stacks: Claimants) -> None:
    (stacks.root / "scripts/tg").write_text('echo "$@" > ../../said\n')
    for verb, said in (("plan", "plan x\n"), ("apply", "apply --non-interactive x\n")):
        assert stacks.run("tf", verb, "vault", "x").returncode == 0
        assert (stacks.root / "said").read_text() == said


@pytest.mark.parametrize(
    ("code", "words", "broken"),
    [
        (127, "its interpreter is missing", lambda script: script.write_text("#!/no/such/interpreter\n")),
        (126, "it is not an executable file", lambda script: script.unlink() or script.symlink_to("nowhere")),
    ],
)
def test_a_broken_runner_is_named_alike_by_every_verb_and_nothing_runs_in_its_place(
    stacks: Claimants, code: int, words: str, broken: Callable[[Path], object]
) -> None:
    broken(stacks.root / "scripts/tg")
    for verb in ("plan", "apply"):
        done = stacks.run("tf", verb, "vault", env={"PATH": f"{stacks.script('terraform', 'touch ran').parent}:/usr/bin:/bin"})
        assert done.returncode == code and f"scripts/tg: {words}" in done.stderr, done.stderr
    assert not (stacks.root / "stacks/vault/ran").exists() and stacks.held() == []
