"""How short the way of a push is: counted call by call, so the bound is the same on every machine."""

import sys

from bench import ways
from tests.support.world import World


def test_what_a_push_is_judged_by_is_asked_once_and_handed_down(gated: World) -> None:
    gated.git("config", "remote.pushDefault", "origin")  # a variable of the section that is no remote
    way = ways.push(gated, "feature")
    # At 82beeac it was 75 stays, 34 of them back up, and 56 returns; half of each is the bound.
    assert len(way.stays) <= 37 and way.ups <= 17 and way.returns <= 28, way.stays
    assert [argv[1] for argv, _ in way.started if argv[1][0] != "-"] == ["rev-parse", "config", "for-each-ref", "rev-list"]
    assert len(way.started) == 5, way.started


def test_a_push_that_is_thought_about_imports_no_dataclasses(gated: World) -> None:
    head = gated.git("rev-parse", "HEAD")
    update = f"refs/heads/feature {head} refs/heads/feature {'0' * 40}\n"
    program = ("-X", "importtime", "-I", "-m", "homelab_hooks.verified_push", "--native", "origin", "url")
    imported = gated.run(sys.executable, *program, input=update).stderr  # ADR 27
    assert "homelab.gate.admission" in imported and "dataclasses" not in imported and "inspect" not in imported


def test_the_functions_of_one_stack_have_names_of_their_own_and_a_landing_is_seven_calls_from_its_push(gated: World) -> None:
    landing = ways.land(gated)
    claim = ways.follow(gated, "homelab.cli", "claim", "stack:dns", "--purpose", "measure")
    for argv, stack in (*landing.started, *claim.started):
        names = [place.rpartition(".")[2].strip("_") for place in stack]
        assert len(set(names)) == len(names), (argv, stack)
    push = landing.stack("push", "--porcelain")
    assert push.index("homelab.landing.target.push") - push.index("homelab.commands.land.work_land") <= 7, push
