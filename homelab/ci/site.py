"""CI of one branch of a remote: found, asked and followed. What landing, the commands and the gate use of this package.

Nothing is asked before somebody wants to know: `find` and `has_files` look at settings and objects alone.
"""

import hashlib
import json
import os
import time
from typing import Any, NamedTuple

from homelab import output
from homelab.ci import last_heard, trigger, watch
from homelab.ci.progress import Progress
from homelab.ci.system import Names, System
from homelab.ci.trouble import Away
from homelab.ci.verdict import OPEN, Check, Verdict
from homelab.ci.watch import Outcome, Paced
from homelab.ci.where import Place, place, with_kind
from homelab.errors import CiSilent, HomelabError, Unreachable
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository
from homelab.policy.config import Ci
from homelab.system import files

PACE = "HOMELAB_CI_PACE"
_NAMED = {"woodpecker": "Woodpecker", "forgejo": "Forgejo", "github": "GitHub", "gitlab": "GitLab"}
#: How many commits are asked for when open pipelines are looked for: as many as land as one batch.
_RECENT = 16
_TAILS, _TAIL_LINES = 3, 20


class Unknown(CiSilent):
    """Nothing tells which system follows this remote."""


class Site(NamedTuple):
    """CI of one branch of a remote."""

    repository: Repository
    remote: str
    branch: str
    place: Place
    system: System
    names: Names
    clock: Paced
    #: What a shared answer is filed under besides the commit: another address or another choice of names is another answer.
    mark: str
    #: Whether the branch is there to be judged, and nothing lands on it.
    is_try: bool = False

    @property
    def words(self) -> str:
        """Return how people call it: the system and its host."""
        return f"{_NAMED[self.place.kind or '']} at {self.place.host}"

    def look(self, commit: str) -> list[Check]:
        """Return the checks that count for a commit of the branch, as they are now. Raises `Unreachable`."""
        try:
            found = self.names.among(self.system.look(commit, self.branch))
        except (KeyError, TypeError, AttributeError, ValueError):  # another program may listen there
            raise Away(
                f"{self.words} gives an answer that homelab does not understand", hint="look at [ci] kind and url"
            ) from None
        tried = frozenset() if self.is_try else last_heard.discounted(self.repository, commit)
        return [check for check in found if check.id not in tried]

    def status(self, commit: str) -> Outcome:
        """Return what CI says of a commit now."""
        outcome = watch.once(self.look, commit, self.clock)
        if outcome.verdict is not Verdict.UNREACHABLE:
            self.remember(outcome)
        return self._told(outcome)

    def remember(self, outcome: Outcome) -> None:
        """Keep an outcome in the clone, so that nobody has to ask for it again."""
        last_heard.remember(self.repository, self._key(outcome.commit), outcome)

    def remembered(self, commit: str) -> Outcome | None:
        """Return what was last heard of a commit, or None. Nobody is asked."""
        found = last_heard.remembered(self.repository, self._key(commit))
        return found[0] if found else None

    def follow(self, commit: str, *, limit: float | None = None, age: float = 0.0) -> Outcome:
        """Return the final verdict on a commit, or what was known after `limit` real seconds (an hour by default).

        A tip that supersedes it is followed. Of many processes of a clone that follow one commit, one asks; what it was told
        up to `age` seconds ago counts, for a caller that wanted to know so long ago.
        """
        if trigger.is_skipped(self.repository.objects.message(commit)) and (now := self.status(commit)).verdict is Verdict.NONE:
            return now._replace(verdict=Verdict.SKIPPED)  # it will not come, so nobody waits for it
        virtual = watch.LIMIT if limit is None else limit / self.clock.pace
        with Progress(self.words) as progress:
            outcome = last_heard.together(
                self.repository,
                self._key(commit),
                self.clock,
                lambda told: watch.watch(self.look, commit, self.clock, limit=virtual, successor=self._successor, told=told),
                limit=virtual,
                told=progress.tell,
                since=time.time() - age,
            )
        return self._told(outcome)

    def open_checks(self, tip: str) -> tuple[list[Check], bool]:
        """Return the checks of the branch that run, wait or are blocked, and whether the tip has any check at all.

        Raises `Unreachable`.
        """
        looks: dict[str, list[Check]] = {}
        for commit in self._recent(tip):
            looks[commit] = self.look(commit)
            if looks[commit] and not any(check.verdict in OPEN for check in looks[commit]):
                break  # what is older was overtaken by one that has ended
        for commit in self.system.unfinished(self.branch)[:_RECENT]:
            if commit not in looks:
                looks[commit] = self.look(commit)
        return [check for checks in looks.values() for check in checks if check.verdict in OPEN], bool(looks[tip])

    def _recent(self, tip: str) -> list[str]:
        """Return the tip, and the commits before it where no question finds a branch's open pipelines."""
        if self.place.kind != "forgejo":
            return [tip]
        rows = self.repository.line("rev-list", "--first-parent", f"--max-count={_RECENT}", tip)
        return (rows or tip).split("\n")

    def tails(self, outcome: Outcome) -> list[tuple[str, str]]:
        """Return the last lines of what is red, each with the check's name; what cannot be had is left out."""
        found = []
        for check in [check for check in outcome.checks if check.verdict is Verdict.RED][:_TAILS]:
            try:
                text = self.system.tail(check)
            except (Unreachable, ValueError, TypeError, KeyError):
                continue
            if text.strip():
                found.append((f"{check.label} ended with:", "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])))
        return found

    def _told(self, outcome: Outcome) -> Outcome:
        """Return an outcome in real seconds, with the last lines of what is red."""
        return outcome._replace(waited=outcome.waited * self.clock.pace, tails=tuple(self.tails(outcome)))

    def _key(self, commit: str) -> str:
        return f"{commit}-{self.mark}"

    def _successor(self, commit: str) -> str | None:
        """Return the branch's tip where it is a later one that contains the commit."""
        try:
            tip = fetch_branch(self.repository, self.remote, self.branch)
        except HomelabError:
            return None
        if tip in (None, commit) or not self.repository.is_ancestor(commit, tip or ""):
            return None
        output.say(f"CI of {commit[:12]} was superseded; following {(tip or '')[:12]}, which contains it")
        return tip


def find(repository: Repository, remote: str, branch: str, ci: Ci, *, is_try: bool = False) -> Site:
    """Return CI of a remote's branch. Raises `Unknown`.

    A host that nobody knows by name is asked once in a clone which system it is.
    """
    address = repository.line("remote", "get-url", remote) or ""
    found = place(ci, address)
    if found.kind is None and found.url:
        found = with_kind(found, _kind(repository, found.url))
    if found.kind is None or found.url is None or found.repository is None:
        what = f"nothing known follows CI for {remote}" if found.kind != "woodpecker" else "nothing tells Woodpecker's address"
        raise Unknown(what, hint="name it in homelab.toml: [ci] kind, url and repository; or `homelab work land --no-watch`")
    from homelab.ci import token
    from homelab.ci.client import PATIENCE, Client

    secret = token.secret(repository, found)
    clock = Paced(_pace(found))
    client = Client(found.api, secret, PATIENCE * max(clock.pace, 0.25))
    said = json.dumps([found.url, found.repository, branch, list(ci.checks), bool(secret)])
    mark = hashlib.sha256(said.encode()).hexdigest()[:8]
    return Site(repository, remote, branch, found, system(found, client), Names(ci.checks), clock, mark, is_try)


def _pace(found: Place) -> float:
    """Return the factor on every wait, for tests: a real CI far away must not be hurried."""
    try:
        pace = float(os.environ.get(PACE, ""))
    except ValueError:
        return 1.0
    return pace if found.is_loopback and 0.01 <= pace <= 1 else 1.0


def system(found: Place, client: Any) -> System:
    """Return the client of a place's system."""
    from homelab.ci import forgejo, github, gitlab, woodpecker

    repository = found.repository or ""
    match found.kind:
        case "github":
            return github.GitHub(client, repository)
        case "gitlab":
            return gitlab.GitLab(client, repository)
        case "woodpecker":
            return woodpecker.Woodpecker(client, repository)
    return forgejo.Forgejo(client, repository)


def _kind(repository: Repository, address: str) -> str | None:
    """Return which system a host runs. It is asked once in a clone; only an answer is kept."""
    from homelab.ci.client import Client
    from homelab.ci.trouble import Denied

    kept = repository.state / "ci" / "kinds.json"
    known = files.document(kept, {}) or {}
    if isinstance(known.get(address), str):
        return str(known[address])
    client = Client(address)  # without a token: nobody knows yet who that is
    for kind, path, field in (
        ("forgejo", "/api/v1/version", "version"),
        ("gitlab", "/api/v4/version", "version"),
        ("github", "/api/v3/meta", "installed_version"),
    ):
        try:
            answer = client.ask(path)
        except Denied:  # GitLab tells its version to nobody without a token
            answer = {field: ""} if kind == "gitlab" else None
        except Unreachable:
            answer = None
        if isinstance(answer, dict) and field in answer:
            files.replace(kept, json.dumps({**known, address: kind}).encode())
            return kind
    return None
