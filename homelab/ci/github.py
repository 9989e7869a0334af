"""GitHub: check runs and commit statuses, with the runs of Actions, which alone say what event and branch is behind a check."""

from typing import Any
from urllib.parse import quote

from homelab.ci.client import Client
from homelab.ci.system import link, newest, of_push, of_status
from homelab.ci.trouble import Denied, Missing
from homelab.ci.verdict import Check, Verdict
from homelab.ci.words import GITHUB_CONCLUSION, GITHUB_STATUS

_ACTIONS = "github-actions"


class GitHub:
    """One repository of github.com, or of a GitHub of one's own below `/api/v3`."""

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._base = f"/repos/{quote(repository)}"

    def look(self, commit: str, branch: str | None) -> list[Check]:
        """Return the checks and statuses of a commit that a push to the branch made."""
        try:
            statuses = self._statuses(commit)
        except Missing:
            self.answers()  # the repository is there, so it is the commit that has nothing
            return []
        runs = self._runs(head_sha=commit)
        latest = newest((row for row in runs if _counts(row, branch)), "workflow_id")
        kept = {row.get("check_suite_id"): row.get("workflow_id") for row in latest}
        left_out = {row.get("check_suite_id") for row in runs} - set(kept)
        try:
            checks = [row for row in self._check_runs(commit) if _suite_id(row) not in left_out]
            suites = self._suites(commit)
        except (Denied, Missing):
            # Fine-grained tokens cannot be given Checks: the runs of Actions say the same, with less detail.
            return [*statuses, *map(_run, latest)]
        for row in checks:  # two workflows may each have a job of one name, and a rerun has the same name once more
            app = (row.get("app") or {}).get("slug")
            row["of"] = f"{row.get('name')}\0{app}\0{kept.get(_suite_id(row), _suite_id(row))}"
        seen = {_suite_id(row) for row in checks}
        # A suite of Actions without a check is work to come, however long it takes, or a file that could not be read.
        # Another app's may stay queued for ever (nodejs/node-core-utils#1160).
        early = [
            _suite(row)
            for row in suites
            if (row.get("app") or {}).get("slug") == _ACTIONS
            and row.get("id") not in seen | left_out
            and (branch is None or row.get("head_branch") in (branch, None))
        ]
        return [*statuses, *map(_check, newest(checks, "of")), *early]

    def unfinished(self, branch: str) -> list[str]:
        """Return the commits of the newest hundred push runs of the branch that are not completed."""
        rows = self._runs(branch=branch, event="push")
        return list(
            dict.fromkeys(str(row.get("head_sha")) for row in rows if row.get("status") != "completed" and _counts(row, branch))
        )

    def tail(self, check: Check) -> str:
        """Return nothing: logs are behind a redirect to a store, and only for those who may write."""
        return ""

    def answers(self) -> None:
        """Ask for the repository."""
        self._client.ask(self._base)

    def _statuses(self, commit: str) -> list[Check]:
        # The combined answer for its list: its own `state` is pending for ever where there are no statuses.
        rows = self._client.pages(f"{self._base}/commits/{commit}/status", "statuses")
        return [of_status(row) for row in newest(rows, "context") if of_push(str(row.get("context") or ""))]

    def _runs(self, **query: str | int) -> list[dict[str, Any]]:
        try:
            return list(self._client.pages(f"{self._base}/actions/runs", "workflow_runs", query))
        except (Denied, Missing):  # Actions are switched off, or not for this token
            return []

    def _check_runs(self, commit: str) -> list[dict[str, Any]]:
        return list(self._client.pages(f"{self._base}/commits/{commit}/check-runs", "check_runs", {"filter": "latest"}))

    def _suites(self, commit: str) -> list[dict[str, Any]]:
        return list(self._client.pages(f"{self._base}/commits/{commit}/check-suites", "check_suites"))


def _suite_id(check: dict[str, Any]) -> Any:
    return (check.get("check_suite") or {}).get("id")


def _counts(run: dict[str, Any], branch: str | None) -> bool:
    return run.get("event", "push") == "push" and (branch is None or run.get("head_branch") in (branch, None))


def _verdict(row: dict[str, Any]) -> tuple[str, Verdict]:
    """Return the word that decides, and what it means."""
    status = str(row.get("status") or "")
    if status != "completed":
        return status, GITHUB_STATUS.verdict(status)
    conclusion = str(row.get("conclusion") or "")
    return conclusion, GITHUB_CONCLUSION.verdict(conclusion)


def _check(row: dict[str, Any]) -> Check:
    word, verdict = _verdict(row)
    return Check(
        str(row.get("name")), word, verdict, link(row.get("html_url") or row.get("details_url")), f"check-{row.get('id')}"
    )


def _run(row: dict[str, Any]) -> Check:
    word, verdict = _verdict(row)
    number = str(row.get("run_number") or "")
    return Check(
        str(row.get("name")), word, verdict, link(row.get("html_url")), f"run-{row.get('id')}-{row.get('run_attempt')}", number
    )


def _suite(row: dict[str, Any]) -> Check:
    word, verdict = _verdict(row)
    return Check("GitHub Actions", word, verdict, None, f"suite-{row.get('id')}")
