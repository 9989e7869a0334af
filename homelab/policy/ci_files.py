"""CI's files as steps: what each runs, in which folder, and for which pushes it does.

Woodpecker, GitHub, Forgejo, Gitea and GitLab. A step says whether it needs a secret or a value of CI, and whether it
deploys. `homelab.policy.effects` knows the commands; here are the formats. Nothing is run.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from homelab.policy import effects
from homelab.policy.effects import Bodies, Effect
from homelab.policy.tree import Tree, mapping, sequence, strings

_YAML = (".yml", ".yaml")
_FOLDERS = (".woodpecker", ".forgejo/workflows", ".gitea/workflows", ".github/workflows")
_FILES = (".woodpecker.yml", ".woodpecker.yaml", ".gitlab-ci.yml", ".gitlab-ci.yaml")
#: Events by which a workflow judges commits; one that only a clock, a person or a tag starts says nothing about a change.
_JUDGING = frozenset(("push", "pull_request", "pull_request_target", "merge_group", "workflow_call"))
_SECRET = re.compile(r"\bsecrets\.|from_secret|\bsecrets:")
_DEPLOYING_ACTION = re.compile(
    r"deploy|publish|release(?!-drafter)|gh-pages|\bssh-|scp-|rsync|git-auto-commit|github-push|wrangler|changesets/|pages-action"
)
_DEPLOYING_PLUGIN = re.compile(
    r"docker|buildx|kaniko|s3|ssh|scp|rsync|release|deploy|publish|pypi|npm|helm|ansible|terraform|kube"
)


@dataclass(frozen=True)
class Step:
    """One step of one CI file."""

    path: str
    name: str
    script: str
    dir: str = "."
    #: The action or the plugin that it is, with its settings; empty for a step of commands.
    uses: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Patterns of the branches whose pushes run it, ``!`` in front of those that do not; None when no push of a branch does.
    branches: tuple[str, ...] | None = ("*",)
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
        patterns = self.branches or ()
        wanted = [each for each in patterns if not each.startswith("!")]
        unwanted = [each[1:] for each in patterns if each.startswith("!")]
        # In a workflow `*` stops at a slash; here it does not, so that in doubt a step runs.
        return any(fnmatch.fnmatchcase(branch, each) for each in wanted) and branch not in unwanted


def ci_files(tree: Tree) -> tuple[str, ...]:
    """Return the paths of the tree's CI files."""
    found = [name for name in _FILES if tree.has(name)]
    for folder in _FOLDERS:
        entry = tree.objects.entry(tree.oid, folder)
        names = sorted(tree.objects.entries(entry.oid)) if entry and entry.is_folder else []
        found.extend(f"{folder}/{name}" for name in names if name.endswith(_YAML) and tree.has(f"{folder}/{name}"))
    return tuple(found)


def steps(tree: Tree) -> tuple[Step, ...]:
    """Return the steps of all CI files; a file that cannot be read has none."""
    found: list[Step] = []
    for path in ci_files(tree):
        document = mapping(tree.yaml(path))
        read = _gitlab if "gitlab" in path else _woodpecker if "woodpecker" in path else _workflow
        found.extend(read(path, document))
    return tuple(found)


def deploying(tree: Tree, branch: str, bodies: Bodies) -> tuple[Step, ...]:
    """Return the steps that a push of `branch` would run and that deploy, apply or publish."""
    return tuple(step for step in steps(tree) if step.runs_on(branch) and step.deploys(bodies))


def _workflow(path: str, document: Mapping[Any, Any]) -> Iterator[Step]:
    """Yield the steps of a workflow of GitHub, Forgejo or Gitea."""
    events = document.get("on", document.get(True))  # YAML 1.1 reads the key `on` as true
    names = mapping(events) if isinstance(events, dict) else dict.fromkeys(strings(events))
    branches = _push_branches(names)
    defaults = mapping(mapping(document.get("defaults")).get("run"))
    for job_name, job in mapping(document.get("jobs")).items():
        job = mapping(job)
        checkouts = [
            mapping(each.get("with")).get("path")
            for each in map(mapping, sequence(job.get("steps")))
            if "checkout" in str(each.get("uses"))
        ]
        own = {**defaults, **mapping(mapping(job.get("defaults")).get("run"))}
        for n, step in enumerate(map(mapping, sequence(job.get("steps")))):
            condition = f"{job.get('if', '')} {step.get('if', '')}"
            dir = str(step.get("working-directory", own.get("working-directory", ".")))
            is_shell = str(step.get("shell", own.get("shell", "sh"))).split(" ")[0] in ("sh", "bash")
            script = step.get("run") if is_shell and "windows" not in str(job.get("runs-on")) else None
            yield Step(
                path,
                str(step.get("name") or f"{job_name}/{n + 1}"),
                script if isinstance(script, str) else "",
                _in_checkout(dir, str(next(filter(None, checkouts), "."))),
                str(step.get("uses") or "").split("@")[0],
                mapping(step.get("with")),
                branches if _is_for_any_branch(condition) else None,
                bool(_JUDGING.intersection(map(str, names))) and not _only_tags(names),
                bool(_SECRET.search(str(step.get("env", "")) + str(job.get("env", "")) + str(step.get("run", "")))),
                bool(job.get("services")),
                step.get("continue-on-error") is True or job.get("continue-on-error") is True,
                f"{path}:{job_name}",
            )


def _in_checkout(dir: str, checkout: str) -> str:
    """Return a step's folder from the repository's root, ``..`` where only CI knows it."""
    return posixpath.relpath(posixpath.normpath(dir), posixpath.normpath(checkout)) if "${{" not in dir + checkout else ".."


def _push_branches(events: Mapping[Any, Any]) -> tuple[str, ...] | None:
    if "push" not in events:
        return None
    push = mapping(events["push"])
    if "branches" in push:
        return tuple(strings(push["branches"]))
    if "branches-ignore" in push:
        return ("*", *(f"!{name}" for name in strings(push["branches-ignore"])))
    return None if "tags" in push or "tags-ignore" in push else ("*",)


def _only_tags(events: Mapping[Any, Any]) -> bool:
    return set(map(str, events)) <= {"push"} and _push_branches(events) is None


def _is_for_any_branch(condition: str) -> bool:
    """Return whether a condition does not bind a step to some branch, tag or event."""
    return not re.search(r"refs/(heads|tags)/|github\.ref|default_branch|event_name\s*==\s*'(?!push)|\brelease\b", condition)


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
            _when_branches(when),
            all(_events(each) is None or _JUDGING.intersection(_events(each) or ()) for each in when),
            bool(_SECRET.search(str(row.get("environment", ""))) or row.get("secrets")),
            bool(document.get("services")),
            row.get("failure") == "ignore",
            path,
        )


def _events(when: object) -> set[str] | None:
    """Return the events that a `when` names, None where it names none."""
    rows = [mapping(each) for each in (when if isinstance(when, list) else [when])]
    found = [strings(mapping(row["event"]).get("include", row["event"])) for row in rows if "event" in row]
    return {name for names in found for name in names} if found else None


def _when_branches(whens: tuple[object, ...]) -> tuple[str, ...] | None:
    found: tuple[str, ...] = ("*",)
    for when in whens:
        if (events := _events(when)) is not None and "push" not in events:
            return None
        rows = [mapping(each) for each in (when if isinstance(when, list) else [when])]
        rows = [row for row in rows if "push" in (_events(row) or {"push"})]
        limits = [row["branch"] for row in rows if "branch" in row]
        if limits and len(limits) == len(rows):
            found = tuple(name for limit in limits for name in _branches(limit))
    return found


def _branches(limit: object) -> tuple[str, ...]:
    if isinstance(limit, dict):
        wanted = strings(limit.get("include")) or ["*"]
        return (*wanted, *(f"!{name}" for name in strings(limit.get("exclude"))))
    return tuple(strings(limit))


_GITLAB_WORDS = frozenset(
    "default include stages variables workflow image services cache before_script after_script pages".split()
)


def _gitlab(path: str, document: Mapping[Any, Any]) -> Iterator[Step]:
    default = mapping(document.get("default"))
    for name, job in document.items():
        if not isinstance(job, dict) or name in _GITLAB_WORDS - {"pages"} or str(name).startswith("."):
            continue
        before = strings(job.get("before_script", default.get("before_script", document.get("before_script"))))
        rules = str(job.get("rules", "")) + str(job.get("only", ""))
        is_bound = bool(
            re.search(r"DEFAULT_BRANCH|CI_COMMIT_TAG|COMMIT_BRANCH\s*==|tags|'(main|master)'|schedule|merge_request", rules)
        )
        is_released = bool(job.get("environment") or name == "pages" or job.get("when") == "manual")
        is_tag = bool(re.search(r"CI_COMMIT_TAG|\btags\b|schedule", rules)) and "BRANCH" not in rules
        yield Step(
            path,
            str(name),
            "\n".join([*before, *strings(job.get("script"))]),
            uses="deploy" if job.get("environment") else "",
            branches=None if is_bound else ("*",),
            judges=not is_released and not is_tag,
            has_services=bool(job.get("services") or document.get("services")),
            may_fail=bool(job.get("allow_failure")),
            job=f"{path}:{name}",
        )


def _uses_deploys(uses: str, settings: Mapping[str, Any]) -> bool:
    name = uses.lower()
    if "build-push-action" in name or "bake-action" in name:
        return settings.get("push") not in (None, False, "false")
    if _DEPLOYING_ACTION.search(name) or name == "deploy":
        return True
    is_plugin = "/" in name and not name.startswith("./") and ("plugin" in name or "drone" in name or "banzai" in name)
    return is_plugin and bool(_DEPLOYING_PLUGIN.search(name)) and settings.get("dry_run") is not True
