"""What CI of four systems did to people, each as a timeline on a clock that the test turns, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from homelab.ci import watch
from homelab.ci.client import Client
from homelab.ci.site import system
from homelab.ci.verdict import Verdict
from homelab.ci.where import Place
from tests.support.forge import Answer, Forge, Run, serving

COMMIT, TIP = "c" * 40, "d" * 40


@dataclass
class Clock:
    """A clock that stands still while nobody waits."""

    time: float = 0.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += max(seconds, 0.001)


Says = list[Run] | Answer


def green(name: str = "ci/x") -> Run:
    return Run(name, "success")


@dataclass(frozen=True)
class Scenario:
    name: str
    kind: str
    #: From which second on the commit has what.
    commit: dict[float, Says]
    verdict: str
    #: The later tip, where a push supersedes the commit.
    tip: dict[float, Says] | None = None
    least: float = 0.0
    most: float = 3600.0
    is_cut: bool = False


_ACTIONS = "build / test (push)"
SCENARIOS = [
    Scenario("nothing for 8 s, then green", "forgejo", {0: [], 8: [green()]}, "green", least=28),
    Scenario("an empty body for ever", "forgejo", {0: Answer(200, None)}, "none", least=60, most=75),
    Scenario(
        "green, then a second context red", "forgejo", {0: [green()], 12: [green(), Run("ci/y", "failure")]}, "red", most=30
    ),
    Scenario("a warning, which is a pipeline that a person declined", "forgejo", {0: [Run("ci/x", "warning")]}, "red"),
    Scenario(
        "run again after a red",
        "forgejo",
        {0: [Run("ci/x", "failure"), Run("ci/x", "pending")], 40: [Run("ci/x", "failure"), green()]},
        "green",
        least=60,
    ),
    Scenario("everything skipped", "forgejo", {0: [Run(_ACTIONS, "skipped")]}, "skipped"),
    Scenario("skipped beside success", "forgejo", {0: [green(), Run(_ACTIONS, "skipped")]}, "green"),
    Scenario("an unknown word", "forgejo", {0: [green(), Run("ci/y", "splendid")]}, "unknown"),
    Scenario(
        "a red schedule on the same commit", "forgejo", {0: [green(), Run("nightly / test (schedule)", "failure")]}, "green"
    ),
    Scenario("a red cron of Woodpecker", "forgejo", {0: [green(), Run("ci/woodpecker/cron/x", "failure")]}, "green"),
    Scenario(
        "superseded, seen by the status",
        "forgejo",
        {0: [Run("ci/woodpecker/push/x", "failure", "Pipeline was canceled")]},
        "green",
        tip={0: [Run("ci/woodpecker/push/x", "pending")], 50: [Run("ci/woodpecker/push/x", "success")]},
        least=70,
    ),
    Scenario(
        "a cancelled action without a successor", "forgejo", {0: [Run(_ACTIONS, "failure", "Has been cancelled")]}, "gone"
    ),
    Scenario(
        "blocked by the jobs before it",
        "forgejo",
        {0: [Run(_ACTIONS, "pending", "Blocked by required conditions")], 30: [green(_ACTIONS)]},
        "green",
        least=50,
    ),
    Scenario(
        "no runner takes it", "forgejo", {0: [Run(_ACTIONS, "pending", "Waiting to run")]}, "running", least=3600, is_cut=True
    ),
    Scenario(
        "two pages of statuses", "forgejo", {0: [*(green(f"ci/{n}") for n in range(59)), Run("ci/last", "failure")]}, "red"
    ),
    Scenario("half a minute of 503", "forgejo", {0: Answer(503), 30: [green()]}, "green", least=50),
    Scenario("away", "forgejo", {0: Answer(502)}, "unreachable", least=60, most=80),
    Scenario(
        "away in the middle, and back",
        "forgejo",
        {0: [Run("ci/x", "pending")], 20: Answer(500), 70: [green()]},
        "green",
        least=90,
    ),
    Scenario("Retry-After", "forgejo", {0: Answer(429, None, {"Retry-After": "30"}), 29: [green()]}, "green", least=50),
    Scenario(
        "Retry-After for longer than patience",
        "forgejo",
        {0: Answer(429, None, {"Retry-After": "300"}), 299: [green()]},
        "green",
        least=320,
    ),
    Scenario("a commit that the forge does not know yet", "forgejo", {0: Answer(404), 10: [green()]}, "green", least=30),
    Scenario("combined pending without statuses, checks green", "github", {0: [green()]}, "green", least=20),
    Scenario(
        "Actions' suite queued for 90 s", "github", {0: [Run("x", "queued", is_empty=True)], 90: [green()]}, "green", least=110
    ),
    Scenario(
        "another app's suite queued for ever",
        "github",
        {0: [green(), Run("y", "queued", app="coderabbit", is_empty=True)]},
        "green",
    ),
    Scenario("a file that could not be read", "github", {0: [Run("x", "startup_failure", is_empty=True)]}, "red"),
    Scenario(
        "a second workflow 15 s late, red", "github", {0: [green()], 15: [green(), Run("ci/y", "failure", number=2)]}, "red"
    ),
    Scenario("cancelled by concurrency", "github", {0: [Run("x", "cancelled")]}, "gone"),
    Scenario("cancelled by concurrency, and followed", "github", {0: [Run("x", "cancelled")]}, "green", tip={0: [green("x")]}),
    Scenario("waits for approval", "github", {0: [Run("x", "action_required")]}, "asks", most=1),
    Scenario("waits for an environment", "github", {0: [green(), Run("deploy", "waiting")]}, "asks", most=1),
    Scenario("neutral and skipped beside success", "github", {0: [green(), Run("y", "neutral"), Run("z", "skipped")]}, "green"),
    Scenario(
        "two jobs of one name, the older red",
        "github",
        {0: [Run("build", "failure", number=11), Run("build", "success", number=12)]},
        "green",
    ),
    Scenario(
        "two workflows with a job of one name",
        "github",
        {0: [Run("build", "failure", number=1), Run("build", "success", number=2)]},
        "red",
    ),
    Scenario(
        "a schedule on the same commit",
        "github",
        {0: [green(), Run("nightly", "failure", event="schedule", number=3)]},
        "green",
    ),
    Scenario(
        "another branch's push of the same commit",
        "github",
        {0: [green(), Run("ci/x", "failure", branch="try", number=3)]},
        "green",
    ),
    Scenario("a status beside checks", "github", {0: [green(), Run("ext", "error", app="status")]}, "red"),
    Scenario("a new word of a check", "github", {0: [Run("x", "superb")]}, "unknown"),
    Scenario("not made for 6 s", "gitlab", {0: [], 6: [green("x")]}, "green", least=26),
    Scenario("started by hand", "gitlab", {0: [Run("x", "manual")]}, "asks", most=1),
    Scenario(
        "an optional job by hand",
        "gitlab",
        {0: [Run("success:test", "success"), Run("manual:deploy", "success", allow_failure=True)]},
        "green",
    ),
    Scenario(
        "a job that may fail",
        "gitlab",
        {0: [Run("success:test", "success"), Run("failed:lint", "success", allow_failure=True)]},
        "green",
    ),
    Scenario("skipped by the message", "gitlab", {0: [Run("x", "skipped")]}, "skipped"),
    Scenario(
        "a red schedule on the same commit",
        "gitlab",
        {0: [green("x"), Run("x", "failed", event="schedule", number=2)]},
        "green",
    ),
    Scenario("cancelled", "gitlab", {0: [Run("x", "canceling")], 5: [Run("x", "canceled")]}, "gone"),
    Scenario("waiting for a resource", "gitlab", {0: [Run("x", "waiting_for_resource")], 30: [green("x")]}, "green", least=50),
    Scenario("blocked", "woodpecker", {0: [Run("pending:x", "blocked")]}, "asks", most=1),
    Scenario("declined", "woodpecker", {0: [Run("pending:x", "declined")]}, "red"),
    Scenario(
        "ended before it began, superseded",
        "woodpecker",
        {0: [Run("canceled:x", "canceled", superseded_by=2)]},
        "green",
        tip={0: [Run("success:x", "success", number=2)]},
        least=20,
    ),
    Scenario("run again", "woodpecker", {0: [Run("failure:x", "failure"), Run("success:x", "success", number=2)]}, "green"),
    Scenario("no pipeline ever", "woodpecker", {0: []}, "none", least=60, most=75),
    Scenario("a pipeline that filters took away", "woodpecker", {0: [Run("pending:x", "pending")], 4: []}, "none"),
    Scenario(
        "running, then killed by a push",
        "woodpecker",
        {0: [Run("running:x", "running")], 30: [Run("killed:x", "killed", superseded_by=2)]},
        "green",
        tip={30: [Run("running:x", "running", number=2)], 60: [Run("success:x", "success", number=2)]},
        least=80,
    ),
    Scenario("killed by a person", "woodpecker", {0: [Run("killed:x", "killed", canceled_by="ada")]}, "red"),
    Scenario(
        "a cron on the same commit", "woodpecker", {0: [green("x"), Run("x", "failure", event="cron", number=2)]}, "green"
    ),
    Scenario(
        "a try branch's pipeline on the same commit",
        "woodpecker",
        {0: [Run("x", "running"), Run("x", "success", branch="homelab/try/x", number=2)], 40: [green("x")]},
        "green",
        least=60,
    ),
    Scenario(
        "one workflow red, one running",
        "woodpecker",
        {0: [Run("failure:x", "running"), Run("running:y", "running")]},
        "red",
        most=1,
    ),
    Scenario("no workflow could be made", "woodpecker", {0: [Run("x", "error")]}, "red"),
    Scenario("an unknown state", "woodpecker", {0: [Run("x", "meditating")]}, "unknown"),
]


def at(clock: Clock, timeline: dict[float, Says]) -> Callable[[], Says]:
    """Return what says the timeline's state of now."""
    return lambda: timeline[max(moment for moment in timeline if moment <= clock.now())]


@pytest.mark.parametrize(
    "scenario",
    [
        # An hour on the virtual clock is ten seconds of questions.
        pytest.param(one, id=f"{one.kind}: {one.name}", marks=pytest.mark.slow if (one.least or 0) >= 3600 else ())
        for one in SCENARIOS
    ],
)
def test_a_scenario(scenario: Scenario) -> None:
    clock = Clock()
    with serving(scenario.kind) as forge:
        forge.says[COMMIT] = at(clock, scenario.commit)
        if scenario.tip is not None:
            forge.says[TIP] = at(clock, {0: [], **scenario.tip})
        outcome = follow(forge, clock, TIP if scenario.tip is not None else None)
    assert outcome.verdict is Verdict(scenario.verdict), outcome
    assert scenario.least <= outcome.waited <= scenario.most
    assert outcome.is_cut == scenario.is_cut
    assert outcome.followed == (TIP if scenario.tip is not None else None)


def follow(forge: Forge, clock: Clock, tip: str | None = None) -> watch.Outcome:
    """Return what a watcher of the commit on master says in the end."""
    place = Place(forge.kind, forge.url, forge.repository)
    asked = system(place, Client(place.api))
    return watch.watch(
        lambda commit: asked.look(commit, "master"), COMMIT, clock, successor=lambda commit: tip if commit == COMMIT else None
    )
