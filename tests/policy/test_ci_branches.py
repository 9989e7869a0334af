"""For which pushes CI's conditions let a step run, as a push of a try branch is."""

import pytest

from homelab.policy import ci_branches
from homelab.policy.ci_branches import ANY, TRY


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        (None, False), ("always()", False), ("github.event_name == 'push'", False),
        ("github.event_name != 'pull_request'", False),
        ("github.ref == 'refs/heads/main'", True), ("${{ github.ref_name == 'main' && always() }}", True),
        ("github.ref != 'refs/heads/main'", False), ("!(github.ref == 'refs/heads/main')", False),
        ("startsWith(github.ref, 'refs/tags/')", True), ("!startsWith(github.ref, 'refs/tags/')", False),
        ("startsWith(github.ref, 'refs/heads/')", False), ("startsWith(github.ref_name, 'homelab/try/')", False),
        ("contains(github.ref, 'homelab/try')", False), ("!startsWith(github.ref_name, 'homelab/')", True),
        ("github.ref == 'refs/heads/main' || github.event_name == 'push'", False),
        ("github.ref == 'refs/heads/main' || github.event_name == 'schedule'", True),
        ("github.ref_name == github.event.repository.default_branch", True), ("false", False),
    ],
)  # fmt: skip
def test_a_condition_binds_a_step_where_every_alternative_names_something_else(condition: object, bound: bool) -> None:
    assert ci_branches.is_bound(condition) is bound


@pytest.mark.parametrize(
    ("patterns", "runs"),
    [
        (None, False), (ANY, True), (("master",), False), (("master", "homelab/*"), True), (("**",), True),
        (("*", "!homelab/try/**"), False), (("*", "!homelab/*"), True), (("*", "!homelab/**"), False), (("*", "!master"), True),
        (("*", f"!{TRY}"), False), (("!homelab/**", "**"), True), (("**", "!homelab/**", "homelab/try/*"), True),
    ],
)  # fmt: skip
def test_what_is_excluded_is_matched_as_strictly_as_ci_does(patterns: tuple[str, ...] | None, runs: bool) -> None:
    assert ci_branches.runs_on(patterns, TRY) is runs


DEFAULT = {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}
NOT_DEFAULT = {"if": "$CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH"}
TRIES = {"if": r"$CI_COMMIT_BRANCH =~ /^homelab\/try\//"}


@pytest.mark.parametrize(
    ("job", "runs"),
    [
        ({}, True), ({"rules": [DEFAULT]}, False), ({"rules": [NOT_DEFAULT]}, True), ({"rules": [DEFAULT, TRIES]}, True),
        ({"rules": [{**DEFAULT, "when": "never"}, {"when": "on_success"}]}, True),
        ({"rules": [{**NOT_DEFAULT, "when": "never"}, {"when": "on_success"}]}, False),
        ({"rules": [{**NOT_DEFAULT, "when": "never", "changes": ["x"]}, {"when": "on_success"}]}, True),
        ({"rules": [{**DEFAULT, "when": "manual"}, {"when": "manual"}]}, False),
        ({"rules": [{"if": "$CI_COMMIT_TAG"}]}, False), ({"rules": [{"if": "$CI_COMMIT_TAG == null"}]}, True),
        ({"rules": [{"if": "$CI_COMMIT_TAG =~ /^v/ || $CI_COMMIT_BRANCH"}]}, True),
        ({"rules": [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]}, False),
        ({"rules": [{"if": '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == "main"'}]}, False),
        ({"rules": [{"if": '"main" == $CI_COMMIT_BRANCH'}]}, False), ({"rules": [{"if": '$DEPLOY == "yes"'}]}, True),
        ({"rules": [{"if": "$CI_COMMIT_BRANCH !~ /^homelab/"}]}, False),
        ({"rules": [{"if": "$CI_COMMIT_BRANCH =~ /[/"}]}, True),
        ({"rules": [{"changes": ["a"]}]}, True), ({"rules": None}, False), ({"rules": [None, 3]}, True),
        ({"only": ["main"]}, False), ({"only": "main"}, False), ({"only": ["branches"]}, True),
        ({"only": ["branches@a/b"]}, True),
        ({"only": {"refs": ["tags"]}}, False), ({"only": {"changes": ["a"]}}, True), ({"only": ["/^homelab/i"]}, True),
        ({"only": ["schedules", "/^release/"]}, False), ({"except": ["main"]}, True), ({"except": ["branches"]}, False),
        ({"except": {"refs": ["/^homelab.*$/"]}}, False),
    ],
)  # fmt: skip
def test_a_job_of_gitlab_runs_where_its_rules_let_it(job: dict[str, object], runs: bool) -> None:
    assert (ci_branches.of_job(job, None) == ANY) is runs
    assert ci_branches.of_job(job, [DEFAULT]) is None, "the pipeline's own rules bind every job"
