"""CI around a landing: what is followed, what is waited for, and when nobody is asked at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from homelab.ci import target
from homelab.ci.verdict import Verdict
from homelab.errors import Busy
from homelab.git.repository import Repository, discover
from homelab.policy.rules import read_rules
from homelab.policy.states import State
from tests.support.forge import KINDS, Answer, Forge, Run, serving
from tests.support.world import SUITE, World

GREEN = {"woodpecker": Run("success:x", "success"), "gitlab": Run("success:x", "success")}
RUNNING = {"woodpecker": Run("running:x", "running", number=7), "gitlab": Run("running:x", "running", number=7)}
RUNNING |= {"github": Run("x", "in_progress", number=7), "forgejo": Run("ci/x", "pending", number=7)}
WAITS = {"woodpecker": Run("x", "blocked", number=9), "gitlab": Run("x", "manual"), "github": Run("x", "action_required")}


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """A stand-in of each kind that the target's file names; our own environment is the world's."""
    for name, value in {**world.env, "HOMELAB_CI_PACE": "0.01", "HOMELAB_CI_TOKEN": "t0ken"}.items():
        monkeypatch.setenv(name, value)
    with serving(request.param) as made:
        world.publish({"homelab.toml": f"{made.config()}{SUITE}"})
        world.git("fetch", "--quiet", "origin")
        yield made


def rules_of(world: World) -> tuple[Repository, State]:
    repository = discover(world.clone)
    return repository, read_rules(repository)


def after(forge: Forge, questions: int, before: Run, later: Run) -> None:
    """The target's tip has `before`, and `later` once it was asked for so many times."""
    asked: list[None] = []

    def says() -> list[Run]:
        asked.append(None)
        return [before] if len(asked) <= questions else [later]

    forge.says[forge_tip(forge)] = says


def forge_tip(forge: Forge) -> str:
    return next(iter(forge.says), "")


def test_a_landing_waits_for_what_runs_on_the_target(forge: Forge, world: World) -> None:
    repository, rules = rules_of(world)
    forge.says[world.tip()] = list
    after(forge, 9, RUNNING[forge.kind], GREEN.get(forge.kind, Run("ci/x", "success")))
    said: list[str] = []
    target.hold(repository, rules, seconds=60, said=said.append)
    assert len(said) == 1 and "holding for CI" in said[0]
    assert forge.kind == "github" or "#7" in said[0]


def test_a_pipeline_that_stays_blocked_holds_until_the_deadline_and_is_named(forge: Forge, world: World) -> None:
    repository, rules = rules_of(world)
    forge.now(world.tip(), WAITS.get(forge.kind, Run("ci/x", "pending", number=9)))
    with pytest.raises(Busy, match="#9" if forge.kind == "woodpecker" else "time is up") as caught:
        target.hold(repository, rules, seconds=0.2, said=lambda _: None)
    assert caught.value.hint and "--no-hold" in caught.value.hint


def test_a_ci_that_cannot_be_asked_is_told_and_holds_for_a_minute(
    forge: Forge, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, rules = rules_of(world)
    forge.says[""] = lambda: Answer(502)
    forge.instead["/api/repos/7/pipelines"] = lambda _: Answer(502)
    target.hold(repository, rules, seconds=60, said=lambda _: None)
    assert "landing without waiting for CI" in capsys.readouterr().err


def test_a_tip_without_a_pipeline_is_waited_for_once(forge: Forge, world: World) -> None:
    repository, rules = rules_of(world)
    said: list[str] = []
    target.hold(repository, rules, seconds=60, said=said.append)
    assert len(said) == 1 and "no pipeline yet" in said[0]
    asked = len(forge.requests)
    target.hold(repository, rules, seconds=60, said=said.append)
    assert len(said) == 1 and len(forge.requests) - asked < 8


def test_what_landed_is_followed_to_green(forge: Forge, world: World) -> None:
    repository, rules = rules_of(world)
    forge.says[world.tip()] = list
    after(forge, 6, RUNNING[forge.kind], GREEN.get(forge.kind, Run("ci/x", "success")))
    outcome = target.follow(repository, rules, world.tip())
    assert outcome is not None and outcome.verdict is Verdict.GREEN


def test_a_message_that_skips_ci_is_not_waited_for(forge: Forge, world: World) -> None:
    repository, rules = rules_of(world)
    tip = world.publish({"a": "1"}, "change\n\n[ci skip]")
    world.git("fetch", "--quiet", "origin")
    outcome = target.follow(repository, rules, tip)
    assert outcome is not None and outcome.verdict is Verdict.SKIPPED
    assert forge.requests == []


def test_without_ci_files_nobody_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    with serving("forgejo") as forge:
        world.git("remote", "set-url", "origin", f"{forge.url}/ada/infra.git")
        repository, rules = rules_of(world)
        assert target.follow(repository, rules, world.tip()) is None
        world.git("remote", "set-url", "origin", str(world.remote))
        target.hold(repository, rules, seconds=5)
        assert forge.requests == []


def test_a_landing_that_asks_nobody_imports_no_http_client() -> None:
    program = "import sys, homelab.ci.target, homelab.ci.report\nsys.exit('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
