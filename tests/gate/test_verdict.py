"""The verdict alone: cases in, refusals out."""

import pytest

from homelab.gate.deletions import Loss
from homelab.gate.updates import Create, Delete, Update
from homelab.gate.verdict import Case, History, Verdict, judge

A, B = "a" * 40, "b" * 40


def refused(case: Case) -> str:
    return "; ".join(refusal.message for refusal in judge([case]))


@pytest.mark.parametrize("verdict", [Verdict.GREEN, Verdict.GRANTED])
def test_a_verified_update_passes(verdict: Verdict) -> None:
    assert judge([Case(Update("refs/heads/master", A, B), "master", verdict=verdict)]) == ()


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.RED, Verdict.UNVERIFIABLE, Verdict.UNREADABLE])
def test_anything_but_green_is_refused_with_a_hint(verdict: Verdict) -> None:
    [refusal] = judge([Case(Create("refs/heads/master", B), "master", verdict=verdict)])
    assert refusal.branch == "master" and refusal.message and refusal.hint


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_deletion_is_refused_whatever_is_known(verdict: Verdict) -> None:
    assert "deleted" in refused(Case(Delete("refs/heads/master", A), "master", verdict=verdict))


@pytest.mark.parametrize("history", [History.DROPS, History.UNKNOWN, History.NO_COMMIT])
def test_a_green_tree_does_not_excuse_dropped_commits(history: History) -> None:
    assert refused(Case(Update("refs/heads/master", A, B), "master", history, Verdict.GREEN))


@pytest.mark.parametrize("published", [True, False])
def test_no_hint_names_landing_where_it_leads_to_another_branch(published: bool) -> None:
    case = Case(Update("refs/heads/master", A, B), "master", remote="pages", lands=False, is_published=published)
    bad = [case._replace(history=history) for history in History if history is not History.KEEPS]
    bad += [case._replace(loss=Loss(30, 40)), *(case._replace(verdict=verdict) for verdict in Verdict)]
    hints = [refusal.hint for refusal in judge(bad)]
    assert len(hints) == 9 and not [hint for hint in hints if "`homelab work land" in hint]
    assert not published or all("pages only publishes" in hint for hint in hints)


def test_every_bad_update_has_its_own_refusal() -> None:
    good = Case(Update("refs/heads/master", A, B), "master", verdict=Verdict.GREEN)
    assert len(judge([good, Case(Delete("refs/heads/release/1", A), "release/1"), good])) == 1
