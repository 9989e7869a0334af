"""CI as the doctor sees it: which system it is, whether it answers, and whether a try branch may be pushed."""

from typing import NamedTuple

from homelab.ci import target, try_branch
from homelab.ci.site import Site
from homelab.errors import Refused, Unreachable
from homelab.git.repository import Repository
from homelab.policy.states import State, require_target


class Health(NamedTuple):
    """CI of the target as it is found."""

    #: Which system it is, where, and for which repository; empty where a suite names CI and none is known.
    found: str
    #: What does not work, in a sentence, and what to do about it.
    problem: str = ""
    repair: str = ""


def examine(repository: Repository, rules: State) -> list[Health]:
    """Return what is found of CI of the target; nothing where no CI is known for it. Asks it one question."""
    try:
        remote, branch = require_target(rules)
    except (Refused, Unreachable):
        return []
    tip = repository.oid(f"refs/remotes/{remote}/{branch}")
    site = target.site(repository, rules, tip) if tip else None
    if site is None or tip is None:
        return []
    return [_answering(site), *_trying(repository, rules, tip)]


def _answering(site: Site) -> Health:
    words = f"CI is {site.words}, for {site.place.repository}"
    try:
        site.system.answers()
    except Unreachable as error:
        return Health(words, error.message, error.hint or "")
    return Health(words)


def _trying(repository: Repository, rules: State, tip: str) -> list[Health]:
    """Return why no try branch may be pushed, where a suite is decided by CI."""
    if not any(suite.ci for suite in rules.config.suites):
        return []
    try:
        try_branch.require_harmless(repository, rules, tip)
    except Refused as error:
        return [Health("", error.message, error.hint or "")]
    return []
