"""What a command line does, as far as its words tell: it checks, it deploys, it reaches a live system, or nobody knows.

`effect` judges a whole line by the worst of its simple commands; `check` returns the part of a line that only checks. A
program or a script that is not known is `UNKNOWN`, never harmless. What make, npm and their like run is looked up by the
`Bodies` that the caller gives. Nothing is run here.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from homelab.policy import invocation, programs, shell
from homelab.policy.shell import Script, Simple


class Effect(StrEnum):
    """What a command does, the worst last."""

    NOTHING = "nothing"
    CHECKS = "checks"
    PREPARES = "prepares"  # brings what a check needs into the checkout, as `npm ci` does
    INSTALLS = "installs"  # changes the machine or the user's environment, as `pip install` may
    UNKNOWN = "unknown"
    LIVE = "live"  # asks a system that is up: a cluster, a database, an address
    DEPLOYS = "deploys"


_ORDER = tuple(Effect)

#: Returns what a command runs besides itself: the folder and the script of a make target, an npm script or a shell file.
Bodies = Callable[[str, tuple[str, ...]], tuple[str, str] | None]

_DEPLOYING = frozenset(
    "apply deploy deployment deploys publish release releases upload push destroy rollout promote provision terminate "
    "reconcile bump undeploy teardown flash reboot restore shutdown drain nuke gh-deploy".split()
)
_LIVE = frozenset("e2e smoke live testacc acceptance cluster kind minikube k3d staging production prod remote".split())
#: What runs tests, and words by which those are chosen that are no unit's.
_TESTERS = frozenset("pytest py.test go jest vitest mocha behave robot bats".split())
_LIVE_TESTS = frozenset("e2e smoke acceptance testacc".split())
_CHANGING = frozenset(
    "fix format fmt write update upgrade watch serve server dev start run clean install uninstall bless generate gen setup "
    "bootstrap configure init migrate seed snapshot bench benchmark fuzz edit open shell repl login debug".split()
)
_CHECKING = frozenset(
    "test tests testing check checks checking lint lints linter linters linting verify validate validation typecheck types "
    "type-check unit units spec specs vet ci coverage cover static clippy mypy ruff eslint tsc pytest jest vitest shellcheck "
    "yamllint precommit pre-commit quality audit syntax dialyzer credo".split()
)
#: Variables that say a system is asked which is up, or a secret is needed.
_SECRET = re.compile(
    r"KUBECONFIG|KUBE_\w+|TALOSCONFIG|VAULT_(ADDR|TOKEN)|AWS_(ACCESS|SECRET|SESSION|PROFILE)\w*|GOOGLE_APPLICATION_CREDENTIALS|"
    r"ARM_\w+|DATABASE_URL|PGPASSWORD|DOCKER_HOST|\w*(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|WEBHOOK)\w*"
)
#: Options with which a program only speaks of itself.
_ASKS = frozenset(("--version", "--help"))
_CHANGING_OPTIONS = frozenset(("--fix", "--write", "-w", "--update", "-u", "--watch", "--in-place", "--apply"))
_BUILTINS = frozenset(
    "[ [[ . : alias bg break cd command continue echo eval exit export false fg getopts hash jobs kill local printf pwd read "
    "readonly return set shift source test times trap true type ulimit umask unalias unset wait function declare".split()
)
_NOT_PACKAGED = frozenset("node npm npx pnpm yarn bun make just docker go cargo python python3 terraform tofu bash".split())
_SHELLS = frozenset("sh bash dash zsh".split())
_TRANSPARENT = frozenset("exec command env timeout time nice nohup xargs sudo".split())
_DEEPEST = 6


class Check(NamedTuple):
    """The part of a command line that checks, and the folder in which it runs, from where the line would run."""

    run: str
    dir: str


def nothing_known(_: str, __: tuple[str, ...]) -> tuple[str, str] | None:
    """Return no body: nothing is known of what a runner runs."""
    return None


def worst(found: Sequence[Effect]) -> Effect:
    """Return the worst of several effects."""
    return max(found, key=_ORDER.index, default=Effect.NOTHING)


def effect(text: str, bodies: Bodies = nothing_known, dir: str = ".", depth: int = 0) -> Effect:
    """Return what a script does: the worst of its simple commands, and never better than unknown where it is not plain."""
    script = shell.parse(text)
    found = worst([simple_effect(one, bodies, folder, depth) for folder, one in _placed(script, dir)])
    if not script.is_plain and found not in (Effect.LIVE, Effect.DEPLOYS):
        return Effect.UNKNOWN
    return found


def is_secret(name: str) -> bool:
    """Return whether a variable's name says that it holds a secret or leads to a system that is up."""
    return bool(_SECRET.fullmatch(name))


def _placed(script: Script, dir: str) -> Iterator[tuple[str, Simple]]:
    """Yield each command with the folder in which it runs."""
    for one in script.commands:
        yield dir, one
        if one.words[:1] == ("cd",) and len(one.words) == 2:
            dir = posixpath.normpath(posixpath.join(dir, one.words[1]))


def simple_effect(command: Simple, bodies: Bodies, dir: str, depth: int = 0) -> Effect:
    """Return what one simple command does."""
    exported = [word.partition("=")[0] for word in command.words[1:]] if command.words[:1] == ("export",) else []
    names = worst([Effect.LIVE for name in (*command.expanded, *command.assigned, *exported) if is_secret(name)])
    if not command.words:
        return names
    return worst([names, _words_effect(command.words, bodies, dir, depth)])


def _words_effect(words: tuple[str, ...], bodies: Bodies, dir: str, depth: int) -> Effect:
    words = invocation.unwrapped(words)
    if not words:
        return Effect.UNKNOWN
    program = posixpath.basename(words[0])
    if program in _SHELLS and (inner := _inline(words)) is not None:
        return effect(inner, bodies, dir, depth + 1) if depth < _DEEPEST else Effect.UNKNOWN
    if program in ("sudo", "doas", "su"):
        return worst([Effect.INSTALLS, _words_effect(invocation.operands(words[1:]), bodies, dir, depth)])
    if invocation.is_runner(words):
        return _runner_effect(words, bodies, dir, depth)
    if not _ASKS.isdisjoint(words[1:]) and not programs.does("deploys", words):
        return Effect.NOTHING
    for name, known in (("deploys", Effect.DEPLOYS), ("live", Effect.LIVE), ("installs", Effect.INSTALLS),
                        ("prepares", Effect.PREPARES), ("nothing", Effect.NOTHING), ("checks", Effect.CHECKS)):  # fmt: skip
        if programs.does(name, words):
            return Effect.LIVE if known is Effect.CHECKS and _tests_live(program, words) else known
    if _parts(program) & _DEPLOYING:  # `deploy-rs`, `semantic-release`
        return Effect.DEPLOYS
    return Effect.UNKNOWN


def _tests_live(program: str, words: tuple[str, ...]) -> bool:
    """Return whether tests are chosen, by a folder, a mark or a tag, that ask a system which is up."""
    chosen = [word for word in words[1:] if not re.search(r"\bnot\b|--ignore|--exclude", word)]
    return program in _TESTERS and any(_parts(part) & _LIVE_TESTS for word in chosen for part in word.split("/"))


def _inline(words: tuple[str, ...]) -> str | None:
    """Return the script of ``sh -c SCRIPT``."""
    for n, word in enumerate(words[1:], 1):
        if word.startswith("-") and word.endswith("c") and not word.startswith("--"):
            return words[n + 1] if n + 1 < len(words) else ""
        if not word.startswith("-"):
            return None
    return None


def _runner_effect(words: tuple[str, ...], bodies: Bodies, dir: str, depth: int) -> Effect:
    """Return what a target, a task or a script does, by its name and by what it runs where that is known."""
    names = [_parts(name) for name in invocation.targets(words)] or [frozenset()]
    if any(parts & _DEPLOYING for parts in names):
        return Effect.DEPLOYS
    body = bodies(dir, words) if depth < _DEEPEST else None
    inner = effect(body[1], bodies, body[0], depth + 1) if body else Effect.UNKNOWN
    if inner in (Effect.DEPLOYS, Effect.LIVE):
        return inner
    if any(parts & _LIVE for parts in names):
        return Effect.LIVE
    if inner in (Effect.CHECKS, Effect.PREPARES):
        return Effect.CHECKS
    is_check = all(parts & _CHECKING and not parts & (_CHANGING - _CHECKING) for parts in names)
    # `check-format` and `fmt-check` check, `lint-fix` does not.
    is_check = is_check or all(parts & {"check", "verify", "lint"} and "fix" not in parts for parts in names)
    is_check = is_check or all(_is_in_tests(name) for name in invocation.targets(words))
    return Effect.CHECKS if is_check and not _CHANGING_OPTIONS.intersection(words) else Effect.UNKNOWN


def _is_in_tests(script: str) -> bool:
    """Return whether a script is the one that runs a folder of tests (``tests/run.sh``)."""
    folder, _, name = script.rpartition("/")
    return posixpath.basename(folder) in ("test", "tests") and bool(_parts(name) & {"run", "all", "main", "runner"})


def _parts(name: str) -> frozenset[str]:
    name = posixpath.basename(name.rstrip("/"))
    name = re.sub(r"\.(sh|bash|py|rb|js|mjs|ts|pl)$", "", name).lower()
    return frozenset((name, *re.split(r"[^a-z0-9]+", name)))


def is_checking_name(name: str) -> bool:
    """Return whether a target's name says that it checks, and neither changes, deploys nor asks a live system."""
    parts = _parts(name)
    return bool(parts & _CHECKING) and not parts & (_DEPLOYING | _LIVE) and ("check" in parts or not parts & _CHANGING)


def check(text: str, bodies: Bodies = nothing_known, dir: str = ".") -> Check | None:
    """Return the part of a line that checks, or None where any of it may do more, or its failure would not show.

    A leading ``cd`` becomes the folder, and what only installs in front is left out.
    """
    script = shell.parse(text)
    if not script.is_plain or any(one.expanded for one in script.commands):
        return None
    placed = [(folder, one, simple_effect(one, bodies, folder)) for folder, one in _placed(script, dir)]
    while placed and placed[0][1].operator in ("&&", ";", "\n") and _may_be_left_out(placed[0][1], placed[0][2]):
        placed = placed[1:]
    if not placed or any(each not in (Effect.CHECKS, Effect.PREPARES, Effect.NOTHING) for *_, each in placed):
        return None
    if not any(each is Effect.CHECKS for *_, each in placed) or not _shows_failure([one for _, one, _ in placed], placed):
        return None
    folder, first, _ = placed[0]
    if folder.startswith(("..", "/", "~")):
        return None
    run = text[first.start :].strip()
    return Check(run, folder) if run.replace("\n", " ").isprintable() else None


def _may_be_left_out(one: Simple, does: Effect) -> bool:
    is_cd = one.words[:1] == ("cd",) and len(one.words) == 2
    return (
        is_cd or does is Effect.INSTALLS or one.words[:1] == ("set",) or (does is Effect.NOTHING and one.words[:1] == ("echo",))
    )


def _shows_failure(commands: Sequence[Simple], placed: Sequence[tuple[str, Simple, Effect]]) -> bool:
    """Return whether the line fails when a check in it does: nothing swallows its exit code."""
    for n, (_, one, does) in enumerate(placed):
        if does in (Effect.CHECKS, Effect.PREPARES) and one.operator not in ("&&", "", "\n", ";"):
            return False
        if does is Effect.CHECKS and one.operator in ("\n", ";") and n + 1 < len(commands):
            return False
    return True


def needed(text: str, bodies: Bodies = nothing_known, dir: str = ".") -> frozenset[str]:
    """Return the programs of the machine that a command line starts, those inside make, npm and scripts too.

    What the shell does itself, and what a wrapper like `npx` or `uv run` would bring, is not among them.
    """
    found: set[str] = set()
    _need(text, bodies, dir, 0, found)
    return frozenset(found)


def _need(text: str, bodies: Bodies, dir: str, depth: int, found: set[str]) -> None:
    for folder, one in _placed(shell.parse(text), dir):
        words = () if one.words[:2] == ("command", "-v") else one.words
        while words and words[0] in _TRANSPARENT:
            words = invocation.unwrapped(words) if words[0] == "timeout" else _behind(words[1:])
        if not words or words[0].startswith(("-", "$", "`")) or "$(" in words[0]:
            continue
        if not invocation.is_script(words[0]) and words[0] not in _BUILTINS:
            found.add(words[0])
        if depth < _DEEPEST and words[0] in _SHELLS and (inline := _inline(words)):
            _need(inline, bodies, folder, depth + 1, found)
        if depth < _DEEPEST and (body := bodies(folder, words)):
            inner: set[str] = set()
            _need(body[1], bodies, body[0], depth + 1, inner)
            # A script of a package finds what was installed beside it, so only what no package brings has to be there.
            found |= inner & _NOT_PACKAGED if words[0] in ("npm", "pnpm", "yarn", "bun") else inner


def _behind(words: tuple[str, ...]) -> tuple[str, ...]:
    words = invocation.operands(words)
    while words and "=" in words[0]:
        words = words[1:]
    return words
