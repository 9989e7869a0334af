"""``homelab.toml`` read: what a file says, or what is wrong with which key.

A key that is not known is an error with a suggestion. The settings themselves are `homelab.policy.config`'s.
"""

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any, NoReturn, cast

from homelab.errors import Usage
from homelab.policy.config import NAME, SECTIONS, TABLES, Config, Setting, Suite

MAX_BYTES = 1 << 20

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Far from where a calendar ends: a date past the year 9999 is none that Python or a claim store can write down.
_LONGEST = 365 * 86400
_LARGEST = 1_000_000

#: The one table that stands as often as one likes: who meets it first writes it like the others.
_SUITE = '`[[suite]]`, and below it `name = "check"` and `run = "make check"`'
_EXAMPLES = {
    "branch": "master", "branches": "release/*", "path": "cli/src", "paths": "cli/src", "commands": "terraform version",
    "url": "https://git.example", "variables": "KUBECONFIG",
}  # fmt: skip


def duration(text: str, where: str = "duration") -> int:
    """Return the seconds of ``90s``, ``15m``, ``2h`` or ``7d``, a year at most. Raises `Usage`."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not found or int(found[1]) == 0:
        raise Usage(f"{where}: {text[:40]!r} is not a duration", hint="write it as 90s, 15m, 2h or 7d")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise Usage(f"{where}: {text!r} is longer than a year", hint="write at most 365d")
    return seconds


def parse(content: bytes | None, source: str = NAME) -> Config:
    """Return the configuration that `content` says. Raises `Usage` naming `source`, the key, and the nearest known one.

    None is what is there and no plain file, which says nothing of the rules: they are not the defaults.
    """
    if content is None:
        raise Usage(f"{source} is not a plain file", hint="replace it by a file")
    if len(content) > MAX_BYTES:
        raise Usage(f"{source} is larger than {MAX_BYTES >> 20} MiB", hint="it holds configuration, nothing else")
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise Usage(f"{source} is not UTF-8", hint="save it as UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # a number of five thousand digits is a ValueError of int
        raise Usage(f"{source} is not TOML: {error}", hint="mend that line; `homelab verify` reads it again") from None
    _known(document, "", source)
    sections = {name: _section(name, kind, document.get(name, {}), f"{source}: [{name}]") for name, kind in SECTIONS.items()}
    suites = document.get("suite", [])
    if not isinstance(suites, list) or not all(isinstance(table, dict) for table in suites):
        raise Usage(f"{source}: suite is a list of tables", hint=f"write it with two brackets: {_SUITE}")
    read = tuple(
        _suite(cast("Suite", _section("suite", Suite, table, f"{source}: [[suite]] {n}")), f"{source}: [[suite]] {n}")
        for n, table in enumerate(suites, 1)
    )
    twice = [suite.name for n, suite in enumerate(read) if suite.name in {other.name for other in read[:n]}]
    if twice:
        raise Usage(f"{source}: two suites are called {twice[0]!r}", hint="give each suite a name of its own")
    config = Config(suites=read, **sections)
    if "{topic}" not in config.work.branch:
        raise Usage(f"{source}: [work] branch has no {{topic}}", hint='write it as "{user}/{topic}"')
    return config


def _suite(suite: Suite, where: str) -> Suite:
    if not suite.name.strip() or not suite.name.isprintable():
        raise Usage(f"{where}: name is empty or not printable", hint="give it a short name")
    if suite.ci is not None:
        return _decided_by_ci(suite, where)
    if not suite.run.strip():
        raise Usage(f"{where}: run is missing or empty", hint="write the command that decides")
    if suite.each is not None:
        if suite.dir != ".":
            raise Usage(f"{where}: each and dir exclude one another", hint="each folder is its own dir")
        return suite._replace(each=_path(suite.each, f"{where}: each"))
    return suite


def _decided_by_ci(suite: Suite, where: str) -> Suite:
    """Return a suite that CI decides. Raises `Usage` where it says how it would run here."""
    if not (suite.ci or "").strip():
        raise Usage(f"{where}: ci is empty", hint='name the checks that decide, like ci = "ci/woodpecker/push/*"')
    here = {"run": suite.run, "each": suite.each, "dir": suite.dir != ".", "env": suite.env, "retries": suite.retries}
    if said := [name for name, value in {**here, "secrets": suite.secrets}.items() if value]:
        raise Usage(f"{where}: ci and {said[0]} exclude one another", hint=f"remove {said[0]}: CI runs it, nothing runs here")
    return suite


def _known(table: Any, level: str, where: str) -> None:
    for key in table:
        if key not in _keys(level):
            raise Usage(f"{where}: unknown key {key!r}", hint=_nearest(key, level))


def _keys(level: str) -> list[str]:
    """Return what may stand below a table, or at the file's top, whose name is empty."""
    return list(TABLES[level] if level else TABLES)


def _nearest(key: str, level: str) -> str:
    """Return what was meant, as one writes it: what stands here, else what stands elsewhere, else all that may stand here."""
    import difflib

    elsewhere = {name: other for other in reversed(["", *TABLES]) for name in _keys(other)}
    if key not in elsewhere and (near := difflib.get_close_matches(key, _keys(level), 1)):
        return f"did you mean {_written(near[0], level)}?"
    if near := difflib.get_close_matches(key, elsewhere, 1, 0.8):
        other = elsewhere[near[0]]
        return f"write {_written(near[0], other)} " + (f"below `{_table(other)}`" if other else "as a table of its own")
    return f"known are: {', '.join(_keys(level) if level else map(_table, TABLES))}"


def _table(name: str) -> str:
    return "[[suite]]" if name == "suite" else f"[{name}]"


def _written(name: str, level: str) -> str:
    """Return a table or a key as one would write it."""
    if not level:
        return _SUITE if name == "suite" else f"`{_table(name)}`"
    setting = TABLES[level][name]
    if setting.kind == "duration":
        value = '"15m"'
    elif "bool" in setting.type or "int" in setting.type:
        value = "true" if "bool" in setting.type else str(setting.default or 1)
    else:
        kind, _, choices = setting.kind.partition(":")
        value = f'"{setting.default or choices.partition(",")[0] or _EXAMPLES.get(kind, "TEXT")}"'
    return f"`{name} = [{value}]`" if "tuple" in setting.type else f"`{name} = {value}`"


def _section(name: str, kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise Usage(f"{where} is not a table", hint=f"write it as {where.rpartition(': ')[2]} with keys below")
    known = TABLES[name]
    _known(table, name, where)
    for key, setting in known.items():
        if setting.is_required and key not in table:
            raise Usage(f"{where}: {key} is missing", hint=f"{key}: {setting.words}")
    return kind(**{key: _value(value, known[key], f"{where}: {key}") for key, value in table.items()})


def _value(value: Any, setting: Setting, where: str) -> Any:
    kind, wanted = setting.kind, setting.type
    if kind == "duration":
        return duration(value, where) if isinstance(value, str) else _wrong(value, "a duration like 15m", where)
    if "tuple" in wanted:
        return _list(value, kind, where)
    if "bool" in wanted:
        return value if isinstance(value, bool) else _wrong(value, "true or false", where)
    return _number(value, kind, where) if "int" in wanted else _text(value, kind, where)


def _list(value: Any, kind: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        _wrong(value, "a list of strings", where)
    if kind == "paths":
        return tuple(_path(part, where) for part in value)
    if kind == "branches":  # the whole name of a ref would match no branch, and protect nothing
        return tuple(part.removeprefix("refs/heads/") for part in value)
    if kind == "commands" and (bad := [part for part in value if not part.strip() or "\0" in part]):
        _wrong(bad[0], "a command like terraform version", where)
    if kind == "variables" and (bad := [part for part in value if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part)]):
        _wrong(bad[0], "the name of a variable", where)
    return tuple(value)


def _number(value: Any, kind: str, where: str) -> int:
    least = 1 if kind == "positive" else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        _wrong(value, f"a number of at least {least}", where)
    if kind == "percent" and value > 100:
        _wrong(value, "a percentage, 0 to 100", where)
    if value > _LARGEST:
        raise Usage(f"{where} is larger than {_LARGEST}", hint="write a smaller number")
    return value


def _text(value: Any, kind: str, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        _wrong(value, "a string", where)
    if kind == "path":
        return _path(value, where)
    if kind == "url" and not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", value):
        _wrong(value, "an address like https://git.example, without a name or password in it", where)
    if kind == "branch":
        return value.removeprefix("refs/heads/")
    if kind.startswith("choice:") and value not in (choices := kind.removeprefix("choice:").split(",")):
        _wrong(value, " or ".join(f'"{choice}"' for choice in choices), where)
    return value


def _wrong(value: Any, wanted: str, where: str) -> NoReturn:
    shown = repr(value) if not isinstance(value, int) or abs(value) < _LARGEST else "a very large number"
    raise Usage(f"{where} is {shown[:200]}", hint=f"it has to be {wanted}")


def _path(text: str, where: str) -> str:
    """Return a path from the root in its shortest form. Raises `Usage` when it leaves the repository."""
    path = PurePosixPath(text)
    if text == "~" or text.startswith("~/"):
        raise Usage(f"{where}: {text!r} begins with ~, which nothing here expands", hint="write it from the root, like cli/src")
    if not text or path.is_absolute() or ".." in path.parts or ".git" in path.parts or "\0" in text:
        raise Usage(f"{where}: {text!r} is not a path inside the repository", hint="write it from the root, like cli/src")
    return str(path)
