"""A candidate on a try branch: what CI says of it, what is refused, and that nothing of it stays on the remote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from homelab.ci import target, try_branch
from homelab.ci.try_branch import Result
from homelab.errors import Refused, Unreachable
from homelab.git.repository import discover
from homelab.policy.rules import read_rules
from tests.support.forge import KINDS, WORKFLOW, Answer, Forge, Run, serving, tries
from tests.support.waiting import eventually
from tests.support.world import SUITE, World

PATTERN = {"woodpecker": "ci/woodpecker/push/*", "forgejo": "ci/*", "github": "ci/*", "gitlab": "ci/*"}


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    yield from serve(request.param, world, monkeypatch)


@pytest.fixture
def forgejo(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    yield from serve("forgejo", world, monkeypatch)


def serve(kind: str, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    for name, value in {**world.env, "HOMELAB_CI_PACE": "0.01", "HOMELAB_CI_TOKEN": "t0ken"}.items():
        monkeypatch.setenv(name, value)
    with serving(kind) as made:
        world.publish({"homelab.toml": f"{made.config()}{SUITE}", ".forgejo/workflows/test.yml": WORKFLOW})
        world.git("pull", "--quiet", "origin", "master")
        yield made


def candidate(world: World, forge: Forge, *words: str, files: dict[str, str] | None = None) -> str:
    """Return a commit of the clone for which CI has these words in turn, one a look, once a try branch has it."""
    commit = world.commit(files or {"a": "1\n"})
    left = list(words)

    def says() -> list[Run] | Answer:
        names = [row.split()[0].removeprefix("refs/heads/") for row in tries(world) if row.endswith(commit)]
        if not names or not left:
            return []
        word = left.pop(0) if len(left) > 1 else left[0]
        if word.isdigit():
            return Answer(int(word))
        return [run(forge.kind, name, word, branch=names[0]) for name in ("ci/x",)]

    forge.says[commit] = says
    return commit


def run(kind: str, name: str, word: str, **options: object) -> Run:
    """Return a check of each kind that says a word of ours: running, green, red, gone."""
    states = {
        "forgejo": {"running": "pending", "green": "success", "red": "failure", "blocked": "pending"},
        "github": {"running": "in_progress", "green": "success", "red": "failure", "gone": "cancelled", "asks": "waiting"},
        "gitlab": {"running": "running", "green": "success", "red": "failed", "gone": "canceled", "asks": "manual"},
        "woodpecker": {"running": "running", "green": "success", "red": "failure", "gone": "canceled", "asks": "blocked"},
    }
    state = states[kind].get(word, word)
    shown = f"{state}:{name}" if kind in ("gitlab", "woodpecker") else name
    return replace(Run(shown, state, log="boom"), **options)  # type: ignore[arg-type]


def attempt(world: World, commit: str, pattern: str, **options: float | Callable[[], bool]) -> try_branch.Tried:
    repository = discover(world.clone)
    return try_branch.attempt(repository, commit, "k" * 64, pattern, **{"timeout": 60, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "result"),
    [(["running", "green"], Result.PASSED), (["running", "red"], Result.FAILED), (["green", "red"], Result.FAILED)],
)
def test_what_ci_says_of_the_try_branch_is_the_verdict(forge: Forge, world: World, words: list[str], result: Result) -> None:
    commit = candidate(world, forge, *words)
    found = attempt(world, commit, PATTERN[forge.kind])
    assert found.result is result, found
    assert found.url and found.url.startswith("http")
    assert tries(world) == [] and not list((world.clone / ".git/homelab/ci/try").glob("*.json"))


@pytest.mark.parametrize(
    ("words", "pattern", "result", "reason"),
    [
        ([], "ci/*", Result.UNABLE, "runs nothing"),
        (["skipped"], "ci/*", Result.UNABLE, "skipped"),
        (["splendid"], "ci/*", Result.UNABLE, "unknown"),
        (["green"], "ci/y", Result.UNABLE, "runs nothing"),
        (["running"], "ci/*", Result.TIMEOUT, "no verdict"),
    ],
)
def test_silence_is_unable_and_never_green(
    forgejo: Forge, world: World, words: list[str], pattern: str, result: Result, reason: str
) -> None:
    commit = candidate(world, forgejo, *words)
    found = attempt(world, commit, pattern, timeout=2)
    assert found.result is result and reason in found.reason, found
    assert tries(world) == []


def test_a_pattern_has_to_show_every_name_that_the_targets_tip_shows(forgejo: Forge, world: World) -> None:
    forgejo.now(world.tip(), Run("ci/x", "success"), Run("ci/y", "success"))
    commit = candidate(world, forgejo, "green")
    found = attempt(world, commit, "ci/*")
    assert (found.result, found.reason) == (Result.UNABLE, "CI did not run ci/y for the try branch")


def test_a_name_is_enough_where_it_is_there(forgejo: Forge, world: World) -> None:
    forgejo.now(world.tip(), Run("ci/x", "success"), Run("ci/y", "success"))
    assert attempt(world, candidate(world, forgejo, "green"), "ci/x").result is Result.PASSED


def test_ci_that_cannot_be_reached_is_no_verdict(forgejo: Forge, world: World) -> None:
    commit = candidate(world, forgejo, "running", "502")
    with pytest.raises(Unreachable):
        attempt(world, commit, "ci/*")
    assert tries(world) == []


def test_a_trial_that_nobody_wants_any_more_takes_its_branch_away(forgejo: Forge, world: World) -> None:
    commit = candidate(world, forgejo, "running")
    with pytest.raises(try_branch.Abandoned):
        attempt(world, commit, "ci/*", abandoned=lambda: bool(tries(world)))
    assert tries(world) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({".forgejo/workflows/test.yml": WORKFLOW.replace("make test", "true")}, "changes CI's own files"),
        ({".woodpecker/new.yml": "steps: []\n"}, "changes CI's own files"),
    ],
)
def test_a_change_does_not_judge_itself(forgejo: Forge, world: World, files: dict[str, str], words: str) -> None:
    commit = candidate(world, forgejo, "green", files=files)
    with pytest.raises(Refused, match=words):
        attempt(world, commit, "ci/*")
    assert tries(world) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".woodpecker/deploy.yml", "steps: [{name: deploy, image: alpine, commands: [terraform apply -auto-approve]}]\n"),
        (".forgejo/workflows/p.yml", "on: push\njobs: {p: {steps: [{uses: peaceiris/actions-gh-pages@v4}]}}\n"),
        (".woodpecker/broken.yml", "steps: [\n"),
    ],
)
def test_no_try_branch_while_a_push_of_it_would_deploy(forgejo: Forge, world: World, name: str, text: str) -> None:
    world.publish({name: text})
    world.git("pull", "--quiet", "origin", "master")
    commit = candidate(world, forgejo, "green")
    with pytest.raises(Refused) as caught:
        attempt(world, commit, "ci/*")
    assert name in caught.value.message
    assert tries(world) == []


def test_the_green_of_a_try_branch_is_not_the_targets(forgejo: Forge, world: World) -> None:
    commit = candidate(world, forgejo, "green")
    assert attempt(world, commit, "ci/*").result is Result.PASSED
    world.git("push", "--quiet", "--no-verify", "origin", f"{commit}:master")
    forgejo.now(commit, Run("ci/x", "success"))
    repository = discover(world.clone)
    outcome = target.follow(repository, read_rules(repository), commit)
    assert outcome is not None and outcome.verdict == "none"
    forgejo.now(commit, Run("ci/x", "success"), Run("ci/x", "failure"))
    outcome = target.follow(repository, read_rules(repository), commit)
    assert outcome is not None and outcome.verdict == "red"


@pytest.mark.slow
def test_the_branch_of_a_killed_trial_is_taken_away_by_the_next(forgejo: Forge, world: World) -> None:
    commit = candidate(world, forgejo, "running")
    program = (
        "import sys\nfrom homelab.ci import try_branch\nfrom homelab.git.repository import discover\n"
        f"try_branch.attempt(discover(), {commit!r}, 'k' * 64, 'ci/*', timeout=600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=world.clone, env=dict(os.environ))
    eventually(lambda: tries(world))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(tries(world)) == 1
    records = list((world.clone / ".git/homelab/ci/try").glob("*.json"))
    assert [json.loads(path.read_bytes())["commit"] for path in records] == [commit]
    try_branch.sweep(discover(world.clone))
    assert tries(world) == [] and not list((world.clone / ".git/homelab/ci/try").glob("*.json"))


@pytest.mark.parametrize(
    ("path", "bound", "loose"),
    [
        (
            ".woodpecker/deploy.yml",
            "when: [{event: push, branch: master}]\nsteps: [{name: d, image: x, commands: [terraform apply]}]\n",
            "when: [{event: push, branch: homelab/try/*}]\nsteps: [{name: d, image: x, commands: [terraform apply]}]\n",
        ),
        (
            ".github/workflows/deploy.yml",
            "on: {push: {branches: [master]}}\njobs: {d: {steps: [{run: terraform apply}]}}\n",
            "on: {push: {branches: [master, 'homelab/try/**']}}\njobs: {d: {steps: [{run: terraform apply}]}}\n",
        ),
        (
            ".gitlab-ci.yml",
            "d: {script: [terraform apply], rules: [{if: '$CI_COMMIT_BRANCH == \"master\"'}]}\n",
            "d: {script: [terraform apply]}\n",
        ),
    ],
)
def test_the_lines_of_the_readme_keep_a_deploying_step_off_try_branches(
    forgejo: Forge, world: World, path: str, bound: str, loose: str
) -> None:
    repository = discover(world.clone)
    for text, refused in ((bound, False), (loose, True)):
        world.publish({path: text})
        world.git("fetch", "--quiet", "origin")
        world.git("reset", "--quiet", "--hard", "origin/master")
        commit = world.commit({"b": text})
        if refused:
            with pytest.raises(Refused, match="would deploy"):
                try_branch.require_harmless(repository, read_rules(repository), commit)
        else:
            try_branch.require_harmless(repository, read_rules(repository), commit)
