"""How a command line starts what it runs: behind a wrapper (``env``, ``uv run``, ``npx``), as a target, as a script.

What the programs themselves do is `homelab.policy.programs`'s. Nothing is looked up in a tree here.
"""

import posixpath
import re

from homelab.policy.programs import does

# Wrappers that run the rest of their line, and how many of their own words stand before it.
_WRAPPERS = re.compile(
    r"exec|command|time|nice|nohup|stdbuf|xvfb-run|catchsegv|env|timeout|xargs|uv|uvx|pipx|poetry|pdm|pipenv|rye|bundle|npx|bunx|"
    r"pnpx|pnpm|yarn|npm|bun|mise|nix|nix-shell|devbox|direnv|hatch|coverage|doppler|retry|act|python3?|py|composer|asdf"
)  # fmt: skip
_PREFIXES = frozenset("exec command time nice nohup stdbuf xvfb-run catchsegv xargs npx bunx pnpx uvx retry".split())
_EXECUTORS = frozenset(
    (("bundle", "exec"), ("pnpm", "exec"), ("pnpm", "dlx"), ("yarn", "exec"), ("yarn", "dlx"), ("npm", "exec"), ("bun", "x"))
) | frozenset((("mise", "exec"), ("mise", "x"), ("composer", "exec"), ("asdf", "exec")))
_VALUED = frozenset(  # options of the wrappers that take a value as the next word
    "-n -k -s -u -e -P -I -L -d --with --from --group --extra --python --package -p --project --directory --no-group "
    "--only-group --env-file --with-requirements --index --index-url --spec --pip-args --signal -i --session".split()
)
_RUNNERS_VALUED = frozenset("-C -f -j --prefix --dir --cwd -w --workspace --filter -d -F -W".split())
_RUNNERS = frozenset("make gmake just task go-task mise npm pnpm yarn bun rake invoke inv npm-run-all turbo nx lerna".split())


def unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of the program that really runs: behind ``env``, ``timeout``, ``uv run``, ``npx`` and their like."""
    for _ in range(8):
        inner = _inner(words)
        if inner is None:
            return words
        words = inner
    return ()


def _inner(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the words behind one wrapper, or None where the first word is no wrapper as it stands here."""
    if not words or not _WRAPPERS.fullmatch(posixpath.basename(words[0])):
        return None
    program, rest = posixpath.basename(words[0]), words[1:]
    if program in _PREFIXES:
        return None if program == "command" and rest[:1] in (("-v",), ("-V",)) else operands(rest)
    if program == "env":
        return tuple(_after_assignments(operands(rest))) or None
    if program == "timeout":
        return operands(rest)[1:] or None
    if program in ("python", "python3", "py"):
        return rest[1:] if rest[:1] == ("-m",) and rest[1:2] not in (("pip",), ("build",), ("venv",)) else None
    if program in ("uv", "pipx", "poetry", "pdm", "pipenv", "rye", "devbox", "hatch") and rest[:1] == ("run",):
        inner = operands(rest[1:])
        return inner if program != "hatch" or (inner and ":" not in inner[0] and does("checks", inner)) else None
    if (program, *rest[:1]) in _EXECUTORS:
        return operands(rest[1:])
    if program == "uv" and rest[:2] == ("tool", "run"):
        return operands(rest[2:])
    if program == "coverage" and rest[:1] == ("run",):
        inner = tuple(word for word in rest[1:] if word != "-m")
        return operands(inner)
    if program == "nix-shell" or (program, *rest[:1]) == ("nix", "develop"):
        for option in ("--command", "-c"):
            if option in rest:
                return rest[rest.index(option) + 1 :]
    if program == "nix-shell" and "--run" in rest[:-1]:
        return tuple(rest[rest.index("--run") + 1].split())
    return None


def operands(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words from the first that is neither an option nor an option's value."""
    n = 0
    while n < len(words) and words[n].startswith("-"):
        if words[n] == "--":
            return words[n + 1 :]
        n += 2 if words[n] in _VALUED else 1
    return words[n:]


def _after_assignments(words: tuple[str, ...]) -> list[str]:
    n = 0
    while n < len(words) and "=" in words[n]:
        n += 1
    return list(words[n:])


def is_script(word: str) -> bool:
    """Return whether a word names a script of the repository rather than a program of the machine."""
    return "/" in word and not word.startswith(("/usr", "/bin", "/sbin", "/opt", "~", "$"))


def is_runner(words: tuple[str, ...]) -> bool:
    """Return whether the words start a target, a task or a script of the repository, which only its name tells."""
    program = posixpath.basename(words[0])
    if is_script(words[0]) and not words[0].startswith((".venv/bin/", "venv/bin/", "node_modules/.bin/", "vendor/bin/")):
        return True
    if program in ("sh", "bash", "zsh", "dash", "source", ".", "ruby", "node", "python", "python3"):
        return bool(targets(words)) and not any(word in ("-n", "-m", "-c", "--version", "-V", "--test") for word in words[1:])
    return program in _RUNNERS and not any(does(kind, words) for kind in ("installs", "prepares", "deploys", "nothing"))


def targets(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the targets, tasks or scripts that the words start."""
    program, rest = posixpath.basename(words[0]), words[1:]
    if is_script(words[0]):
        return (words[0],)
    if program in ("npm", "pnpm", "yarn", "bun", "mise", "turbo", "nx", "lerna", "lefthook"):
        named = [word for word in _plain(rest) if word not in ("run", "run-script", "tasks", "task", "r")]
        return ("test",) if named[:1] == ["t"] else tuple(named[:1])
    if program in ("sh", "bash", "zsh", "dash", "source", ".", "ruby", "node", "python", "python3"):
        return tuple(_plain(rest)[:1])
    return tuple(word for word in _plain(rest) if "=" not in word) or ("",)


def _plain(words: tuple[str, ...]) -> list[str]:
    """Return the words that are no options; what follows ``--`` goes to the script."""
    found, skip = [], False
    for word in words:
        if word == "--":
            break
        if skip or word.startswith("-"):
            skip = not skip and word in (
                "-C",
                "-f",
                "-j",
                "--prefix",
                "--dir",
                "--cwd",
                "-w",
                "--workspace",
                "--filter",
                "-d",
                "-F",
                "-W",
            )
            continue
        found.append(word)
    return found
