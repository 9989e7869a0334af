"""What is not remembered of a push as a whole: looked up run by run, and run where the policy says so.

Imported only then: it brings verification, which is half of all that a push imports.
"""

import contextlib

from homelab import output
from homelab.errors import HomelabError
from homelab.gate import server
from homelab.gate.verdict import Case, Verdict
from homelab.git.repository import Repository
from homelab.verify import verification
from homelab.verify.baseline import Baseline
from homelab.verify.suites import Demand


def decide(
    repository: Repository,
    case: Case,
    commit: str,
    demand: Demand,
    baseline: Baseline | None,
    *,
    remembered_only: bool,
) -> Case:
    """Return the case with what its commit is known for, having run what is missing unless `remembered_only`."""
    if remembered_only:
        comparison = verification.compared(repository, commit, baseline)
        if missing := verification.lookup(repository, demand, comparison)[1]:
            return case._replace(reason=f"not known to be green: {output.names((each.label for each in missing), 3)}")
    if by_ci := _undecided_by_ci(repository, demand):
        # CI would need a try branch, and a push that waits for it loses its connection: landing does both.
        reason = f"CI has not decided {output.names(by_ci, 3)} for it"
        return case._replace(verdict=Verdict.UNABLE, reason=reason, hint="`homelab work land`")
    # Of many pushes at a time one runs its suites on a server.
    turn = server.turn(repository) if case.received else contextlib.nullcontext()
    try:
        with turn:
            verified = verification.ensure(repository, commit, demand, baseline=baseline)
    except verification.Unverifiable as error:
        return case._replace(verdict=Verdict.UNVERIFIABLE, reason=error.message, hint=error.hint or "")
    except verification.Unable as error:
        return case._replace(verdict=Verdict.UNABLE, reason=error.message, hint=error.hint or "", evidence=error.evidence)
    except verification.Red as error:
        return case._replace(verdict=Verdict.RED, reason=error.message, evidence=error.evidence)
    except HomelabError as error:
        return case._replace(reason=f"it cannot be verified here: {error.message}")
    return case._replace(verdict=Verdict.GREEN, lasting=verified.lasting)


def _undecided_by_ci(repository: Repository, demand: Demand) -> list[str]:
    """Return the runs that CI decides and has not decided yet. Where it decides none, no receipt is read for that."""
    if all(each.suite.ci is None for each in demand.runs):
        return []
    return [each.label for each in verification.lookup(repository, demand)[1] if each.suite.ci is not None]
