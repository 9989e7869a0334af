"""Stand-ins for four systems: real HTTP on loopback, answers as their makers describe them, what they say set by the test.

`tests/ci/test_contracts.py` holds the answers to the OpenAPI description of GitHub and to clients that others wrote.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.world import World

OPENAPI: dict[str, Any] = json.loads(Path(__file__).with_name("github_openapi.json").read_text())
KINDS = ("forgejo", "github", "gitlab", "woodpecker")
_WHEN = "2026-11-25T12:00:00Z"


@dataclass(frozen=True)
class Run:
    """One check of a commit, as a system has it. `word` is a state, on GitHub a status or a conclusion."""

    name: str
    word: str
    description: str = ""
    event: str = "push"
    branch: str = "master"
    #: Runs of one pipeline share its number; a restart has another.
    number: int = 1
    #: GitHub: another app than Actions, or a status instead of a check run.
    app: str = "github-actions"
    #: GitHub: a suite in which no check has begun.
    is_empty: bool = False
    superseded_by: int = 0
    canceled_by: str = ""
    allow_failure: bool = False
    log: str = ""


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    status: int = 200
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None


Says = Callable[[], list[Run] | Answer]


@dataclass
class Forge:
    """One system on loopback. `says` gives what a commit has by now, or an answer to give instead of any."""

    kind: str
    url: str = ""
    repository: str = "ada/infra"
    #: A commit's full name to what it has. The empty name stands for every other commit.
    says: dict[str, Says] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    #: Paths that are answered otherwise: by their end.
    instead: dict[str, Callable[[Request], Answer]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self, commit: str, *runs: Run) -> None:
        """The commit has these from now on."""
        self.says[commit] = lambda: list(runs)

    def answer(self, request: Request) -> Answer:
        """Return what the system says to a request."""
        with self.lock:
            self.requests.append(request)
        for end, made in self.instead.items():
            if request.path.endswith(end):
                return made(request)
        try:
            return _SYSTEMS[self.kind](self, request)
        except _Instead as other:
            return other.answer

    def runs(self, commit: str) -> list[Run]:
        """Return what a commit has by now."""
        said = self.says.get(commit, self.says.get("", list))()
        if isinstance(said, Answer):
            raise _Instead(said)
        return said

    def every(self) -> list[tuple[str, Run]]:
        """Return everything there is, with its commit."""
        return [(commit, run) for commit in self.says if commit for run in self.runs(commit)]

    def config(self) -> str:
        """Return the section of homelab.toml that names it."""
        return f'[ci]\nkind = "{self.kind}"\nurl = "{self.url}"\nrepository = "{self.repository}"\n'


class _Instead(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def _page(rows: list[Any], request: Request, size: str, most: int) -> tuple[list[Any], dict[str, str]]:
    count = min(int(request.query.get(size, most)), most)
    page = int(request.query.get("page", 1))
    return rows[(page - 1) * count : page * count], {"X-Total-Count": str(len(rows))}


def _forgejo(forge: Forge, request: Request) -> Answer:
    base = f"/api/v1/repos/{forge.repository}"
    if request.path == "/api/v1/version":
        return Answer(document={"version": "13.0.1+gitea-1.22.0"})
    if request.path == base:
        return Answer(document={"id": 1, "full_name": forge.repository, "name": forge.repository.rpartition("/")[2]})
    if request.path.startswith(f"{base}/commits/") and request.path.endswith(("/statuses", "/status")):
        runs = forge.runs(request.path.removeprefix(f"{base}/commits/").rpartition("/")[0])
        rows = [status(run, n, forge.url) for n, run in enumerate(runs, 1)][::-1]
        if request.path.endswith("/status"):  # the combined answer, which nobody should believe
            return Answer(document={"state": "pending", "statuses": rows, "total_count": len(rows)})
        page, headers = _page(rows, request, "limit", 50)
        return Answer(document=page, headers=headers)
    return Answer(404, {"message": "not found"})


def status(run: Run, number: int, url: str) -> dict[str, Any]:
    """Return a commit status as Forgejo and Gitea write it."""
    return {
        "id": number,
        "status": run.word,
        "context": run.name,
        "description": run.description,
        "url": url,
        "target_url": f"{url}/ada/infra/actions/runs/{run.number}/jobs/0",
        "creator": None,
        "created_at": _WHEN,
        "updated_at": _WHEN,
    }


def fill(schema: dict[str, Any]) -> Any:
    """Return the least that a schema of GitHub's description allows."""
    if "$ref" in schema:
        return fill(OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return None if {"type": "null"} in schema[several] else fill(schema[several][0])
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: fill(schema["properties"][name]) for name in schema.get("required", [])}
    return {"string": "", "integer": 0, "boolean": False, "array": [], "number": 0}[kind]


def _made(schema: str, /, **known: Any) -> dict[str, Any]:
    return {**fill({**OPENAPI["components"]["schemas"][schema], "type": "object"}), **known}


_UNFINISHED = ("queued", "in_progress", "waiting", "requested", "pending")


def _words(run: Run) -> dict[str, Any]:
    return (
        {"status": run.word, "conclusion": None} if run.word in _UNFINISHED else {"status": "completed", "conclusion": run.word}
    )


def _github(forge: Forge, request: Request) -> Answer:
    base = f"/api/v3/repos/{forge.repository}"
    if request.path == "/api/v3/meta":
        return Answer(document={"verifiable_password_authentication": True, "installed_version": "3.19.1"})
    if request.path == base:
        return Answer(document=_made("minimal-repository", id=1, full_name=forge.repository))
    if request.path == f"{base}/actions/runs":
        return _github_runs(forge, request)
    found = request.path.removeprefix(f"{base}/commits/").split("/")
    if len(found) != 2 or found[1] not in ("status", "check-runs", "check-suites"):
        return Answer(404, {"message": "Not Found"})
    commit, what = found
    runs = list(enumerate(forge.runs(commit), 1))
    if what == "status":
        rows = [_github_status(run, n) for n, run in runs if run.app == "status"][::-1]
        page, _ = _page(rows, request, "per_page", 100)
        # What is pending for ever where there are no statuses.
        known = {
            "state": "pending" if not rows else rows[0]["state"],
            "sha": commit,
            "total_count": len(rows),
            "statuses": page,
        }
        return Answer(document=_made("combined-commit-status", **known))
    apps = [(n, run) for n, run in runs if run.app != "status"]
    if what == "check-runs":
        rows = [_github_check(run, n, commit) for n, run in apps if not run.is_empty]
        name = "check_runs"
    else:
        suites = {(run.app, run.number, run.event, run.branch): run for _, run in apps}
        rows = [_github_suite(run, commit) for run in suites.values()]
        name = "check_suites"
    page, _ = _page(rows, request, "per_page", 100)
    return Answer(document={"total_count": len(rows), name: page})


def _suite_number(run: Run) -> int:
    return run.number * 100 + sum(map(ord, f"{run.app}{run.event}{run.branch}")) % 100


def _github_app(run: Run) -> dict[str, Any]:
    return _made("nullable-integration", id=1, slug=run.app, name=run.app)


def _github_status(run: Run, number: int) -> dict[str, Any]:
    known = {
        "id": number,
        "state": run.word,
        "context": run.name,
        "description": run.description,
        "target_url": "https://ci.example/1",
    }
    return _made("simple-commit-status", created_at=_WHEN, updated_at=_WHEN, **known)


def _github_check(run: Run, number: int, commit: str) -> dict[str, Any]:
    return _made(
        "check-run",
        id=number,
        name=run.name,
        head_sha=commit,
        html_url=f"https://github.example/runs/{number}",
        check_suite={"id": _suite_number(run)},
        app=_github_app(run),
        **_words(run),
    )


def _github_suite(run: Run, commit: str) -> dict[str, Any]:
    words = _words(run)
    return _made("check-suite", id=_suite_number(run), head_branch=run.branch, head_sha=commit, app=_github_app(run), **words)


def _github_runs(forge: Forge, request: Request) -> Answer:
    wanted = request.query.get("head_sha")
    found = {}
    for commit, run in [(wanted, run) for run in forge.runs(wanted)] if wanted else forge.every():
        asked = all(request.query.get(name, has) == has for name, has in (("branch", run.branch), ("event", run.event)))
        if asked and run.app == "github-actions" and run.word != "startup_failure":
            found[(commit, _suite_number(run))] = run
    rows = [
        _made(
            "workflow-run",
            id=_suite_number(run),
            name=f"workflow {run.number}",
            run_number=run.number,
            workflow_id=1 + (run.number if run.number < 10 else 0),
            event=run.event,
            head_branch=run.branch,
            head_sha=commit,
            check_suite_id=_suite_number(run),
            html_url=f"https://github.example/actions/{run.number}",
            run_attempt=1,
            **_words(run),
        )
        for (commit, _), run in found.items()
    ]
    page, _ = _page(rows[::-1], request, "per_page", 100)
    return Answer(document={"total_count": len(rows), "workflow_runs": page})


def _gitlab(forge: Forge, request: Request) -> Answer:
    if request.path == "/api/v4/version":
        return Answer(401, {"message": "401 Unauthorized"})
    base = f"/api/v4/projects/{forge.repository}"
    if request.path.startswith("/api/v4/projects/1"):  # GitLab takes the number for the name
        request = replace(request, path=base + request.path.removeprefix("/api/v4/projects/1"))
    if request.path == base:
        return Answer(document={"id": 1, "path_with_namespace": forge.repository})
    if request.path == f"{base}/pipelines":
        sha, ref = request.query.get("sha"), request.query.get("ref")
        found = {
            run.number: (commit, run) for commit, run in ([(sha, run) for run in forge.runs(sha)] if sha else forge.every())
        }
        rows = [_gitlab_pipeline(*pair, forge) for pair in found.values() if ref in (None, pair[1].branch)]
        page, headers = _page(sorted(rows, key=lambda row: -row["id"]), request, "per_page", 100)
        return Answer(document=page, headers=headers)
    if request.path.endswith("/jobs"):
        number = int(request.path.removesuffix("/jobs").rpartition("/")[2])
        rows = [
            {
                "id": 100 * number + n,
                "name": run.name.partition(":")[2],
                "status": run.name.partition(":")[0],
                "stage": "test",
                "allow_failure": run.allow_failure,
                "web_url": f"{forge.url}/jobs/{n}",
            }
            for n, (_, run) in enumerate(forge.every())
            if run.number == number and ":" in run.name
        ]
        return Answer(document=rows)
    if request.path.endswith("/trace"):
        return Answer(text=next(run.log for _, run in forge.every() if run.log))
    return Answer(404, {"message": "404 Not Found"})


def _gitlab_pipeline(commit: str | None, run: Run, forge: Forge) -> dict[str, Any]:
    return {
        "id": run.number,
        "iid": run.number,
        "project_id": 1,
        "sha": commit,
        "ref": run.branch,
        "status": run.word,
        "source": run.event,
        "created_at": _WHEN,
        "updated_at": _WHEN,
        "web_url": f"{forge.url}/{forge.repository}/-/pipelines/{run.number}",
    }


def _woodpecker(forge: Forge, request: Request) -> Answer:
    if request.path == f"/api/repos/lookup/{forge.repository}":
        return Answer(document={"id": 7, "full_name": forge.repository, "active": True})
    if request.path == "/api/repos/7/pipelines":
        rows = sorted({row["number"]: row for row in _pipelines(forge)}.values(), key=lambda row: -row["number"])
        for name in ("branch", "event"):
            if name in request.query:
                rows = [row for row in rows if row[name] in request.query[name].split(",")]
        page, headers = _page(rows, request, "perPage", 50)
        return Answer(document=page, headers=headers)
    if request.path.startswith("/api/repos/7/pipelines/"):
        number = int(request.path.rpartition("/")[2])
        row = next((row for row in _pipelines(forge) if row["number"] == number), None)
        return Answer(document=row) if row else Answer(404, None)
    if request.path.startswith("/api/repos/7/logs/"):
        import base64

        text = next(run.log for _, run in forge.every() if run.log)
        return Answer(
            document=[{"line": n, "data": base64.b64encode(line.encode()).decode()} for n, line in enumerate(text.splitlines())]
        )
    return Answer(404, None)


def _pipelines(forge: Forge) -> list[dict[str, Any]]:
    """Return pipelines with their workflows; a run called `state:name` is a workflow of its pipeline, others are pipelines."""
    found: dict[int, dict[str, Any]] = {}
    for commit, run in forge.every():
        row = found.setdefault(
            run.number,
            {
                "id": 1000 + run.number,
                "number": run.number,
                "event": run.event,
                "status": run.word,
                "commit": commit,
                "branch": run.branch,
                "ref": f"refs/heads/{run.branch}",
                "created": 1,
                "workflows": [],
                "cancel_info": {"superseded_by": run.superseded_by, "canceled_by_user": run.canceled_by}
                if run.superseded_by or run.canceled_by
                else None,
            },
        )
        if ":" in run.name:
            state, _, name = run.name.partition(":")
            pid = len(row["workflows"]) + 1
            step = {"id": 10 + pid, "pid": pid + 1, "name": "step", "state": state}
            row["workflows"].append({"id": pid, "pid": pid, "name": name, "state": state, "children": [step]})
    return list(found.values())


_SYSTEMS = {"forgejo": _forgejo, "github": _github, "gitlab": _gitlab, "woodpecker": _woodpecker}


def _handler(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            given = forge.answer(Request(unquote(parts.path), dict(parse_qsl(parts.query)), dict(self.headers.items())))
            body = given.text if given.text is not None else "" if given.document is None else json.dumps(given.document)
            self.send_response(given.status)
            headers = {"Content-Type": "text/plain" if given.text is not None else "application/json", **given.headers}
            for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body.encode())

    return Handler


@contextlib.contextmanager
def serving(kind: str, repository: str = "ada/infra") -> Iterator[Forge]:
    """Yield a stand-in of a kind that answers on loopback."""
    forge = Forge(kind, repository=repository)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(forge))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    forge.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


#: A workflow that runs on pushes of the target and of try branches.
WORKFLOW = "on: {push: {branches: [master, 'homelab/try/**']}}\njobs: {test: {steps: [{run: make test}]}}\n"


def tries(world: World) -> list[str]:
    """Return the try branches on the remote."""
    return [row for row in world.refs().splitlines() if "homelab/try/" in row]
