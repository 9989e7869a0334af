"""The stand-ins are held to what the makers of each system wrote, so that the other tests here test something real.

GitHub: its OpenAPI description, of which `tests/support/github_openapi.json` is an excerpt. Forgejo, Gitea and GitLab: clients
that others wrote read the same stand-in. Woodpecker: the enum and the routes of its source, as the word table names them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homelab.ci import words
from homelab.ci.client import Client
from homelab.ci.site import system
from homelab.ci.where import Place
from tests.support.forge import OPENAPI, Forge, Run, serving

COMMIT = "c" * 40
RUNS = [
    Run("build", "success"),
    Run("lint", "in_progress", number=2),
    Run("late", "queued", number=3, is_empty=True),
    Run("nightly", "failure", event="schedule", number=4),
    Run("ext", "error", app="status", description="it failed"),
    Run("bot", "queued", app="coderabbit", is_empty=True, number=5),
]
_ANSWERS = {"/status": "status", "/check-runs": "check_runs", "/check-suites": "check_suites", "/actions/runs": "runs"}


def test_github_answers_and_is_asked_as_its_description_says() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema reads GitHub's description")
    with serving("github") as forge:
        forge.now(COMMIT, *RUNS)
        place = Place("github", forge.url, forge.repository)
        asked = system(place, Client(place.api))
        assert asked.look(COMMIT, "master")
        assert asked.unfinished("master") == [COMMIT]
        for request in list(forge.requests):
            name = next(name for end, name in _ANSWERS.items() if request.path.endswith(end))
            schema = {**OPENAPI["answers"][name], "components": OPENAPI["components"]}
            jsonschema.validate(forge.answer(request).document, schema)
            for key, value in request.query.items():
                known = OPENAPI["queries"][name][key]
                jsonschema.validate(int(value) if known["type"] == "integer" else value, known)
        assert {request.path.rpartition("/")[2] for request in forge.requests} == {
            "status",
            "check-runs",
            "check-suites",
            "runs",
        }


def test_a_careless_stand_in_would_be_seen() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema reads GitHub's description")
    schema = {**OPENAPI["answers"]["check_runs"], "components": OPENAPI["components"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"total_count": 1, "check_runs": [{"id": 1, "status": "completed"}]}, schema)


def enum(schema: str, field: str) -> set[str]:
    found = OPENAPI["components"]["schemas"][schema]["properties"][field]
    return {word for word in found["enum"] if word}


def test_every_word_of_github_is_known() -> None:
    statuses = (enum("check-run", "status") | enum("check-suite", "status")) - {"completed"}
    assert set(words.GITHUB_STATUS.words) - {"action_required"} == statuses
    conclusions = enum("check-run", "conclusion") | enum("check-suite", "conclusion")
    assert set(words.GITHUB_CONCLUSION.words) == conclusions
    assert set(OPENAPI["queries"]["runs"]["status"]["enum"]) <= {*words.GITHUB_STATUS.words, *conclusions, "completed"}


def test_every_word_of_woodpecker_is_known() -> None:
    """`server/model/const.go` of woodpecker-ci/woodpecker at a4cb541."""
    states = "skipped pending running success failure killed error blocked declined created canceled"
    assert set(words.WOODPECKER.words) == set(states.split())


def test_every_word_of_a_commit_status_is_known() -> None:
    """`modules/commitstatus/commit_status.go` of go-gitea/gitea."""
    assert set(words.STATUS.words) == {"pending", "success", "error", "failure", "warning", "skipped"}


@pytest.mark.parametrize("table", [value for value in vars(words).values() if isinstance(value, words.Table)])
def test_every_table_says_where_and_when_its_words_were_read(table: words.Table) -> None:
    assert table.source and table.read.startswith("2026-")
    assert table.verdict("never heard of") == table.verdict(None) == table.verdict("") == "unknown"


@pytest.mark.slow
def test_every_word_of_gitlab_is_known() -> None:
    gitlab = pytest.importorskip("gitlab", reason="python-gitlab has GitLab's words")
    known = {one.value for one in gitlab.const.PipelineStatus}
    assert known <= set(words.GITLAB.words)


def forgejo_says(forge: Forge) -> list[tuple[Any, Any, Any]]:
    place = Place("forgejo", forge.url, forge.repository)
    return sorted((check.name, check.word, check.url) for check in system(place, Client(place.api)).look(COMMIT, "master"))


@pytest.mark.slow
def test_forgejos_own_client_reads_the_same() -> None:
    pyforgejo = pytest.importorskip("pyforgejo", reason="pyforgejo is an independent reader")
    with serving("forgejo") as forge:
        forge.now(COMMIT, *(Run(f"ci/{n}", "success") for n in range(59)), Run("ci/z", "failure"))
        client = pyforgejo.PyforgejoApi(base_url=f"{forge.url}/api/v1", api_key="token t")
        rows = [
            row
            for page in (1, 2)
            for row in client.repository.repo_list_statuses_by_ref("ada", "infra", COMMIT, page=page, limit=50)
        ]
        assert sorted((row.context, row.status, row.target_url) for row in rows) == forgejo_says(forge)
        assert client.repository.repo_get("ada", "infra").full_name == "ada/infra"


@pytest.mark.slow
def test_giteas_own_client_reads_the_same() -> None:
    client = pytest.importorskip("gitea_api_client", reason="gitea-api-client is an independent reader")
    with serving("forgejo") as forge:
        forge.now(COMMIT, Run("ci/x", "success"), Run("ci/y", "pending"))

        async def listed() -> list[Any]:
            async with client.ApiClient(client.Configuration(host=f"{forge.url}/api/v1")) as api:
                return list(await client.RepositoryApi(api).repo_list_statuses_by_ref("ada", "infra", COMMIT))

        rows = asyncio.run(listed())
        assert sorted((row.context, row.status, row.target_url) for row in rows) == forgejo_says(forge)


@pytest.mark.slow
def test_gitlabs_own_client_reads_the_same() -> None:
    gitlab = pytest.importorskip("gitlab", reason="python-gitlab is an independent reader")
    with serving("gitlab") as forge:
        forge.now(COMMIT, Run("success:test", "running"), Run("running:lint", "running"))
        project = gitlab.Gitlab(forge.url, private_token="t").projects.get("ada/infra")
        (pipeline,) = project.pipelines.list(sha=COMMIT, get_all=True)
        theirs = [("pipeline", pipeline.status), *((job.name, job.status) for job in pipeline_jobs(project, pipeline.id))]
        place = Place("gitlab", forge.url, forge.repository)
        ours = system(place, Client(place.api)).look(COMMIT, "master")
        assert sorted((check.name, check.word) for check in ours) == sorted(theirs)


def pipeline_jobs(project: Any, number: int) -> list[Any]:
    return list(project.pipelines.get(number, lazy=True).jobs.list(get_all=True))
