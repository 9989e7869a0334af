"""Everything that a tree shows, each thing once: what CI runs first, then goals that people named, then languages' defaults.

A goal that runs others stands for them, so `make check` that runs `go test` leaves no suite for go.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from homelab.policy import detect, invocation, shell
from homelab.policy.found import infrastructure, languages, pipelines, python, tasks, terraform
from homelab.policy.found.finding import WITH_GOALS, Finding, Source
from homelab.policy.tree import Tree

_Subject = tuple[str, str]
#: Programs that run whatever file they are given: that says what they are about.
_INTERPRETERS = frozenset("node deno python python3 ruby perl sh bash".split())
_MOST = 60


class Found(NamedTuple):
    """What a tree shows: the findings, and what was passed over because it deploys."""

    findings: tuple[Finding, ...]
    passed_over: tuple[str, ...]
    #: How many more there were than anybody would read.
    cut: int = 0


def find(tree: Tree) -> Found:
    """Return what a tree shows, named and without repetition."""
    source = Source(tree)
    taken, passed_over = pipelines.find(source)
    more = (
        tasks.find(source),
        terraform.find(source),
        languages.find(source),
        python.find(source),
        infrastructure.find(source),
    )
    candidates = [*taken, *(finding for found in more for finding in found), *_detected(source)]
    chosen = list(_once(source, candidates))
    return Found(tuple(_named(chosen[:_MOST])), tuple(dict.fromkeys(passed_over)), max(0, len(chosen) - _MOST))


def brief(run: str) -> str:
    """Return a command line without what every line of its kind begins with, for people."""
    run = run.removeprefix(terraform.WITH_CACHE).replace(python.PYTHON, "python")
    return run.replace(infrastructure.KUSTOMIZE, "kustomize build")


def _detected(source: Source) -> Iterator[Finding]:
    """Yield what binds the target while it has no file: what is written never demands less than that."""
    for suite in detect.shown(source).suites:
        yield Finding(suite.name, suite.run, "the root's files")


def _once(source: Source, candidates: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the candidates that add anything to those before them."""
    covered: set[_Subject] = set()
    for finding in candidates:
        place = finding.each or finding.dir
        exact, loose = (place, finding.run), {(place, subject) for subject in _subjects(finding.run)}
        inner = _inner(source, finding)
        # CI's lines differ on purpose (`tox -e py`, `tox -e typing`); a default says nothing beside any of them.
        is_known = exact in covered or (not finding.is_explicit and loose and loose <= covered)
        if is_known or (inner and inner <= covered):
            continue
        yield finding if finding.prepare else languages.equipped(source, finding)
        covered |= {exact} | loose
        covered |= set() if finding.off else inner


def _inner(source: Source, finding: Finding) -> set[_Subject]:
    """Return what the targets and scripts are about that a command starts."""
    found: set[_Subject] = set()
    waiting, seen = [(finding.dir, finding.run)], {finding.run}
    while waiting and len(seen) < 100:
        dir, run = waiting.pop()
        for one in shell.parse(run).commands:
            body = source.targets(dir, invocation.unwrapped(one.words)) if one.words else None
            if body and body[1] not in seen:
                seen.add(body[1])
                waiting.append(body)
                found |= {(body[0], subject) for subject in _subjects(body[1])}
    return found


def _subjects(run: str) -> Iterator[str]:
    """Yield a short name for each command that decides something: ``go test``, ``pytest``, ``npm lint``."""
    for one in shell.parse(brief(run)).commands:
        words = invocation.unwrapped(one.words) if one.words else ()
        if not words or words[0] in ("echo", "cd", "set", "export", "mkdir", "test", "true", "git", "command"):
            continue
        program = words[0].removeprefix("./")
        if program in _INTERPRETERS:
            yield " ".join(words)
            continue
        rest = [word for word in words[1 : words.index("--") if "--" in words else None] if not word.startswith("-")]
        rest = [word for word in rest if word not in ("run", "run-script", ".", "./...")]
        if rest[:1] not in (["ci"], ["install"]):
            yield " ".join([program, *rest]) if program in WITH_GOALS else program


def _named(findings: list[Finding]) -> Iterator[Finding]:
    """Yield the findings with names of their own: the folder's below the root, else the tool's."""
    taken: set[str] = set()
    for finding in findings:
        tool = finding.tool.replace("_", "-")
        folder = finding.dir if finding.dir != "." else ""
        last, whole = folder.rpartition("/")[2], folder.replace("/", "-")
        wanted = [last, f"{last}-{tool}", f"{whole}-{tool}"] if folder else [tool]
        wanted += [f"{wanted[-1]}-{n}" for n in range(2, len(findings) + 2)]
        name = next(name for name in wanted if name not in taken)
        taken.add(name)
        yield finding._replace(tool=name)
