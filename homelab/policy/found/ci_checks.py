"""The commands of CI's steps that only check: what `init` can propose of them. Nothing is run."""

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from homelab.policy import ci_files, effects, shell
from homelab.policy.ci_files import Step
from homelab.policy.effects import Bodies, Effect
from homelab.policy.tree import Tree

_EXPRESSION = re.compile(r"\$\{\{|\$\{?CI_|\$\{?GITHUB_|\{\{")
#: Actions that only check, with the command that they run.
_ACTIONS = {
    "pre-commit/action": "pre-commit run --all-files",
    "j178/prek-action": "prek run --all-files",
    "golangci/golangci-lint-action": "golangci-lint run",
    "ibiqlik/action-yamllint": "yamllint .",
    "karancode/yamllint-github-action": "yamllint .",
    "ansible/ansible-lint": "ansible-lint",
    "ansible/ansible-lint-action": "ansible-lint",
    "astral-sh/ruff-action": "ruff check",
    "chartboost/ruff-action": "ruff check",
    "psf/black": "black --check .",
    "crate-ci/typos": "typos",
    "reviewdog/action-actionlint": "actionlint",
    "rhysd/actionlint": "actionlint",
    "fsfe/reuse-action": "reuse lint",
    "bridgecrewio/checkov-action": "checkov -d .",
}


class CiCheck(NamedTuple):
    """A command of CI that only checks, and the folder in which it runs."""

    step: Step
    run: str
    dir: str
    #: Why it can hardly run elsewhere, or empty.
    off: str = ""


def checks(tree: Tree, bodies: Bodies) -> tuple[list[CiCheck], list[Step]]:
    """Return CI's commands that only check, and the steps that were passed over because they deploy.

    What runs after a deploying step of the same job tests what was deployed, so it is none of ours.
    """
    found: list[CiCheck] = []
    left: list[Step] = []
    deployed: set[str] = set()
    for step in ci_files.steps(tree):
        if step.job in deployed:
            continue
        if step.deploys(bodies):
            left.append(step)
            deployed.add(step.job)
        if step.judges and not step.is_secret and not step.may_fail and not step.dir.startswith(("..", "/")):
            found.extend(_step_checks(step, bodies))
    return found, left


def _step_checks(step: Step, bodies: Bodies) -> Iterator[CiCheck]:
    """Yield the lines of a step that only check, up to the first that deploys."""
    off = "its CI job starts a service beside it" if step.has_services else ""
    if step.uses in _ACTIONS:
        yield CiCheck(step, _ACTIONS[step.uses], step.dir, off)
    dir, is_top = step.dir, True
    for line in _lines(step.script):
        script = shell.parse(line)
        does = effects.effect(line, bodies, dir)
        if does is Effect.DEPLOYS:
            return
        if _EXPRESSION.search(line) or not is_top:
            continue
        if any(one.words[:1] in (("if",), ("exit",)) for one in script.commands):
            return
        if (found := effects.check(line, bodies, dir)) and not found.dir.startswith(".."):
            yield CiCheck(step, found.run, found.dir, off)
        if len(script.commands) == 1 and script.commands[0].words[:1] == ("cd",):
            is_top = script.is_plain and not script.commands[0].expanded and len(script.commands[0].words) == 2
            dir = posixpath.normpath(posixpath.join(dir, script.commands[0].words[-1]))


def _lines(script: str) -> Iterator[str]:
    """Yield the commands of a script line by line; one that is more than a list of commands is one line."""
    joined = script.replace("\\\n", " ")
    # A loop or a branch cut into lines would look like commands that run in any case.
    if re.search(r"^\s*(?:(?:if|for|while|until|case|function)\b|\w+\s*\(\)|\{)|<<", joined, re.MULTILINE):
        yield joined
    else:
        yield from (line.strip() for line in joined.splitlines() if line.strip())
