"""Recovery: what landers that were killed had begun to push is settled by asking the remote."""

import time
from pathlib import Path

from homelab import output
from homelab.errors import Unreachable
from homelab.gate import grants
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository
from homelab.landing.journal import Journal, Landing, is_in_flight
from homelab.system import clock

#: Seconds that the push of a dead lander may still take.
_IN_FLIGHT = 30


def settle_earlier(repository: Repository) -> None:
    """Settle every intent that a dead lander left, once its push has ended. A grant for what did not land is taken back.

    One whose remote is gone or cannot be reached stays: it must not hold up what lands elsewhere.
    """
    journal = Journal(repository.state)
    for landing, lock in list(journal.open_intents()):
        _wait_for(landing, lock)
        if landing.remote not in repository.settings().remotes:
            grants.revoke(repository, landing.commit, landing.target)
            journal.close(landing._replace(status="unreachable", reason="the remote is gone", finished=clock.now()))
            continue
        try:
            tip = fetch_branch(repository, landing.remote, landing.target)
        except Unreachable:
            continue
        if tip is not None and repository.is_ancestor(landing.commit, tip):
            output.say(f"an earlier landing of {landing.branch} did reach {landing.target}")
            journal.close(landing._replace(status="landed", finished=clock.now()))
        elif not is_in_flight(lock):
            grants.revoke(repository, landing.commit, landing.target)
            journal.drop(landing.id)


def _wait_for(landing: Landing, lock: Path) -> None:
    """Wait for the push of a dead lander to end, or for its time to be up."""
    deadline = time.monotonic() + _IN_FLIGHT
    if is_in_flight(lock):
        output.say(f"an earlier push of {landing.branch} is still under way; waiting for it")
    while is_in_flight(lock) and time.monotonic() < deadline:
        time.sleep(0.1)
