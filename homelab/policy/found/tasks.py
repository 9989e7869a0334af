"""What runners of tasks and of hooks are told: make, just, Task, mise, pre-commit, prek, lefthook, worktrunk, `bin/test`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homelab.policy import effects
from homelab.policy.effects import Effect
from homelab.policy.found.finding import Finding, Source, join
from homelab.policy.targets import JUSTFILES, MAKEFILES, MISE_FILES, TASKFILES, hook_commands, just_recipes, lefthook_file
from homelab.policy.tree import mapping, sequence, strings

#: Hook ids of our own: a pre-commit configuration with nothing else would have the gate verify by the gate.
OWN_HOOKS = frozenset(("verified-push", "claimed-stacks", "git-crypt-sealed"))

#: Goals whose name says that they check, the most telling first; a goal that runs others stands for them.
GOALS = ("check", "test", "lint", "verify", "validate", "typecheck", "type-check", "vet", "fmt-check", "format-check", "ci")
SCRIPTS = ("bin/test", "script/test", "scripts/test", "scripts/test.sh", "script/cibuild", "test.sh", "run-tests.sh")


def find(source: Source) -> Iterator[Finding]:
    """Yield the commands of every runner, in every folder."""
    for program, names in (("make", MAKEFILES), ("just", JUSTFILES), ("task", TASKFILES), ("mise", MISE_FILES)):
        for folder in source.folders_with(*names) if program != "mise" else _mise_folders(source):
            yield from goals(source, program, folder)
    yield from pre_commit(source)
    yield from lefthook(source)
    yield from worktrunk(source)
    yield from scripts(source, [".", *_projects(source)])


def _mise_folders(source: Source) -> list[str]:
    folders = source.folders_with("mise.toml", ".mise.toml")
    return folders if "." in folders or not source.targets.known("mise", ".") else [".", *folders]


def goals(source: Source, program: str, folder: str, names: tuple[str, ...] = GOALS) -> Iterator[Finding]:
    """Yield the goals of a runner in a folder that check, those that deploy left out."""
    known = source.targets.known(program, folder)
    usable = set(known)
    if program == "just":
        path = next(join(folder, name) for name in JUSTFILES if source.tree.has(join(folder, name)))
        usable &= just_recipes(source.tree.text(path) or "")
    file = _file(source, program, folder)
    for goal in names:
        if goal not in usable:
            continue
        run = f"mise run {goal}" if program == "mise" else f"{program} {goal}"
        off = source.off(run, folder)
        if off is not None:
            tool = program if goal in ("test", "check") else f"{program}-{goal}"
            inputs = source.inputs(folder, [file] if source.tree.has(file) else ())
            yield Finding(tool, run, f"{file}, {goal}", folder, inputs, off=off, is_explicit=True)


def _file(source: Source, program: str, folder: str) -> str:
    names = {"make": MAKEFILES, "just": JUSTFILES, "task": TASKFILES, "mise": MISE_FILES}[program]
    return next((path for name in names if source.tree.has(path := join(folder, name))), f"{program}'s tasks")


def pre_commit(source: Source) -> Iterator[Finding]:
    """Yield the root's hooks of pre-commit or prek, where any is not our own."""
    for program, file, read in (
        ("pre-commit", ".pre-commit-config.yaml", source.tree.yaml),
        ("prek", "prek.toml", source.tree.toml),
    ):
        if found := [hook for hook in _hooks(read(file)) if is_foreign(hook)]:
            off = source.off("\n".join(str(hook.get("entry", "")) for hook in found))
            if off is not None:
                yield Finding(program, f"{program} run --all-files", file, off=off)
            return


def _hooks(document: Any) -> Iterator[dict[str, object]]:
    """Yield the hooks of a configuration, each with the stages that it falls back to."""
    for repo in sequence(mapping(document).get("repos")):
        for hook in sequence(mapping(repo).get("hooks")):
            if isinstance(hook, dict):
                yield {"stages": mapping(document).get("default_stages"), **hook}


def is_foreign(hook: Mapping[str, object]) -> bool:
    """Return whether `pre-commit run` would start this hook, and it is none of ours."""
    stages = strings(hook.get("stages"))
    runs = not stages or "pre-commit" in stages or "commit" in stages
    return runs and isinstance(hook.get("id"), str) and hook["id"] not in OWN_HOOKS


def lefthook(source: Source) -> Iterator[Finding]:
    """Yield the root's hooks of lefthook that run before a commit and, where the gate is none of them, before a push."""
    path, document = lefthook_file(source.tree)
    for hook in ("pre-commit", "pre-push"):
        commands = hook_commands(document, hook)
        rows = [str(mapping(command).get("run", "")) for command in commands if "homelab" not in str(command)]
        if hook == "pre-push" and len(rows) < len(commands):
            continue
        does = effects.worst([effects.effect(row, source.targets) for row in rows])
        if rows and does is not Effect.DEPLOYS:
            off = "it asks a system that is up" if does is Effect.LIVE else ""
            tool = "lefthook" if hook == "pre-commit" else f"lefthook-{hook}"
            yield Finding(tool, f"lefthook run {hook} --all-files", f"{path}, {hook}", off=off, is_explicit=True)
    if "remotes" in document or "remote" in document:
        yield Finding("lefthook", "lefthook run pre-commit --all-files", path, off="what it runs is in another repository")


def worktrunk(source: Source) -> Iterator[Finding]:
    """Yield the commands that worktrunk runs before a merge."""
    document = source.tree.toml(".config/wt.toml")
    rows = document.get("pre-merge")
    for row in rows if isinstance(rows, list) else [rows]:
        named = {"pre-merge": row} if isinstance(row, str) else mapping(row)
        for name, run in named.items():
            if isinstance(run, str) and (found := effects.check(run, source.targets)) and "{{" not in run:
                yield Finding(str(name), found.run, ".config/wt.toml, pre-merge", found.dir, source.inputs(found.dir))


def _projects(source: Source) -> list[str]:
    """Return the folders below the root that have a script like `bin/test`."""
    named = [name.split("/") for name in SCRIPTS if "/" in name]
    ends = [(folder, f"/{head}") for head, name in named for folder in source.folders_with(name)]
    return sorted({folder.removesuffix(end) for folder, end in ends if folder.endswith(end)})


def scripts(source: Source, folders: Iterable[str] = (".",)) -> Iterator[Finding]:
    """Yield the script of each folder that runs its tests by convention."""
    for folder in folders:
        for name in SCRIPTS:
            path = join(folder, name)
            entry = source.tree.objects.entry(source.tree.oid, path)
            if entry is not None and entry.mode == 0o100755:
                run = name if "/" in name else f"./{name}"
                if (off := source.off(run, folder)) is not None:
                    yield Finding("test", run, path, folder, source.inputs(folder, [path]), off=off)
                break
