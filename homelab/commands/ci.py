"""``homelab ci status`` and ``homelab ci watch``: what CI says of a commit."""

import contextlib
from collections.abc import Iterator

import click

from homelab import output
from homelab.ci import report
from homelab.ci import site as cis
from homelab.ci.site import Site
from homelab.ci.watch import Outcome
from homelab.commands.app import json_option
from homelab.errors import Ending, HomelabError, Unreachable, Usage
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository, discover
from homelab.landing.journal import Journal
from homelab.policy import config_file
from homelab.policy.rules import read_rules
from homelab.policy.states import require_target
from homelab.system import proc


@click.command("status")
@click.argument("commit", required=False)
@json_option
def status(commit: str | None, as_json: bool) -> None:
    """Ask CI once what it says of COMMIT, or of the target's tip.

    Ends with 0 where it is green, 8 where it is red or wants somebody to act, 9 where it still runs or says nothing, 7 where
    it cannot be asked.
    """
    site, oid = _find(commit)
    with _told(oid, "none"):
        _answer(site, site.status(oid), as_json=as_json)


@click.command("watch")
@click.argument("commit", required=False)
@click.option("--timeout", metavar="DURATION", help="How long to wait: 90s, 15m, 2h. Default: 60m.")
@json_option
def watch(commit: str | None, timeout: str | None, as_json: bool) -> None:
    """Wait until what CI says of COMMIT, or of the target's tip, stands.

    Green has to hold for 20 seconds, since a second workflow may come late; no pipeline within a minute is none. A run that a
    later push ended is followed to that push. Ends as `homelab ci status` does.
    """
    limit = config_file.duration(timeout, "--timeout") if timeout is not None else None
    site, oid = _find(commit)
    with _told(oid, "none"):
        outcome = site.follow(oid, limit=limit, age=proc.age())
        if said := report.kept(outcome):
            Journal(site.repository.state).hear(oid, said)
        _answer(site, outcome, as_json=as_json)


def _find(revision: str | None) -> tuple[Site, str]:
    """Return CI of the target, and the commit that is asked for."""
    repository = discover()
    rules = read_rules(repository)
    remote, target = require_target(rules)
    with _told(revision, "unknown"):
        oid = _commit(repository, revision) if revision else _tip(repository, remote, target)
    with _told(oid, "none"):
        return cis.find(repository, remote, target, rules.config.ci), oid


@contextlib.contextmanager
def _told(commit: str | None, verdict: str) -> Iterator[None]:
    """Give an error the fields that every answer about CI has."""
    try:
        yield
    except Ending as error:
        error.fields = {"commit": commit, "verdict": verdict, "checks": [], "url": None, "waited": 0, **error.fields}
        raise


def _commit(repository: Repository, revision: str) -> str:
    oid = repository.oid(f"{revision}^{{commit}}")
    if oid is None:
        raise Usage(
            f"there is no commit {revision!r} in this clone", hint="`git fetch`, or name another; `git log` shows what there is"
        )
    return oid


def _tip(repository: Repository, remote: str, target: str) -> str:
    """Return the target's tip, of the remote where it answers, else as last fetched."""
    try:
        tip = fetch_branch(repository, remote, target)
    except Unreachable as error:
        tip = repository.oid(f"refs/remotes/{remote}/{target}")
        if tip is None:
            raise
        output.say(f"note: {error.message}; looking at {tip[:12]}, its tip when it was last fetched")
    if tip is None:
        raise Usage(f"{remote} has no branch {target} yet", hint="land something first: `homelab work land`")
    return tip


def _answer(site: Site, outcome: Outcome, *, as_json: bool) -> None:
    problem: HomelabError | None = report.problem(outcome)
    if problem is not None:
        raise problem
    if as_json:
        output.answer_json(report.document(outcome))
    else:
        output.sentence(output.line(report.sentence(outcome, site.words)))
