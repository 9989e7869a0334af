"""What the configuration of linters shows, and charts, kustomizations, compose files and flakes, in every folder."""

import re
from collections.abc import Iterator, Sequence

from homelab.policy import invocation, programs
from homelab.policy import shell as sh
from homelab.policy.found import folders
from homelab.policy.found.finding import Finding, Source, join
from homelab.policy.tree import mapping, sequence

_YAMLLINT = (".yamllint", ".yamllint.yaml", ".yamllint.yml")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: kubectl has the same build in it, and is there where the program alone is not.
KUSTOMIZE = "$(command -v kustomize > /dev/null && echo kustomize build || echo kubectl kustomize)"
_SHELLCHECK = (".shellcheckrc", "shellcheckrc")
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_SERVICES = re.compile(r"^(?:services|include)\s*:", re.MULTILINE)  # PyYAML would take a second for two hundred of them
_SHELL_TEST = re.compile(r"(?:^|/)(?:test[_-][^/]*|[^/]*[_.-]test)\.sh$")
_MOST_SCRIPTS = 200


def find(source: Source) -> Iterator[Finding]:
    """Yield the checks of everything that is no program of its own language."""
    yield from linters(source)
    yield from charts(source)
    yield from kustomizations(source)
    yield from compose(source)
    for folder in source.folders_with("flake.nix"):
        yield Finding("nix", "nix flake check", join(folder, "flake.nix"), folder, source.inputs(folder))
    yield from shell(source)


def linters(source: Source) -> Iterator[Finding]:
    """Yield the linters that have a configuration."""
    for tool, run, names in (
        ("yamllint", "yamllint .", _YAMLLINT),
        (
            "ansible-lint",
            "ansible-lint",
            (".ansible-lint", ".ansible-lint.yml", ".ansible-lint.yaml", ".config/ansible-lint.yml"),
        ),
        ("tflint", "tflint --recursive", (".tflint.hcl",)),
    ):
        plain = [name for name in names if "/" not in name]
        found = source.folders_with(*plain)
        if not found and any(source.tree.has(name) for name in names):
            found = ["."]
        for folder in found:
            file = next(name for name in names if source.tree.has(join(folder, name)))
            if tool == "tflint" and "source" in (source.tree.text(join(folder, file)) or ""):
                run = f"tflint --init && {run}"  # a plugin by its source is not there before
            yield Finding(tool, run, join(folder, file), folder, source.inputs(folder))


def _grouped(source: Source, tool: str, found: Sequence[str], run: str, what: Sequence[str]) -> Iterator[Finding]:
    """Yield a suite for each group of folders, one where they are on too many levels."""
    groups = folders.patterns(sorted(found), source.tree.every_folder)
    for pattern, members in groups:
        names = source.tree.folders[members[0]]
        file = next(name for name in what if name in names)
        if pattern is None:
            inputs = source.inputs(members[0], [join(members[0], name) for name in names])
            yield Finding(tool, run, join(members[0], file), members[0], inputs)
        else:
            shared = {path for folder in members for path in _outside(source, folder, members)}
            where = f"{len(members)} folders with {file} under {pattern.split('*')[0].rstrip('/')}"
            yield Finding(tool, run, where, ".", tuple(sorted(shared)), each=pattern)


def _outside(source: Source, folder: str, members: Sequence[str]) -> tuple[str, ...]:
    names = [join(folder, name) for name in source.tree.folders.get(folder, ())]
    found = source.inputs(folder, names) or ()
    return tuple(path for path in found if not any(path == each or path.startswith(f"{each}/") for each in members))


def charts(source: Source) -> Iterator[Finding]:
    """Yield helm's own lint of every chart."""
    found = source.folders_with("Chart.yaml")
    needs = any(
        "://" in str(sequence(mapping(source.tree.yaml(join(each, "Chart.yaml"))).get("dependencies"))) for each in found[:50]
    )
    run = "helm dependency build . && helm lint ." if needs else "helm lint ."
    yield from _grouped(source, "helm", found, run, ("Chart.yaml",))


def kustomizations(source: Source) -> Iterator[Finding]:
    """Yield a build of every kustomization; a component is built where it is used."""
    found = source.folders_with(*_KUSTOMIZATIONS)
    groups = folders.patterns(sorted(found), source.tree.every_folder)
    if len(groups) <= 3:
        yield from _grouped(source, "kustomize", found, f"{KUSTOMIZE} . > /dev/null", _KUSTOMIZATIONS)
        return
    # On many levels one suite builds all but components, and ends red when any build does.
    tops = {folder.split("/")[0] for folder in found}
    top = tops.pop() if len(tops) == 1 else "."
    run = (
        "git ls-files '*kustomization.yaml' '*kustomization.yml' | xargs grep -L 'kind: Component' | xargs -n1 dirname"
        f" | xargs -n1 sh -c '{KUSTOMIZE} \"$0\" > /dev/null'"
    )
    yield Finding("kustomize", run, f"{len(found)} folders with kustomization.yaml", top, source.inputs(top))


def compose(source: Source) -> Iterator[Finding]:
    """Yield compose's own check of its files; a file of that name without services is somebody else's."""
    found = [folder for folder in source.folders_with(*_COMPOSE) if _composes(source, folder)]
    yield from _grouped(source, "compose", found, "docker compose config --quiet", _COMPOSE)


def _composes(source: Source, folder: str) -> bool:
    names = source.tree.folders[folder].intersection(_COMPOSE)
    return any(_SERVICES.search(source.tree.text(join(folder, name)) or "") for name in names)


def shell(source: Source) -> Iterator[Finding]:
    """Yield shellcheck where scripts are written with it in mind, and the tests that are shell scripts or bats files."""
    scripts = [path for path in source.tree.files if path.endswith((".sh", ".bash"))]
    configured = ["."] if "." in (found := source.folders_with(*_SHELLCHECK)) else found
    shown = {
        folder: next(join(folder, name) for name in _SHELLCHECK if name in source.tree.folders[folder]) for folder in configured
    }
    directives = (path for path in scripts[:_MOST_SCRIPTS] if "# shellcheck " in (source.tree.text(path) or ""))
    if not shown and (directive := next(directives, None)):
        shown = {".": directive}
    for folder, path in shown.items():
        if any(folder == "." or script.startswith(f"{folder}/") for script in scripts):
            run = "git ls-files -z '*.sh' '*.bash' | xargs -0 shellcheck"
            yield Finding("shellcheck", run, path, folder, source.inputs(folder, [path]))
    yield from _shell_tests(source, scripts)
    suites: dict[str, list[str]] = {}
    for path in source.tree.files:
        if path.endswith(".bats"):
            suites.setdefault(path.rpartition("/")[0] or ".", []).append(path)
    for folder, tests in suites.items():
        if (off := _off(source, tests)) is not None and not any(_bats_deploys(source, path) for path in tests):
            dir = folder.rpartition("/")[0] or "."
            run = "bats ." if folder == dir else f"bats {folder.rpartition('/')[2]}"
            yield Finding("bats", run, f"{folder}, {len(tests)} bats files", dir, source.inputs(dir, tests), off=off)


def _shell_tests(source: Source, scripts: list[str]) -> Iterator[Finding]:
    tests: dict[str, list[str]] = {}
    for path in scripts:
        if _SHELL_TEST.search(path):
            tests.setdefault(path.rpartition("/")[0] or ".", []).append(path)
    for folder, paths in tests.items():
        usable = [path for path in paths if source.off(f"sh ./{path.rpartition('/')[2]}", folder) == ""]
        if usable:
            names = " ".join(path.rpartition("/")[2] for path in usable)
            run = f'for t in {names}; do echo "$t"; {_shell(source, usable)} "./$t" || exit 1; done'
            dir = folder if folder.rpartition("/")[2] not in ("tests", "test") else folder.rpartition("/")[0] or "."
            if dir != folder:
                run = run.replace('"./$t"', f'"./{folder.rpartition("/")[2]}/$t"')
            yield Finding("shell", run, f"{folder}, {len(usable)} shell tests", dir, source.inputs(dir, usable))


def _shell(source: Source, paths: list[str]) -> str:
    """Return the shell that the scripts ask for in their first line."""
    first = [(source.tree.text(path) or "").partition("\n")[0] for path in paths]
    return "bash" if any("bash" in line for line in first) else "sh"


def _bats_deploys(source: Source, path: str) -> bool:
    """Return whether a bats file starts a program that deploys; a script that it tests may well be called so."""
    text = re.sub(r"^[ \t]*(?:@test .*?\{)?[ \t]*(?:run\b(?: -\S+)*|\})?", "", source.tree.text(path) or "", flags=re.MULTILINE)
    commands = (invocation.unwrapped(one.words) for one in sh.parse(text).commands if one.words)
    return any(programs.does("deploys", words) for words in commands if words)


def _off(source: Source, paths: list[str]) -> str | None:
    found = [source.off(f"sh ./{path}") for path in paths]
    return None if None in found else next(filter(None, found), "")
