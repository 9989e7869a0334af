"""GitLab: the newest pipeline that a push made, whose own word counts, and its jobs for their names."""

from typing import Any
from urllib.parse import quote

from homelab.ci.client import Client
from homelab.ci.system import integer, link, newest
from homelab.ci.trouble import Denied, Missing
from homelab.ci.verdict import OPEN, Check, Verdict
from homelab.ci.words import GITLAB

#: Behind a push; schedules, the API and merge requests run on the same commit.
_SOURCES = ("push", "external", None)


class GitLab:
    """One project of a GitLab."""

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._base = f"/api/v4/projects/{quote(repository, safe='')}"

    def look(self, commit: str, branch: str | None) -> list[Check]:
        """Return the newest push pipeline of a commit, and its jobs."""
        query = {"sha": commit, **({"ref": branch} if branch else {})}
        rows = [row for row in self._pipelines(query) if row.get("sha") == commit]
        pipeline = max(rows, key=lambda row: integer(row.get("id")), default=None)
        return [] if pipeline is None else [_whole(pipeline), *self._jobs(pipeline)]

    def unfinished(self, branch: str) -> list[str]:
        """Return the commits of the branch's newest pipelines that run, wait or are blocked."""
        rows = self._pipelines({"ref": branch})
        return list(dict.fromkeys(str(row.get("sha")) for row in rows if GITLAB.verdict(row.get("status")) in OPEN))

    def tail(self, check: Check) -> str:
        """Return the last lines of a job's log."""
        return self._client.text(f"{self._base}/jobs/{check.id}/trace") if check.id.isdigit() else ""

    def answers(self) -> None:
        """Ask for the project."""
        self._client.ask(self._base)

    def _pipelines(self, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = self._client.ask(f"{self._base}/pipelines", **query, per_page=50) or []
        return [row for row in rows if isinstance(row, dict) and row.get("source") in _SOURCES]

    def _jobs(self, pipeline: dict[str, Any]) -> list[Check]:
        try:
            rows = self._client.pages(f"{self._base}/pipelines/{integer(pipeline.get('id'))}/jobs")
            return [_job(row) for row in newest(rows, "name")]
        except (Denied, Missing):  # a project may show its pipelines and not its jobs
            return []


def _whole(row: dict[str, Any]) -> Check:
    word = str(row.get("status") or "")
    return Check(
        "pipeline", word, GITLAB.verdict(word), link(row.get("web_url")), f"pipeline-{row.get('id')}", str(row.get("id") or "")
    )


def _job(row: dict[str, Any]) -> Check:
    """Return a job. One that may fail, and one that may be started by hand, does not decide: its pipeline goes on without."""
    word = str(row.get("status") or "")
    verdict = GITLAB.verdict(word)
    if row.get("allow_failure") and verdict in (Verdict.RED, Verdict.ASKS, Verdict.GONE):
        verdict = Verdict.SKIPPED
    return Check(str(row.get("name")), word, verdict, link(row.get("web_url")), str(row.get("id") or ""))
