"""What a target, a task or a script of the repository runs, as far as its files tell: make, just, Task, mise, npm, shell.

`Targets` is the `Bodies` of `homelab.policy.effects` for one tree. It reads the files as text and runs nothing, so what a
makefile computes stays unknown.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from homelab.policy import invocation
from homelab.policy.tree import Tree, mapping, read_yaml, sequence, strings

MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # the first that exists is the one make reads
TASKFILES = ("Taskfile.yml", "taskfile.yml", "Taskfile.yaml", "taskfile.yaml", "Taskfile.dist.yml", "Taskfile.dist.yaml")
MISE_FILES = (
    "mise.toml",
    ".mise.toml",
    ".config/mise.toml",
    ".mise/config.toml",
    "mise/config.toml",
    ".config/mise/config.toml",
)
JUSTFILES = ("justfile", "Justfile", "JUSTFILE", ".justfile")
LEFTHOOK = tuple(
    f"{prefix}{name}.{ext}"
    for prefix in ("", ".config/")
    for name in ("lefthook", ".lefthook")
    for ext in ("yml", "yaml", "toml", "json")
)
#: Folders whose executable files are tasks of mise.
MISE_FOLDERS = ("mise-tasks", ".mise-tasks", ".mise/tasks", "mise/tasks", ".config/mise/tasks")

_SHELLS = re.compile(r"#!.*\b(sh|bash|dash|zsh|ksh)\b")
_LINTS = frozenset("lint linter linters fmt format vet validate typecheck types static yamllint shellcheck precommit".split())
_MOST_LOOKUPS = 2000  # a makefile whose targets call each other would be followed for ever


class Targets:
    """Looks up what a command of one tree runs besides itself."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._left = _MOST_LOOKUPS
        self._documents: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}

    def __call__(self, dir: str, words: tuple[str, ...]) -> tuple[str, str] | None:
        """Return the folder and the script of what the words start, or None where the files do not tell."""
        self._left -= 1
        if self._left < 0:
            return None
        program = posixpath.basename(words[0])
        if invocation.is_script(words[0]) or program in ("sh", "bash", "zsh", "dash", "source", "."):
            return self._script(dir, invocation.targets(words))
        folder = _folder(dir, words)
        known = self.known(program, folder)
        names = [name or _default(program, known) for name in invocation.targets(words)]
        if not known or not names or any(name not in known for name in names):
            return None
        return folder, "\n".join(line for name in names for line in _closure(name, known))

    def known(self, program: str, folder: str) -> Mapping[str, tuple[str, tuple[str, ...]]]:
        """Return a runner's targets in a folder: for each its own script, and the targets that run before it."""
        kind = {"gmake": "make", "go-task": "task", "pnpm": "npm", "yarn": "npm", "bun": "npm"}.get(program, program)
        readers = {
            "make": self._make,
            "just": self._just,
            "task": self._task,
            "mise": self._mise,
            "npm": self._npm,
            "lefthook": self._hooks,
        }
        if kind not in readers:
            return {}
        place = f"{kind}:{folder}"
        if place not in self._documents:
            self._documents[place] = readers[kind](folder)
        return self._documents[place]

    def _script(self, dir: str, names: Sequence[str]) -> tuple[str, str] | None:
        path = posixpath.normpath(posixpath.join(dir, names[0])) if names else ".."
        text = None if path.startswith("..") else self._tree.text(path)
        return (dir, text) if text and (path.endswith(".sh") or _SHELLS.match(text)) else None

    def _first(self, folder: str, names: Sequence[str]) -> str | None:
        paths = (posixpath.normpath(posixpath.join(folder, name)) for name in names)
        return next((path for path in paths if self._tree.has(path)), None)

    def _make(self, folder: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        path = self._first(folder, MAKEFILES)
        return make_targets(self._tree.text(path) or "") if path else {}

    def _just(self, folder: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        path = self._first(folder, JUSTFILES)
        return just_targets(self._tree.text(path) or "") if path else {}

    def _task(self, folder: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        path = self._first(folder, TASKFILES)
        return self._tasks(path, set()) if path else {}

    def _tasks(self, path: str, seen: set[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return the tasks of a Taskfile, those that it includes behind the name that it gives them."""
        seen.add(path)
        document = read_yaml(self._tree.text(path) or "")
        found = task_targets(document)
        for name, row in mapping(mapping(document).get("includes")).items():
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), str(mapping(row).get("taskfile", row))))
            other = place if self._tree.has(place) else self._first(place, TASKFILES)
            for task, (script, needed) in (self._tasks(other, seen) if other and other not in seen else {}).items():
                found[f"{name}:{task}"] = (script, tuple(f"{name}:{each}" for each in needed))
        return found

    def _hooks(self, _: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        _, document = lefthook_file(self._tree)
        return {
            hook: ("\n".join(str(mapping(command).get("run", "")) for command in hook_commands(document, hook)), ())
            for hook in document
        }

    def _mise(self, folder: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for name in MISE_FILES:
            found.update(mise_targets(self._tree.toml(posixpath.normpath(posixpath.join(folder, name)))))
        for name in MISE_FOLDERS:
            place = posixpath.normpath(posixpath.join(folder, name))
            for script in self._tree.folders.get(place, ()):
                found[posixpath.splitext(script)[0]] = (self._tree.text(f"{place}/{script}") or "", ())
        return found

    def _npm(self, folder: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        document = self._tree.json(posixpath.normpath(posixpath.join(folder, "package.json")))
        scripts = {name: run for name, run in mapping(document.get("scripts")).items() if isinstance(run, str)}
        around = {name: [n for n in (f"pre{name}", f"post{name}") if n in scripts] for name in scripts}
        return {name: (run, tuple(around[name])) for name, run in scripts.items()}


def lefthook_file(tree: Tree) -> tuple[str, dict[str, Any]]:
    """Return lefthook's file and its document, both empty where there is none."""
    path = next((name for name in LEFTHOOK if tree.has(name)), "")
    return path, mapping(tree.toml(path) if path.endswith(".toml") else tree.yaml(path) if path else None)


def hook_commands(document: Mapping[str, Any], hook: str) -> list[Any]:
    """Return the commands, jobs and scripts of a hook of lefthook."""
    stanza = mapping(document.get(hook))
    return [
        *mapping(stanza.get("commands")).values(),
        *sequence(stanza.get("jobs")),
        *mapping(stanza.get("scripts")).values(),
    ]


def _folder(dir: str, words: tuple[str, ...]) -> str:
    """Return where a runner looks for its file: ``make -C sub``, ``npm --prefix sub``."""
    for n, word in enumerate(words[:-1]):
        if word in ("-C", "--directory", "--prefix", "--cwd", "--dir", "-d"):
            return posixpath.normpath(posixpath.join(dir, words[n + 1]))
    return dir


def _default(program: str, known: Mapping[str, object]) -> str:
    """Return the target that runs when none is named: the first, or the one that is called so."""
    return "default" if "default" in known or program in ("task", "go-task") else next(iter(known), "")


def _closure(name: str, known: Mapping[str, tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    """Yield the scripts of a target and of all that run before it, each once."""
    seen, waiting = set(), [name]
    while waiting:
        each = waiting.pop()
        if each not in seen and each in known:
            seen.add(each)
            waiting.extend(known[each][1])
            yield known[each][0]


def make_targets(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the targets of a makefile in their order, with their recipes and prerequisites."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    variables: dict[str, str] = {"MAKE": "make"}
    exported: list[str] = []
    current: list[str] = []
    inside = False
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if inside or word == "define":
            inside = word != "endef"
        elif line.startswith("\t"):
            for name in current:
                found[name][0].append(line.strip().lstrip("@-+"))
        elif names := _rule(line):
            current = [name for name in names if not name.startswith(".")]
            wanted, _, recipe = line.partition(":")[2].partition(";")
            for name in current:
                recipes, needed = found.setdefault(name, ([], []))
                recipes.extend([recipe.strip()] if recipe.strip() else [])
                needed.extend(wanted.lstrip(":").split("#")[0].replace("|", " ").split())
            exported.extend(["*"] if ".EXPORT_ALL_VARIABLES" in names else [])
        elif assigned := re.match(r"\s*(export\s+)?([\w.]+)\s*(?::{0,3}|\?|\+)=\s*(.*)", line):
            variables[assigned[2]] = assigned[3].strip()
            exported.extend([assigned[2]] if assigned[1] else [])
        elif word == "export":
            exported.extend(line.split()[1:])
    names = [name for name in variables if name in exported or ("*" in exported and name != "MAKE")]
    return {
        name: (_exports(names, name) + "\n".join(_expanded(row, variables) for row in recipe), tuple(needed))
        for name, (recipe, needed) in found.items()
    }


def _exports(names: Iterable[str], target: str) -> str:
    """Return the lines that export a file's variables to a target; a linter asks no cluster, whatever is exported."""
    if _LINTS.intersection(re.split(r"[^a-z]+", target.lower())):
        return ""
    return "".join(f"export {name}=x\n" for name in names)


def _expanded(recipe: str, variables: Mapping[str, str]) -> str:
    """Return a line of a recipe as the shell gets it; what only make could compute is the word ``X``."""
    for _ in range(4):
        recipe = re.sub(r"(?<!\$)\$[({]([\w.]+)[)}]", lambda found: variables.get(found[1], "X"), recipe)
    return re.sub(r"(?<!\$)\$(\([^()]*\)|\{[^{}]*\}|[@<^*+?%])", "X", recipe).replace("$$", "$")


def _rule(line: str) -> list[str]:
    """Return the targets of one line of a makefile when it is a rule."""
    names, colon, rest = line.partition(":")
    wanted = rest.partition(";")[0].partition("#")[0]
    if not colon or "=" in names or "#" in names or wanted.lstrip(":").startswith("="):
        return []
    # `test: FLAGS = -v` sets a variable and makes no rule; `test: $(SOURCES:.c=.o)` does.
    before, is_variable, _ = wanted.partition("=")
    return [] if is_variable and "(" not in before and "{" not in before else names.removesuffix("&").split()


_RECIPE = re.compile(r"^@?([A-Za-z_][\w-]*)([ \t][^:\n#]*)?:(?!=)([^\n]*)\n?((?:[ \t]+[^\n]*\n?|\n)*)", re.MULTILINE)


def just_targets(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the recipes of a justfile with their scripts and dependencies."""
    found = {}
    for name, _, needed, body in _RECIPE.findall(text):
        lines = [line.strip().lstrip("@-") for line in body.splitlines()]
        script = re.sub(r"\{\{.*?\}\}", "X", "\n".join(line for line in lines if not line.startswith("#!")))
        found[name] = (script, tuple(re.findall(r"[A-Za-z_][\w-]*", needed.split("#")[0])))
    for alias, name in re.findall(r"^alias[ \t]+([\w-]+)[ \t]*:=[ \t]*([\w-]+)", text, re.MULTILINE):
        found[alias] = ("", (name,))
    exported = re.findall(r"^export[ \t]+(\w+)[ \t]*:=", text, re.MULTILINE)
    return {name: (_exports(exported, name) + script, needed) for name, (script, needed) in found.items()}


def just_recipes(text: str) -> frozenset[str]:
    """Return the recipes and aliases that `just NAME` runs without an argument."""
    found = set(re.findall(r"^alias[ \t]+([\w-]+)[ \t]*:=", text, re.MULTILINE))
    for name, parameters in re.findall(r"^@?([A-Za-z_][\w-]*)([ \t][^:\n#]*)?:(?!=)", text, re.MULTILINE):
        # A parameter without a default has to be given, `*rest` need not be.
        bare = re.sub(r"=\s*('[^']*'|\"[^\"]*\"|\S+)", "=", parameters).split()
        if all("=" in part or part.startswith("*") for part in bare):
            found.add(name)
    return frozenset(found)


def task_targets(document: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the tasks of a Taskfile with their commands and dependencies."""
    found = {}
    exported = [name for name in mapping(mapping(document).get("env")) if isinstance(name, str)]
    for name, task in mapping(mapping(document).get("tasks")).items():
        rows = task if isinstance(task, str | list) else mapping(task).get("cmds", mapping(task).get("cmd"))
        rows = [rows] if isinstance(rows, str | dict) else sequence(rows)
        lines = [row if isinstance(row, str) else mapping(row).get("cmd", "") for row in rows]
        needed = [mapping(row).get("task") for row in (*rows, *sequence(mapping(task).get("deps"))) if isinstance(row, dict)]
        needed += strings(mapping(task).get("deps"))
        script = re.sub(r"\{\{.*?\}\}", "X", "\n".join(line for line in lines if isinstance(line, str)))
        found[str(name)] = (_exports(exported, str(name)) + script, tuple(str(each) for each in needed if each))
    return found


def mise_targets(document: Mapping[str, Any]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the tasks of a mise configuration with their commands and dependencies."""
    found = {}
    exported = [name for name in mapping(document.get("env")) if isinstance(name, str)]
    for name, task in mapping(document.get("tasks")).items():
        rows = strings(task) or strings(mapping(task).get("run"))
        found[str(name)] = (_exports(exported, str(name)) + "\n".join(rows), tuple(strings(mapping(task).get("depends"))))
    return found
