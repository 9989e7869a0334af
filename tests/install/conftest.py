"""The stages on which a shim is tried."""

from __future__ import annotations

import pytest

from tests.support.shim_stage import SHELLS, Stage, stage_for
from tests.support.world import World


@pytest.fixture(params=list(SHELLS))
def stage(request: pytest.FixtureRequest, world: World) -> Stage:
    return stage_for(world, request.param)


@pytest.fixture
def dash(world: World) -> Stage:
    return stage_for(world, "dash")
