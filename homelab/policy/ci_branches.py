"""For which branches' pushes CI runs a step, as its file tells; in doubt it runs.

What is asked is whether a push of a try branch would run it, so a condition binds a step elsewhere only where it says so
plainly: by a branch, a tag or an event that a try branch is not. A condition that excludes (`!=`, `when: never`) binds nothing.
"""

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

from homelab.policy.tree import mapping, sequence, strings

#: Events by which a workflow judges commits; one that only a clock, a person or a tag starts says nothing about a change.
JUDGING = frozenset(("push", "pull_request", "pull_request_target", "merge_group", "workflow_call"))
ANY = ("*",)
#: A branch that no condition is likely to name, below what try branches are called.
TRY = "homelab/try/x"

_ELSEWHERE = re.compile(r"refs/(heads|tags)/|github\.ref|default_branch|event_name\s*==\s*'(?!push')|\brelease\b")
_STARTS = re.compile(r"startsWith\(\s*github\.(ref|ref_name)\s*,\s*'([^']*)'\s*\)")
#: GitLab's variables as a push of a try branch has them; the default branch is one that nobody is on.
_VALUES = {
    **{f"$CI_{name}": TRY for name in ("COMMIT_BRANCH", "COMMIT_REF_NAME")},
    **dict.fromkeys(("$CI_COMMIT_TAG", "$CI_MERGE_REQUEST_ID", "$CI_MERGE_REQUEST_IID"), None),
    "$CI_PIPELINE_SOURCE": "push",
}


def runs_on(patterns: tuple[str, ...] | None, branch: str) -> bool:
    """Return whether a push of a branch runs what has these patterns: the last that fits decides, ``!`` excludes."""
    runs = False
    for pattern in patterns or ():
        # In a workflow `*` stops at a slash; in what is wanted it does not here, so that in doubt a step runs.
        if not pattern.startswith("!"):
            runs = runs or fnmatch.fnmatchcase(branch, pattern)
        elif re.fullmatch(_strict(pattern[1:]), branch):
            runs = False
    return runs


def _strict(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": ".*", "*": "[^/]*"}.get(part) or re.escape(part) for part in parts)


def of_events(events: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the branches whose pushes start a workflow, None where none does."""
    if "push" not in events:
        return None
    push = mapping(events["push"])
    if "branches" in push:
        return tuple(strings(push["branches"]))
    if "branches-ignore" in push:
        return ("*", *(f"!{name}" for name in strings(push["branches-ignore"])))
    return None if "tags" in push or "tags-ignore" in push else ANY


def is_bound(condition: object) -> bool:
    """Return whether a workflow's `if` lets no push of a try branch through: each alternative in it names something else."""
    alternatives = str(condition or "").replace("${{", " ").replace("}}", " ").split("||")
    return all(any(_names_another(clause) for clause in each.split("&&")) for each in alternatives)


def _names_another(clause: str) -> bool:
    if found := _STARTS.search(clause):
        name = f"refs/heads/{TRY}" if found[1] == "ref" else TRY
        return name.startswith(found[2]) is bool(re.match(r"[\s(]*!", clause))
    return "!" not in clause and "homelab/" not in clause and bool(_ELSEWHERE.search(clause))


def of_when(whens: tuple[object, ...]) -> tuple[str, ...] | None:
    """Return the branches whose pushes run a step of Woodpecker, by the `when` of its file and its own."""
    found: tuple[str, ...] = ANY
    for when in whens:
        if (named := events(when)) is not None and "push" not in named:
            return None
        rows = [mapping(each) for each in (when if isinstance(when, list) else [when])]
        rows = [row for row in rows if "push" in (events(row) or {"push"})]
        limits = [row["branch"] for row in rows if "branch" in row]
        if limits and len(limits) == len(rows):
            found = tuple(name for limit in limits for name in _branches(limit))
    return found


def events(when: object) -> set[str] | None:
    """Return the events that a `when` of Woodpecker names, None where it names none."""
    rows = [mapping(each) for each in (when if isinstance(when, list) else [when])]
    found = [strings(mapping(row["event"]).get("include", row["event"])) for row in rows if "event" in row]
    return {name for names in found for name in names} if found else None


def _branches(limit: object) -> tuple[str, ...]:
    if isinstance(limit, dict):
        wanted = strings(limit.get("include")) or ["*"]
        return (*wanted, *(f"!{name}" for name in strings(limit.get("exclude"))))
    return tuple(strings(limit))


def of_job(job: Mapping[str, Any], pipeline: object) -> tuple[str, ...] | None:
    """Return for which pushes GitLab runs a job, all or those of no try branch. `pipeline` is what `workflow` has as rules."""
    if "rules" in job:
        runs = _let(job["rules"])
    else:
        only = [name.partition("@")[0] for name in _refs(job.get("only"))]
        runs = (not only or any(map(_is_meant, only))) and not any(map(_is_meant, _refs(job.get("except"))))
    return ANY if runs and (pipeline is None or _let(pipeline)) else None


def _let(rules: object) -> bool:
    """Return whether the first rule that applies may start the job by itself."""
    for rule in map(mapping, sequence(rules)):
        holds = _holds(str(rule["if"])) if "if" in rule else True
        if holds is False:
            continue
        if rule.get("when") not in ("never", "manual"):
            return True
        if holds and not {"changes", "exists"}.intersection(rule):
            return False
    return False


def _holds(condition: str) -> bool | None:
    """Return whether a condition holds for a push of a try branch, None where nobody can tell."""
    alternatives = [[_clause(clause.strip(" ()\n")) for clause in each.split("&&")] for each in condition.split("||")]
    found = [False if False in each else None if None in each else True for each in alternatives]
    return True if True in found else None if None in found else False


def _clause(words: str) -> bool | None:
    operator = next((each for each in ("==", "!=", "=~", "!~") if each in words), "")
    left, right = (part.strip() for part in words.partition(operator)[::2]) if operator else (words, "")
    if operator in ("==", "!=") and right in _VALUES:
        left, right = right, left
    if left not in _VALUES:
        return None
    value, is_meant = _VALUES[left], operator in ("==", "=~", "")
    if not operator:
        return value is not None
    if right == "null" or operator in ("==", "!="):
        equal = value is None if right == "null" else value == right.strip("\"'")
        return equal is is_meant
    found = re.fullmatch(r"/(.*)/\w*", right)
    return (value is not None and _matches(found[1], value)) is is_meant if found else None


def _matches(pattern: str, value: str) -> bool:
    try:
        return bool(re.search(pattern.replace("\\/", "/"), value))
    except re.error:
        return True


def _refs(limit: object) -> list[str]:
    """Return the names that an `only` or `except` has, none where it goes by something else."""
    return strings(mapping(limit).get("refs") if isinstance(limit, dict) else limit)


def _is_meant(ref: str) -> bool:
    """Return whether a name of `only` or `except` is one of a try branch."""
    found = re.fullmatch(r"/(.*)/\w*", ref)
    return _matches(found[1], TRY) if found else ref in ("branches", "pushes", TRY)
