"""What CI's files show: the commands that only check, the steps that deploy, and for which pushes."""

import pytest

from homelab.git.objects import Objects
from homelab.policy import ci_files
from homelab.policy.found import ci_checks
from homelab.policy.targets import Targets
from homelab.policy.tree import Tree
from tests.support.world import World

GITHUB = """\
on: {push: {branches: [main]}, pull_request: }
defaults: {run: {working-directory: cli}}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v4
    - run: |
        go mod download
        go test ./...
    - {name: lint, run: yamllint ., working-directory: .}
    - run: pytest ${{ matrix.args }}
    - run: go vet ./...
      env: {TOKEN: "${{ secrets.TOKEN }}"}
    - run: mypy .
      continue-on-error: true
    - {run: Get-Item x, shell: pwsh}
    - uses: golangci/golangci-lint-action@v6
  ship:
    runs-on: ubuntu-latest
    steps:
    - run: go build ./...
    - {name: push, run: docker push example/web}
    - run: pytest smoke
  image:
    runs-on: ubuntu-latest
    steps:
    - {name: image, uses: docker/build-push-action@v6, with: {push: true}}
  database:
    services: {postgres: {image: postgres}}
    steps:
    - {run: go test -tags db ./...}
"""
NIGHTLY = "on: {schedule: [{cron: '0 0 * * *'}]}\njobs: {a: {steps: [{run: ruff check .}]}}\n"
TAGS = "on: {push: {tags: ['v*']}}\njobs: {a: {steps: [{run: ruff check .}, {name: out, run: npm publish}]}}\n"
ANY = """\
on: push
jobs:
  a:
    steps:
    - {name: out, run: ./scripts/deploy.sh}
    - {name: in, if: github.ref == 'refs/heads/main', run: npm publish}
"""
WOODPECKER = """\
when: [{event: push, branch: master}, {event: pull_request}]
steps:
- {name: shell, image: alpine, commands: [apk add shellcheck, "cd scripts", "shellcheck *.sh"]}
- {name: apply, image: x, commands: [terragrunt apply], environment: {TOKEN: {from_secret: token}}}
- {name: image, image: woodpeckerci/plugin-docker-buildx, settings: {repo: example/web}}
"""
GITLAB = """\
variables: {A: b}
default: {before_script: [pip install tox]}
.hidden: {script: [mypy .]}
test: {script: [!reference [.x, script], "tox -e py", "cd web && npm test"]}
lint: {script: yamllint ., allow_failure: true}
ship: {script: [kubectl apply -f .], environment: prod, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}
"""


def read(world: World, files: dict[str, str | bytes]) -> tuple[list[tuple[str, str, bool]], list[str], list[str]]:
    """Return the commands that check with folder and whether they are off, the steps left out, and those of a try branch."""
    objects = Objects(world.clone / ".git")
    tree = Tree(objects, objects.commit(world.commit(files)).tree)
    assert sorted(ci_files.ci_files(tree)) == sorted(files)
    bodies = Targets(tree)
    found, left = ci_checks.checks(tree, bodies)
    tried = ci_files.deploying(tree, "homelab/try/abc", bodies)
    return [(c.dir, c.run, bool(c.off)) for c in found], [s.name for s in left], [s.name for s in tried]


@pytest.mark.parametrize(
    ("path", "text", "checks", "left", "tried"),
    [
        (
            ".github/workflows/ci.yml", GITHUB,
            [("cli", "go test ./...", False), (".", "yamllint .", False), ("cli", "golangci-lint run", False),
             ("cli", "go build ./...", False), ("cli", "go test -tags db ./...", True)],
            ["push", "image"], [],
        ),
        (".forgejo/workflows/night.yaml", NIGHTLY, [], [], []),
        (".gitea/workflows/tags.yml", TAGS, [], ["out"], []),
        (".github/workflows/any.yml", ANY, [], ["out"], ["out"]),
        (".woodpecker/ci.yaml", WOODPECKER, [("scripts", "shellcheck *.sh", False)], ["apply"], []),
        (".woodpecker.yml", WOODPECKER.replace(", branch: master", ""), [("scripts", "shellcheck *.sh", False)], ["apply"],
         ["apply", "image"]),
        (".gitlab-ci.yml", GITLAB, [(".", "tox -e py", False), ("web", "npm test", False)], ["ship"], []),
        (".github/workflows/bad.yml", "jobs: [\n", [], [], []),
        (".github/workflows/odd.yml", "on: 3\njobs: {a: 4, b: {steps: [5, {run: [6]}]}}\n", [], [], []),
    ],
)  # fmt: skip
def test_a_ci_file_shows_what_checks_and_what_deploys(
    world: World, path: str, text: str, checks: list[object], left: list[str], tried: list[str]
) -> None:
    assert read(world, {path: text}) == (checks, left, tried)


CALLS = "on: push\njobs: {b: {if: %s, uses: ./.github/workflows/ship.yml}, a: {steps: [{uses: ./ci/act}, {run: tox -e py}]}}\n"
SHIP = "on: workflow_call\njobs: {out: {steps: [{name: out, run: kubectl apply -f .}]}}\n"
ACTION = "runs: {using: composite, steps: [{run: yamllint ., shell: bash}, {name: up, run: npm publish, shell: bash}]}\n"
INCLUDES = """\
include: [/ci/*.yml, {local: more.yml}, {project: a/b, file: x.yml}, https://example.org/x.yml]
default: {services: [postgres]}
lint: {extends: .lint, script: [!reference [.lint, script], tox -e py]}
ship: {extends: [.ship]}
also: {script: [[!reference [.ship, script]]], services: [], rules: [!reference [.ship, rules]]}
child: {trigger: {include: [{local: child.yml}]}}
knot: {extends: knot, script: !reference [knot, script]}
"""
INCLUDED = {
    "ci/a.yml": ".lint: {script: [yamllint .], services: []}\n",
    "more.yml": ".ship: {script: kubectl apply -f ., rules: [{if: $CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH}]}\n",
    "child.yml": "up: {script: [npm publish], rules: [{if: $CI_COMMIT_TAG}]}\n",
}


@pytest.mark.parametrize(
    ("files", "checks", "left", "tried"),
    [
        (
            {".github/workflows/ci.yml": CALLS % "true", ".github/workflows/ship.yml": SHIP, "ci/act/action.yml": ACTION},
            [(".", "yamllint .", False)], ["out", "up"], ["out", "up"],
        ),
        (
            {".github/workflows/ci.yml": CALLS % "github.ref_name == 'main'", ".github/workflows/ship.yml": SHIP},
            [(".", "tox -e py", False)], ["out"], [],
        ),
        (
            {**INCLUDED, ".gitlab-ci.yml": INCLUDES},
            [(".", "yamllint .", False), (".", "tox -e py", False)], ["ship", "also", "up"], ["ship", "also", "up"],
        ),
        ({".github/workflows/ci.yml": "on: push\njobs: {a: {uses: a/b/.github/workflows/deploy.yml@v1}}\n"}, [], ["a"], ["a"]),
        ({".github/workflows/ci.yml": "on: push\njobs: {a: {uses: ./.github/workflows/ci.yml}}\n"}, [], [], []),
        (
            {".github/workflows/ci.yml": "on: push\nenv: {A: '${{ secrets.A }}'}\njobs: {a: {steps: [{run: tox -e py}]}}\n"},
            [], [], [],
        ),
        ({".gitlab-ci.yml": "a: {script: tox -e py, secrets: {A: {vault: x}}}\npages: {script: mkdocs build}\n"}, [],
         ["pages"], ["pages"]),
    ],
)  # fmt: skip
def test_what_a_ci_file_brings_in_from_the_tree_is_part_of_it(
    world: World, files: dict[str, str | bytes], checks: list[object], left: list[str], tried: list[str]
) -> None:
    assert read(world, files) == (checks, left, tried)


def test_a_knotted_file_takes_no_time(world: World) -> None:
    bomb = "\n".join([".a0: &a0 [x]", *(f".a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])
    jobs = "\n".join(f"j{n}: {{extends: [{', '.join(f'j{m}' for m in range(15) if m != n)}]}}" for n in range(15))
    assert read(world, {".gitlab-ci.yml": f"{bomb}\n{jobs}\nb: {{script: *a11}}\n"}) == ([], [], [])
