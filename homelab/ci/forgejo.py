"""Forgejo and Gitea: commit statuses, which their Actions, Woodpecker and everything else from outside write."""

from urllib.parse import quote

from homelab.ci.client import Client
from homelab.ci.system import newest, of_push, of_status
from homelab.ci.trouble import Missing
from homelab.ci.verdict import Check


class Forgejo:
    """One repository of a Forgejo or Gitea."""

    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._base = f"/api/v1/repos/{quote(repository)}"

    def look(self, commit: str, branch: str | None) -> list[Check]:
        """Return the statuses of a commit. They name no branch: what was written for another branch's push counts too."""
        # The list, never the combined status: that one is `pending` for none, and takes warnings for success.
        try:
            rows = list(self._client.pages(f"{self._base}/commits/{commit}/statuses", size="limit", most=50))
        except Missing:
            self.answers()  # the repository is there, so it is the commit that has nothing
            return []
        return [of_status(row) for row in newest(rows, "context") if of_push(str(row.get("context") or ""))]

    def unfinished(self, branch: str) -> list[str]:
        """Return nothing: no question is answered by every version; the caller looks at the branch's last commits."""
        return []

    def tail(self, check: Check) -> str:
        """Return nothing: no version gives an Actions' log to a token."""
        return ""

    def answers(self) -> None:
        """Ask for the repository."""
        self._client.ask(self._base)
