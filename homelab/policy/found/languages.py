"""What languages' own files show: go, cargo, npm and its kin, Ruby."""

import re
from collections.abc import Iterator

from homelab.policy import effects
from homelab.policy.effects import is_checking_name
from homelab.policy.found.finding import Finding, Source, join
from homelab.policy.tree import mapping

#: Scripts of a package.json that check besides its tests.
_SCRIPTS = (
    "lint",
    "typecheck",
    "type-check",
    "check-types",
    "check",
    "format:check",
    "fmt:check",
    "prettier:check",
    "validate",
)
_NODE = frozenset("node npm npx pnpm pnpx yarn bun bunx".split())
_BUNDLE = "bundle config set --local path vendor/bundle && bundle install"
_LOCKS = {
    "pnpm-lock.yaml": ("pnpm", "pnpm install --frozen-lockfile"),
    "bun.lock": ("bun", "bun install --frozen-lockfile"),
    "bun.lockb": ("bun", "bun install --frozen-lockfile"),
    "yarn.lock": ("yarn", "yarn install --frozen-lockfile"),
    "package-lock.json": ("npm", "npm ci"),
    "npm-shrinkwrap.json": ("npm", "npm ci"),
}


def find(source: Source) -> Iterator[Finding]:
    """Yield the commands of every language but Python, in every folder."""
    for folder in source.folders_with("go.mod"):
        yield go(source, folder)
    crates = source.folders_with("Cargo.toml")
    for folder in crates:
        if not any(_is_below(folder, other) for other in crates):  # a member of a workspace is its root's
            yield from cargo(source, folder)
    for folder in source.folders_with("package.json"):
        yield from node(source, folder)
    for folder in source.folders_with("Gemfile"):
        yield from ruby(source, folder)


def _is_below(folder: str, other: str) -> bool:
    return folder != other and (other == "." or folder.startswith(f"{other}/"))


def go(source: Source, folder: str) -> Finding:
    """Return the tests of a go module; one that starts real infrastructure is off."""
    module = join(folder, "go.mod")
    tests = [
        path for path in source.tree.files if path.endswith("_test.go") and (folder == "." or path.startswith(f"{folder}/"))
    ]
    off = source.off("go test ./...", folder) or source.wants(tests)
    inputs = source.inputs(folder, [module], ("go.work", "go.work.sum"))
    return Finding("go", "go test ./...", module, folder, inputs, off=off)


def cargo(source: Source, folder: str) -> Iterator[Finding]:
    """Yield the tests, the lints and the format of a crate or a workspace."""
    path = join(folder, "Cargo.toml")
    inputs = source.inputs(folder, [path], ("rust-toolchain.toml", "rust-toolchain", ".cargo"))
    runs = {"cargo": "cargo test", "cargo-clippy": "cargo clippy --all-targets", "cargo-fmt": "cargo fmt --all --check"}
    for tool, run in runs.items():
        yield Finding(tool, run, path, folder, inputs)


def node(source: Source, folder: str, names: tuple[str, ...] = ("test", *_SCRIPTS)) -> Iterator[Finding]:
    """Yield the scripts of a package that check."""
    path = join(folder, "package.json")
    scripts = mapping(source.tree.json(path).get("scripts"))
    manager = _manager(source, _packages(source, folder))[0]
    for name in names:
        script = scripts.get(name)
        if not isinstance(script, str) or not _is_real(script) or not (name == "test" or is_checking_name(name)):
            continue
        run = f"{manager} test" if name == "test" and manager != "bun" else f"{manager} run {name}"
        off = source.off(run, folder)
        if off is not None:
            tool = manager if name == "test" else f"{manager}-{name.replace(':', '-')}"
            inputs = source.inputs(folder, [path], _locked(source, folder))
            yield equipped(source, Finding(tool, run, f"{path}, script {name}", folder, inputs, off=off))


def _packages(source: Source, folder: str) -> str:
    """Return the folder whose install brings a folder's packages: its own, or the root's of whose workspace it is a member."""
    own = source.tree.has(join(folder, "package.json")) and (_manager(source, folder)[2] or not _manager(source, ".")[2])
    return folder if own else "."


def _locked(source: Source, folder: str) -> tuple[str, ...]:
    """Return the files that decide what an install brings for a folder."""
    place = _packages(source, folder)
    names = ["package.json", _manager(source, place)[2], ".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml"]
    paths = dict.fromkeys([*(join(place, name) for name in names if name), join(folder, "package.json")])
    return tuple(path for path in paths if source.tree.has(path))


def equipped(source: Source, finding: Finding) -> Finding:
    """Return a finding with what installs the packages that its programs need, at the root once for all suites."""
    needed = effects.needed(finding.run, source.targets, finding.dir)
    if not needed.isdisjoint(_NODE) and not finding.each:
        return _with_packages(source, finding)
    if "bundle" in needed and source.tree.has("Gemfile") and finding.dir == ".":
        files = ("Gemfile", "Gemfile.lock", ".ruby-version", *_gemspecs(source.tree.folders["."]))
        inputs = tuple(name for name in files if source.tree.has(name))
        return finding._replace(prepare=_BUNDLE, prepare_inputs=inputs, caches=("vendor/bundle", ".bundle"))
    return finding


def _with_packages(source: Source, finding: Finding) -> Finding:
    place = _packages(source, finding.dir)
    document = source.tree.json(join(place, "package.json"))
    _, install, lock = _manager(source, place)
    if not lock and not any(document.get(key) for key in ("dependencies", "devDependencies", "workspaces")):
        return finding
    if place != ".":
        run = finding.run.removeprefix(f"{install} && ")  # it may be equipped already
        return finding._replace(run=f"{install} && {run}")
    caches = tuple(dict.fromkeys((join(place, "node_modules"), join(finding.dir, "node_modules"))))
    return finding._replace(prepare=install, prepare_inputs=_locked(source, finding.dir), caches=caches)


def _manager(source: Source, folder: str) -> tuple[str, str, str]:
    """Return the package manager of a folder, what it installs by, and its lock file or nothing."""
    for lock, (manager, install) in _LOCKS.items():
        if source.tree.has(join(folder, lock)):
            if manager == "yarn" and source.tree.has(join(folder, ".yarnrc.yml")):
                install = "yarn install --immutable"  # yarn 2 and later
            return manager, install, lock
    named = str(source.tree.json(join(folder, "package.json")).get("packageManager")).partition("@")[0]
    if named in ("pnpm", "yarn", "bun"):
        return named, f"{named} install", ""
    # Without the option it writes a lock file, which the commit does not have.
    return "npm", "npm install --no-package-lock", ""


def _is_real(script: str) -> bool:
    # `npm init` writes a script that says so and fails.
    return bool(script.strip()) and "no test specified" not in script


def ruby(source: Source, folder: str) -> Iterator[Finding]:
    """Yield the tests of a Ruby project, and rubocop where it is configured."""
    path = join(folder, "Gemfile")
    files = source.tree.folders.get(folder, frozenset())
    tests = _ruby_tests(source, folder, files)
    inputs = source.inputs(folder, [path])
    runs = [("ruby", tests)] if tests else []
    if ".rubocop.yml" in files:
        runs.append(("rubocop", "bundle exec rubocop"))
    for tool, run in runs:
        script = _rake_test(source, folder) if run.endswith("rake test") else ""
        if (off := source.off(script, folder)) is None:
            continue
        found = Finding(tool, run, path, folder, inputs, off=off)
        yield equipped(source, found) if folder == "." else found._replace(run=f"{_BUNDLE} && {run}")


def _rake_test(source: Source, folder: str) -> str:
    """Return what the task `test` of a Rakefile starts, as a script."""
    text = source.tree.text(join(folder, "Rakefile")) or ""
    bodies = re.findall(r"^[ \t]*task[ (:]+test\b.*?(?=^[ \t]*(?:task|namespace|desc)\b|\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n".join(run for body in bodies for _, run in re.findall(r"\b(?:sh|system|exec)[ (]+(['\"])(.+?)\1", body))


def _gemspecs(files: frozenset[str]) -> list[str]:
    return sorted(name for name in files if name.endswith(".gemspec"))


def _ruby_tests(source: Source, folder: str, files: frozenset[str]) -> str:
    specs = join(folder, "spec")
    if ".rspec" in files or any(path.startswith(f"{specs}/") and path.endswith("_spec.rb") for path in source.tree.files):
        return "bundle exec rspec"
    rakefile = source.tree.text(join(folder, "Rakefile")) or ""
    return "bundle exec rake test" if re.search(r"TestTask|task[ (:]+test\b", rakefile) else ""
