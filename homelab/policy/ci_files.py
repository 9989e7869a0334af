"""CI's files as steps: what each runs, in which folder, and for which pushes it does.

Woodpecker, GitHub, Forgejo, Gitea and GitLab. A step says whether it needs a secret or a value of CI, and whether it
deploys. `homelab.policy.effects` knows the commands; here are the formats. Nothing is run.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from homelab.policy import ci_branches, effects, gitlab
from homelab.policy.effects import Bodies, Effect
from homelab.policy.tree import Tree, mapping, sequence, strings

_YAML = (".yml", ".yaml")
_FOLDERS = (".woodpecker", ".forgejo/workflows", ".gitea/workflows", ".github/workflows")
_FILES = (".woodpecker.yml", ".woodpecker.yaml", ".gitlab-ci.yml", ".gitlab-ci.yaml")
_SECRET = re.compile(r"\bsecrets\.|from_secret|\bsecrets:")
_DEPLOYING_ACTION = re.compile(
    r"deploy|publish|release(?!-drafter)|gh-pages|\bssh-|scp-|rsync|git-auto-commit|github-push|wrangler|changesets/|pages-action"
)
_DEPLOYING_PLUGIN = re.compile(
    r"docker|buildx|kaniko|s3|ssh|scp|rsync|release|deploy|publish|pypi|npm|helm|ansible|terraform|kube"
)

#: What was called already, and for which pushes: a second time it shows nothing more.
_Seen = set[tuple[str, tuple[str, ...] | None]]


@dataclass(frozen=True)
class Step:
    """One step of one CI file."""

    path: str
    name: str
    script: str = ""
    dir: str = "."
    #: The action or the plugin that it is, with its settings; empty for a step of commands.
    uses: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Patterns of the branches whose pushes run it, ``!`` in front of those that do not; None when no push of a branch does.
    branches: tuple[str, ...] | None = ci_branches.ANY
    #: Whether it is part of judging commits at all, rather than of a timetable or a release.
    judges: bool = True
    #: Whether a secret is given to it, a service is started for it, or its failure is allowed.
    is_secret: bool = False
    has_services: bool = False
    may_fail: bool = False
    #: Names the job that it belongs to: steps of one job run one after the other.
    job: str = ""

    @cached_property
    def source(self) -> str:
        """Where it is written, for messages."""
        return f"{self.path}, step {self.name}" if self.name else self.path

    def deploys(self, bodies: Bodies) -> bool:
        """Return whether it changes something outside the checkout: a command, an action or a plugin of it says so."""
        if self.uses and _uses_deploys(self.uses, self.settings):
            return True
        return bool(self.script) and effects.effect(self.script, bodies, self.dir) is Effect.DEPLOYS

    def runs_on(self, branch: str) -> bool:
        """Return whether a push of a branch runs it."""
        return ci_branches.runs_on(self.branches, branch)


def ci_files(tree: Tree) -> tuple[str, ...]:
    """Return the paths of the tree's CI files, with those that they include or call by a path of the tree."""
    named = dict.fromkeys((*_own(tree), *(step.path for step in steps(tree))))
    return tuple(dict.fromkeys(path for name in named for path in gitlab.included(tree, name)))


def _own(tree: Tree) -> list[str]:
    """Return the files that CI looks for."""
    found = [name for name in _FILES if tree.has(name)]
    for folder in _FOLDERS:
        entry = tree.objects.entry(tree.oid, folder)
        names = sorted(tree.objects.entries(entry.oid)) if entry and entry.is_folder else []
        found.extend(f"{folder}/{name}" for name in names if name.endswith(_YAML) and tree.has(f"{folder}/{name}"))
    return found


def steps(tree: Tree) -> tuple[Step, ...]:
    """Return the steps of all CI files; a file that cannot be read has none."""
    found: list[Step] = []
    seen: _Seen = set()
    for path in _own(tree):
        if "woodpecker" in path:
            found.extend(_woodpecker(path, mapping(tree.yaml(path))))
        else:
            found.extend(_gitlab(tree, path, seen) if "gitlab" in path else _workflow(tree, path, seen))
    return tuple(found)


def deploying(tree: Tree, branch: str, bodies: Bodies) -> tuple[Step, ...]:
    """Return the steps that a push of `branch` would run and that deploy, apply or publish."""
    return tuple(step for step in steps(tree) if step.runs_on(branch) and step.deploys(bodies))


def _workflow(tree: Tree, path: str, seen: _Seen, caller: Step | None = None) -> Iterator[Step]:
    """Yield the steps of a workflow of GitHub, Forgejo or Gitea, with those of the tree's own that it calls."""
    document = mapping(tree.yaml(path))
    events = document.get("on", document.get(True))  # YAML 1.1 reads the key `on` as true
    names = mapping(events) if isinstance(events, dict) else dict.fromkeys(strings(events))
    branches = ci_branches.of_events(names)
    judges = bool(ci_branches.JUDGING.intersection(map(str, names))) and not (
        set(map(str, names)) <= {"push"} and branches is None
    )
    if caller:
        branches, judges = caller.branches, caller.judges
    for name, job in mapping(document.get("jobs")).items():
        job = mapping(job)
        made = Step(
            path,
            str(name),
            branches=None if ci_branches.is_bound(job.get("if")) else branches,
            judges=judges,
            is_secret=bool(_SECRET.search(f"{document.get('env', '')}{job.get('env', '')}")),
            has_services=bool(job.get("services")),
            may_fail=job.get("continue-on-error") is True,
            job=f"{path}:{name}",
        )
        if isinstance(job.get("uses"), str):
            yield from _called(tree, replace(made, uses=job["uses"].split("@")[0], settings=mapping(job.get("with"))), seen)
        yield from _job(tree, job, made, mapping(mapping(document.get("defaults")).get("run")), seen)


def _job(tree: Tree, job: Mapping[str, Any], made: Step, defaults: Mapping[str, Any], seen: _Seen) -> Iterator[Step]:
    rows = list(map(mapping, sequence(job.get("steps"))))
    checkouts = [mapping(each.get("with")).get("path") for each in rows if "checkout" in str(each.get("uses"))]
    own = {**defaults, **mapping(mapping(job.get("defaults")).get("run"))}
    for n, step in enumerate(rows):
        dir = str(step.get("working-directory", own.get("working-directory", ".")))
        is_shell = str(step.get("shell", own.get("shell", "sh"))).split(" ")[0] in ("sh", "bash")
        script = step.get("run") if is_shell and "windows" not in str(job.get("runs-on")) else None
        found = replace(
            made,
            name=str(step.get("name") or f"{made.name}/{n + 1}"),
            script=script if isinstance(script, str) else "",
            dir=_in_checkout(dir, str(next(filter(None, checkouts), "."))),
            uses=str(step.get("uses") or "").split("@")[0],
            settings=mapping(step.get("with")),
            branches=None if ci_branches.is_bound(step.get("if")) else made.branches,
            is_secret=made.is_secret or bool(_SECRET.search(f"{step.get('env', '')}{step.get('run', '')}")),
            may_fail=made.may_fail or step.get("continue-on-error") is True,
        )
        yield from _called(tree, found, seen)


def _called(tree: Tree, step: Step, seen: _Seen) -> Iterator[Step]:
    """Yield a step, behind it those of a workflow or an action of the tree that it calls."""
    yield step
    place = posixpath.normpath(step.uses)
    if not step.uses.startswith("./") or (place, step.branches) in seen:
        return
    seen.add((place, step.branches))
    if place.endswith(_YAML):
        yield from _workflow(tree, place, seen, step)
    for path in (f"{place}/action{end}" for end in _YAML):
        if runs := mapping(mapping(tree.yaml(path)).get("runs")):
            yield from _job(tree, runs, replace(step, path=path, uses="", settings={}), {}, seen)


def _in_checkout(dir: str, checkout: str) -> str:
    """Return a step's folder from the repository's root, ``..`` where only CI knows it."""
    return posixpath.relpath(posixpath.normpath(dir), posixpath.normpath(checkout)) if "${{" not in dir + checkout else ".."


def _woodpecker(path: str, document: Mapping[Any, Any]) -> Iterator[Step]:
    rows = document.get("steps", document.get("pipeline"))
    named = [(name, mapping(row)) for name, row in rows.items()] if isinstance(rows, dict) else []
    named += [(mapping(row).get("name", n + 1), mapping(row)) for n, row in enumerate(sequence(rows))]
    for name, row in named:
        when = (document.get("when"), row.get("when"))
        commands = strings(row.get("commands"))
        uses = str(row.get("image") or "").split("@")[0] if row.get("settings") is not None and not commands else ""
        yield Step(
            path,
            str(name),
            "\n".join(commands),
            str(row.get("directory") or "."),
            uses,
            mapping(row.get("settings")),
            ci_branches.of_when(when),
            all(_judges(ci_branches.events(each)) for each in when),
            bool(_SECRET.search(str(row.get("environment", ""))) or row.get("secrets")),
            bool(document.get("services")),
            row.get("failure") == "ignore",
            path,
        )


def _judges(events: set[str] | None) -> bool:
    return events is None or not ci_branches.JUDGING.isdisjoint(events)


_GITLAB_WORDS = frozenset("default include stages variables workflow image services cache before_script after_script".split())


def _gitlab(tree: Tree, path: str, seen: _Seen) -> Iterator[Step]:
    document = gitlab.document(tree, path)
    default = mapping(document.get("default"))
    for name, job in document.items():
        if not isinstance(job, dict) or name in _GITLAB_WORDS or name.startswith("."):
            continue
        given = {
            key: job.get(key, default.get(key, document.get(key))) for key in ("before_script", "after_script", "services")
        }
        rules = str(job.get("rules", "")) + str(job.get("only", ""))
        is_released = bool(job.get("environment") or name == "pages" or job.get("when") == "manual")
        is_tag = bool(re.search(r"CI_COMMIT_TAG|\btags\b|schedule", rules)) and "BRANCH" not in rules
        made = Step(
            path,
            name,
            "\n".join([*strings(given["before_script"]), *strings(job.get("script")), *strings(given["after_script"])]),
            uses="deploy" if job.get("environment") or name == "pages" else "",
            branches=ci_branches.of_job(job, mapping(document.get("workflow")).get("rules")),
            judges=not is_released and not is_tag,
            is_secret=bool(job.get("secrets") or job.get("id_tokens")),
            has_services=bool(given["services"]),
            may_fail=bool(job.get("allow_failure")),
            job=f"{path}:{name}",
        )
        yield made
        for child in gitlab.local(tree, mapping(job.get("trigger")).get("include")):
            if (child, made.branches) not in seen:
                seen.add((child, made.branches))
                yield from (replace(step, branches=made.branches) for step in _gitlab(tree, child, seen))


def _uses_deploys(uses: str, settings: Mapping[str, Any]) -> bool:
    name = uses.lower()
    if "build-push-action" in name or "bake-action" in name:
        return settings.get("push") not in (None, False, "false")
    if _DEPLOYING_ACTION.search(name) or name == "deploy":
        return True
    is_plugin = "/" in name and not name.startswith("./") and ("plugin" in name or "drone" in name or "banzai" in name)
    return is_plugin and bool(_DEPLOYING_PLUGIN.search(name)) and settings.get("dry_run") is not True
