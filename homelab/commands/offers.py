"""What may follow on the command line: topics, labels and stacks, as they are here and now.

Looked up only while a shell completes. Outside of a repository, or where something is broken, nothing is offered.
"""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from homelab.claims.labels import KINDS
from homelab.errors import HomelabError
from homelab.git.repository import discover, require_worktree
from homelab.policy import config, config_file
from homelab.policy.rules import read_rules
from homelab.worktrees import registry

if TYPE_CHECKING:
    _Type = click.ParamType[str]
else:
    _Type = click.ParamType  # not generic before click 8.4


def topics() -> Iterable[str]:
    """Return the topics of the worktrees."""
    repository = discover()
    rules = read_rules(repository, ask=False)
    plan = registry.layout(repository, rules.config.work)
    return [name for entry in registry.registered(repository) if (name := plan.topic(entry))]


def stacks() -> Iterable[str]:
    """Return the stacks of the nearest folder above that has some."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "stacks").is_dir():
            return sorted(path.name for path in (folder / "stacks").iterdir() if path.is_dir())
    return []


def labels() -> Iterable[str]:
    """Return every kind of label, and the stacks by name."""
    return [*(f"{kind}:" for kind in KINDS), *(f"stack:{name}" for name in stacks())]


def suites() -> Iterable[str]:
    """Return the suites that the worktree's own file names."""
    repository = discover()
    return [suite.name for suite in config_file.parse((require_worktree(repository) / config.NAME).read_bytes()).suites]


class Words(_Type):
    """A parameter of any text, for which a shell is offered words."""

    name = "text"

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        self._words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin like what is there."""
        found: list[str] = []
        with contextlib.suppress(HomelabError, OSError):
            found = sorted(self._words())
        return [CompletionItem(word) for word in found if word.startswith(incomplete)]


_BY_NAME: dict[str, Callable[[], Iterable[str]]] = {
    "topic": topics,
    "topics": topics,
    "label": labels,
    "labels": labels,
    "stack": stacks,
    "suite": suites,
    "suites": suites,
}


def offer(command: click.Command) -> None:
    """Let each parameter of a command complete by its name."""
    for parameter in command.params:
        if words := _BY_NAME.get(parameter.name or ""):
            parameter.type = Words(words)
