"""Woodpecker: its own API, which tells what commit statuses hide: who waits for approval, and what a later push ended."""

from typing import Any
from urllib.parse import quote

from homelab.ci.client import Client
from homelab.ci.system import integer, link
from homelab.ci.trouble import Missing
from homelab.ci.verdict import OPEN, Check, Verdict, judge
from homelab.ci.words import WOODPECKER

#: Pipelines a page, the most that it gives, and how many pages back a commit is looked for: it has no filter by commit.
_PAGE, _PAGES = 50, 4


class Woodpecker:
    """One repository of a Woodpecker, which names repositories by number."""

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._id: int | None = None
        self._found: dict[str, int] = {}

    def look(self, commit: str, branch: str | None) -> list[Check]:
        """Return the workflows of the newest push pipeline of a commit, or the pipeline where these do not tell."""
        row = self._newest(commit, branch)
        if row is None:
            return []
        try:
            row = self._client.ask(f"{self._base()}/pipelines/{row['number']}") or row
        except Missing:  # one without workflows left is taken away again
            return []
        return self._checks(row)

    def unfinished(self, branch: str) -> list[str]:
        """Return the commits of the branch's pipelines that run, wait or are blocked."""
        rows = self._pipelines(branch, 1)
        return list(dict.fromkeys(str(row.get("commit")) for row in rows if WOODPECKER.verdict(row.get("status")) in OPEN))

    def tail(self, check: Check) -> str:
        """Return the last lines of the first step of a pipeline that failed."""
        pipeline = self._client.ask(f"{self._base()}/pipelines/{check.number}") or {}
        for workflow in pipeline.get("workflows") or []:
            if not check.name.endswith(f"/{workflow.get('name')}"):
                continue
            for step in workflow.get("children") or []:
                if WOODPECKER.verdict(step.get("state")) is Verdict.RED:
                    return self._log(check.number, integer(step.get("id")))
        return ""

    def answers(self) -> None:
        """Ask for the repository's number."""
        self._base()

    def _log(self, number: str, step: int) -> str:
        import base64

        rows = self._client.ask(f"{self._base()}/logs/{number}/{step}") or []
        lines = [row for row in rows if isinstance(row, dict) and row.get("data")]
        return "\n".join(base64.b64decode(row["data"]).decode(errors="replace").rstrip("\n") for row in lines)

    def _base(self) -> str:
        if self._id is None:  # names give the page of a browser, numbers the API
            found = self._client.ask(f"/api/repos/lookup/{quote(self._repository)}")
            self._id = integer((found or {}).get("id"))
        return f"/api/repos/{self._id}"

    def _newest(self, commit: str, branch: str | None) -> dict[str, Any] | None:
        """Return the pipeline of a commit with the highest number; a restart has a number of its own."""
        rows = [row for row in self._pipelines(branch, _PAGES, commit) if row.get("commit") == commit]
        return max(rows, key=lambda row: integer(row.get("number")), default=None)

    def _pipelines(self, branch: str | None, pages: int, commit: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in range(1, pages + 1):
            query: dict[str, str | int] = {"event": "push", "perPage": _PAGE, "page": page}
            if branch:
                query["branch"] = branch
            rows = self._client.ask(f"{self._base()}/pipelines", **query)
            rows = [row for row in rows or [] if isinstance(row, dict)]
            found += [row for row in rows if row.get("event", "push") == "push" and _is_on(row, branch)]
            if len(rows) < _PAGE or any(row.get("commit") == commit for row in rows):
                break
        return found

    def _checks(self, row: dict[str, Any]) -> list[Check]:
        number = str(row.get("number") or "")
        word = str(row.get("status") or "")
        name = f"ci/woodpecker/{row.get('event') or 'push'}"
        whole = Check(name, word, _verdict(word, row), self._url(row), number, number)
        parts = []
        for part in row.get("workflows") or []:
            state = str(part.get("state") or "")
            mark = f"{number}-{part.get('pid')}"
            check = Check(f"{name}/{part.get('name')}", state, _verdict(state, row), self._url(row, part), mark, number)
            parts.append(check)
        # The workflows of a pipeline that waits for approval are pending, and those of one that was ended are anything.
        if not parts or whole.verdict not in (Verdict.RUNNING, Verdict.GREEN, Verdict.RED):
            return [whole]
        return parts if judge([*parts, whole]) is judge(parts) else [*parts, whole]

    def _url(self, row: dict[str, Any], part: dict[str, Any] | None = None) -> str | None:
        end = f"/{part['pid']}" if part and part.get("pid") else ""
        return link(f"{self._client.url}/repos/{self._id}/pipeline/{row.get('number')}{end}")


def _is_on(row: dict[str, Any], branch: str | None) -> bool:
    return branch is None or row.get("branch") in (branch, None)


def _verdict(word: str, pipeline: dict[str, Any]) -> Verdict:
    """Return what a word means, given what ended the pipeline.

    A push ends one that runs with `killed`, one that waits with `canceled`, and so does a person (server/pipeline/cancel.go).
    """
    found = WOODPECKER.verdict(word)
    if word not in ("killed", "canceled"):
        return found
    ended = pipeline.get("cancel_info") or {}
    if ended.get("superseded_by"):
        return Verdict.GONE
    return Verdict.RED if ended.get("canceled_by_user") or ended.get("canceled_by_step") else found
