"""What tox and nox run when nobody names an environment or a session, as far as their files tell. Nothing is run."""

import ast
import configparser
import re
import shlex
from collections.abc import Iterator
from typing import Any

from homelab.policy.tree import mapping, sequence, strings


def of_tox(ini: str, document: dict[str, Any]) -> str:
    """Return the commands of tox's default environments as a script, from an ini file's text and a TOML file's document."""
    rows = list(_ini(ini))
    if isinstance(legacy := document.get("legacy_tox_ini"), str):
        rows += _ini(legacy)
    named = strings(document.get("env_list"))
    environments = mapping(document.get("env"))
    for environment in (mapping(document.get("env_run_base")), *(mapping(environments.get(name)) for name in named)):
        rows += [shlex.join(strings(row)) for row in sequence(environment.get("commands"))]
    return "\n".join(re.sub(r"\{[^}]*\}", "X", row) for row in rows)


def _ini(text: str) -> Iterator[str]:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        read.read_string(text)
    except (configparser.Error, ValueError):
        return
    names = [read.get(head, key, fallback="") for head in ("tox:tox", "tox") for key in ("envlist", "env_list")]
    named = set(re.split(r"[\s,{}]+", " ".join(names)))
    for section in read.sections():
        kind, _, name = section.partition(":")
        if kind == "testenv" and (not name or name in named):
            yield from (row.strip().lstrip("-").strip() for row in read[section].get("commands", "").splitlines())


def of_nox(text: str) -> str:
    """Return the commands of nox's default sessions as a script."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    named: set[str] | None = None
    rows: dict[str, list[str]] = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "nox.options.sessions":
            named = {str(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
        made = [ast.unparse(each) for each in node.decorator_list] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.FunctionDef) and any("session" in each and "default=False" not in each for each in made):
            rows[next(iter(re.findall(r"name='([^']*)'", " ".join(made))), node.name)] = list(_runs(node))
    return "\n".join(row for name, each in rows.items() if named is None or name in named for row in each)


def _runs(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("run", "run_always"):
            yield shlex.join(str(word.value) if isinstance(word, ast.Constant) else "X" for word in node.args)
