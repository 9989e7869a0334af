"""How short the way of a push is: counted call by call, so the bound is the same on every machine."""

from bench import ways
from tests.support.world import World


def test_what_a_push_is_judged_by_is_asked_once_and_handed_down(gated: World) -> None:
    gated.git("config", "remote.pushDefault", "origin")  # a variable of the section that is no remote
    way = ways.push(gated, "feature")
    # At 82beeac it was 75 stays, 34 of them back up, and 56 returns; half of each (issue 9).
    assert len(way.stays) <= 37 and way.ups <= 17 and way.returns <= 28, way.stays
    assert [argv[1] for argv, _ in way.started if argv[1][0] != "-"] == ["rev-parse", "config", "for-each-ref", "rev-list"]
    assert len(way.started) == 5, way.started
