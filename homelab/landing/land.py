"""Landing: bring HEAD's work to the target on the remote, verified as it will be there, or say what kept it from that.

Landers of one clone draw tickets. The first leads: it lands its own work, together with what waits behind it where that
can be one batch, and tells the others what became of theirs. Whatever needs words or a worktree of its own (a conflict, a
review, a refusal) is left to the lander it concerns, when that one leads. How a leader lands is
`homelab.landing.leader`'s, which those who wait do not import: of many that start at once, most only wait, and each should be
in the queue soon.
"""

from collections.abc import Callable
from typing import Any

from homelab import output
from homelab.claims import identity
from homelab.errors import Bug, Ending, Failed, of_system_call
from homelab.git.repository import Repository
from homelab.landing import preconditions, waiting
from homelab.landing.journal import Journal
from homelab.landing.override import Override
from homelab.landing.queue import Place, Queue
from homelab.landing.report import Report, Status
from homelab.policy.rules import read_rules
from homelab.policy.states import State, require_target


def land(repository: Repository, asked: Override, told: Callable[[Report], None] = lambda report: None) -> Report:
    """Land HEAD's work on the target, and follow CI. Raises `HomelabError` with what went wrong; its fields are the report's.

    `told` hears of the landing as soon as it is done, before CI is asked: whatever CI says, it stays landed.
    """
    report = Report()
    try:
        # Drawn before anything is looked at, so that a leader sees who is about to come.
        with Queue(repository.state).drawn(repository.worktree or repository.git_dir, identity.session()) as place:
            rules = _prepare(repository, report, place, asked)
            with waiting.shown() as tell:
                found = place.wait(tell)
            if found is None:
                from homelab.landing import leader

                leader.lead(repository, rules, report, place, asked)
            else:
                _take(report, found)
        told(report)
        _watch(repository, rules, report, asked)
    except Ending as error:
        if not report.ok:
            report.status = Status.of_error(error.kind)
            if report.status is Status.FAILED:
                error.message = f"not landed: {error.message}"
            error.fields = {**report.fields(), **error.fields}
        else:
            error.fields = report.fields()
        raise
    except OSError as error:
        failed = of_system_call(error)
        failed.fields = report.fields()
        raise failed from error
    return report


def _prepare(repository: Repository, report: Report, place: Place, asked: Override) -> State:
    """Look whether the worktree can land, and say on the ticket what it brings. Return the rules from before the landing."""
    report.branch, head = preconditions.branch(repository)
    rules = read_rules(repository)
    report.remote = rules.remote
    report.remote, report.target = require_target(rules)
    preconditions.check(repository, report.branch, report.remote, report.target)
    place.ready(report.branch, head, alone=asked.alone)
    return rules


def _watch(repository: Repository, rules: State, report: Report, asked: Override) -> None:
    """Follow CI of the pushed tip, by the rules from before the landing. Raises its verdict where that is not green.

    Without CI, say what applies on push and where to look.
    """
    if report.pushed is None:
        return
    from homelab.ci import report as ci
    from homelab.ci import target, trigger

    wanted = rules.config.land.watch if asked.watch is None else asked.watch
    outcome = target.follow(repository, rules, report.pushed) if wanted else None
    if outcome is not None:
        report.ci = ci.document(outcome)
        if said := ci.kept(outcome):
            Journal(repository.state).hear(report.pushed, said)
        if (problem := ci.problem(outcome)) is not None:
            raise problem
        link = f": {url}" if (url := ci.url(outcome)) else ""
        output.say(output.line(f"CI is green for {report.pushed[:12]} after {output.duration(outcome.waited)}{link}"))
    elif word := trigger.skip_word(repository.objects.message(report.pushed)):
        output.say(output.line(f"the message of {report.pushed[:12]} says {word}, so CI leaves it out: nothing is applied"))
    else:
        output.say(f"CI applies on push: follow {report.pushed[:12]}{_link(repository, rules, report.pushed)}")


def _link(repository: Repository, rules: State, tip: str) -> str:
    """Return where to look at a pushed commit, where the remote's address tells."""
    from homelab.ci import where

    place = where.of_remote(repository.line("remote", "get-url", require_target(rules)[0]) or "")
    return f" at {place.url}/{place.repository}/commit/{tip}" if place.url and place.repository else ""


def _take(report: Report, told: dict[str, Any]) -> None:
    """Take over what a leader did with our ticket. Raises `Failed` where it is red."""
    try:
        report.status, report.commit, report.tree = Status(told["status"]), told["commit"], told["tree"]
        report.pushed, report.attempts, report.suites = told["pushed"], told["attempts"], told["suites"]
        words = (told["message"], told["hint"]) if report.status is not Status.LANDED else None
    except (KeyError, ValueError, TypeError) as error:
        raise Bug(f"the answer of the landing ahead cannot be read: {error!r}", hint="`homelab work land` again") from None
    if words is not None:
        from homelab.verify import results

        raise Failed(words[0], hint=words[1], evidence=results.evidence(report.suites))
