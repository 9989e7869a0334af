"""The words of each system and what they mean, as data. A word that is not here is unknown, and unknown is never green.

Each table names where its words were read, and when. A system adds words with new versions: add the row, the source and the
date together.
"""

from collections.abc import Mapping
from typing import NamedTuple

from homelab.ci.verdict import Verdict


class Table(NamedTuple):
    """The words of one field of one system."""

    source: str
    read: str
    words: Mapping[str, Verdict]

    def verdict(self, word: str | None) -> Verdict:
        """Return what a word means."""
        return self.words.get(word or "", Verdict.UNKNOWN)


def _table(source: str, read: str, **words: str) -> Table:
    return Table(source, read, {word: Verdict(verdict) for verdict, row in words.items() for word in row.split()})


#: A pipeline's state and a workflow's. `killed` and `canceled` say gone only where a later push did it; see woodpecker.py.
WOODPECKER = _table(
    "woodpecker-ci/woodpecker a4cb541, server/model/const.go",
    "2026-08-22",
    green="success",
    red="failure error killed declined",
    asks="blocked",
    running="created pending running",
    gone="canceled",
    skipped="skipped",
)

#: A commit status on Gitea, Forgejo and GitHub. Woodpecker writes `warning` for a pipeline that a person declined.
STATUS = _table(
    "go-gitea/gitea modules/commitstatus/commit_status.go; GitHub REST 2022-11-28, commit statuses",
    "2026-08-22",
    green="success",
    red="failure error warning",
    running="pending",
    skipped="skipped",
)

GITHUB_STATUS = _table(
    "@octokit/openapi 23, check-run and workflow-run `status`; `completed` is judged by its conclusion",
    "2026-10-01",
    running="queued in_progress requested pending",
    asks="waiting action_required",
)

GITHUB_CONCLUSION = _table(
    "@octokit/openapi 23, check-run and workflow-run `conclusion`; stale and startup_failure: GitHub docs, checks",
    "2026-10-01",
    green="success",
    red="failure timed_out startup_failure",
    asks="action_required",
    gone="cancelled stale",
    skipped="neutral skipped",
)

GITLAB = _table(
    "GitLab API documentation, pipelines and jobs `status`; python-gitlab 8.6",
    "2026-10-01",
    green="success",
    red="failed",
    asks="manual",
    running="created waiting_for_resource waiting_for_callback preparing pending running scheduled",
    gone="canceling canceled",
    skipped="skipped",
)
