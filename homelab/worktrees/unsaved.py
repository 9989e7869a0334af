"""What exists in a worktree and nowhere else: it would be lost with the folder.

Git's own removal looks at tracked and untracked files only. Ignored files (``.env``, plans, local state), files that git
was told not to look at, and what a submodule alone has are as lost. When in doubt something is there.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from homelab import output
from homelab.errors import HomelabError
from homelab.git.objects import GITLINK
from homelab.git.repository import LOG, Repository, discover
from homelab.worktrees import include, registry

#: Folders that a tool makes again from what is tracked.
REBUILDABLE = frozenset(
    """
    node_modules bower_components __pycache__ .terraform .terragrunt-cache target dist build .venv venv .tox .nox .eggs
    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache .gradle .next .nuxt .turbo
    .parcel-cache .svelte-kit .direnv htmlcov coverage
    """.split()
)
_REBUILDABLE_FILES = "*.pyc *.pyo *.o *.class .DS_Store Thumbs.db .coverage .eslintcache *.tsbuildinfo".split()
_REBUILDABLE_FOLDERS = ("*.egg-info", "bazel-*")
#: A stack with a local backend keeps its state in its cache: nothing makes that again.
_STATEFUL = (".terragrunt-cache",)

#: What a reflog says where nobody has committed: of a clone, a fetch, a checkout of what was fetched.
_FETCHED = re.compile(r"clone:|fetch|checkout:|storing |branch: Created|reset: moving|update by push|remote set-head|$")


def leftovers(path: Path, common_dir: Path, main: Path | None = None) -> list[str]:
    """Return a reason for every kind of thing that would be lost with the worktree at `path`; none when nothing would.

    An ignored file that stands the same in the worktree `main` is not lost.
    """
    try:
        made = discover(path)
    except HomelabError as error:
        return [f"unreadable: {error.message}"]
    if (
        made.common_dir != common_dir
        or not made.is_linked
        or made.worktree is None
        or made.worktree.resolve() != path.resolve()
    ):
        return ["unreadable: git takes it for another repository; `git worktree repair` may mend it"]
    operations = (f"unfinished: {'an' if name == 'am' else 'a'} {name} is under way" for name in registry.under_way(made))
    return [*operations, *_files(made, main=main), *_own_refs(made), *_submodule_commits(made)]


def _own_refs(made: Repository) -> list[str]:
    """Return a reason for refs that belong to the worktree alone, and go with it, where no branch or tag has their commits."""
    others = ("--branches", "--tags", "--remotes")
    if made.line("rev-list", "--max-count=1", "--glob=refs/worktree", "--not", *others) in ("", None):
        return []
    names = made.out("for-each-ref", "--format=%(refname)", "refs/worktree").split()
    return [f"refs of this worktree alone: {output.names(names, 5)}"]


def _files(made: Repository, prefix: str = "", main: Path | None = None) -> list[str]:
    """Return the reasons of one work tree, of the submodules in it and of the clones below what is rebuildable."""
    assert made.worktree is not None
    clones: list[str] = []
    done = made.run(
        "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "status", "--porcelain",
        "-z", "--untracked-files=all", "--ignored=matching", "--ignore-submodules=none",
    )  # fmt: skip
    if done.returncode:
        return [f"unreadable: {done.words}"]
    kinds: dict[str, list[str]] = {"uncommitted": [], "untracked": [], "ignored": []}
    fields = iter(os.fsdecode(done.stdout).split("\0"))
    for field in fields:
        state, name = field[:2], field[3:]
        if state[:1] in ("R", "C"):
            next(fields, None)
        if state == "!!":
            if _rebuildable(made.worktree, name):
                clones += _clones(made.worktree, name, prefix)
            elif not (main and include.is_copy(main, made.worktree, name)):
                kinds["ignored"].append(prefix + name)
        elif name:
            kinds["untracked" if state == "??" else "uncommitted"].append(prefix + name)
    hidden, inner = _index(made, prefix)
    kinds["uncommitted"] += hidden
    return [*(f"{kind}: {output.names(names, 5)}" for kind, names in kinds.items() if names), *inner, *sorted(clones)]


def _rebuildable(root: Path, name: str) -> bool:
    """Return whether an ignored path is one that a tool makes again."""
    path = root / name
    folders = name.rstrip("/").split("/")
    if not name.endswith("/") and not path.is_symlink():
        last = folders.pop()
        if any(fnmatch.fnmatchcase(last, pattern) for pattern in _REBUILDABLE_FILES):
            return True
    if any(part in _STATEFUL for part in folders) and _has_state(path):
        return False
    return any(part in REBUILDABLE or any(fnmatch.fnmatchcase(part, p) for p in _REBUILDABLE_FOLDERS) for part in folders)


def _clones(root: Path, name: str, prefix: str) -> Iterator[str]:
    """Yield a reason for each repository below a rebuildable folder that holds what nothing makes again.

    Dependencies are cloned into such folders (CMake, terraform, pip), and people work in them. `git clean` spares them too.
    """
    for place, folders, files in os.walk(root / name):
        folder = Path(place)
        is_bare = "HEAD" in files and {"objects", "refs"} <= {*folders}
        if not is_bare and ".git" not in folders and ".git" not in files:
            continue
        folders[:] = [] if is_bare else [inner for inner in folders if inner != ".git"]
        shown = prefix + os.fspath(folder.relative_to(root))
        try:
            clone = Repository(folder, folder, None) if is_bare else discover(folder)
        except HomelabError as error:
            yield f"unreadable: the clone {output.line(shown)}: {error.message}"
            continue
        if not is_bare and (clone.worktree is None or clone.worktree.resolve() != folder.resolve()):
            if (folder / ".git/objects").is_dir():
                yield f"unreadable: the clone {output.line(shown)}: git does not take it for a repository"
            continue  # git found the repository around it: some packages ship an empty `.git`
        yield from _commits(clone, shown)
        if not is_bare:
            yield from _files(clone, f"{shown}/")


def _commits(clone: Repository, shown: str) -> Iterator[str]:
    """Yield a reason for a clone, and for each submodule of it, whose commits no remote of it has."""
    if count := _own_commits(clone):
        yield f"clone {output.line(shown)}: {count} commits that its remote does not have"
    yield from _submodule_commits(clone)


def _own_commits(clone: Repository) -> str | None:
    """Return how many commits of a clone no remote has, None where it has none or all were fetched.

    A tool's clone at a tag is on no remote branch either, but nobody has committed there: its reflogs tell.
    """
    count = clone.line("rev-list", "--count", "--all", "--not", "--remotes")
    if count == "0":
        return None
    words = clone.line(*LOG, "--walk-reflogs", "--all", "--format=%gs") or ""
    fetched = words and all(_FETCHED.match(line) for line in words.splitlines())
    return None if fetched else count or "unreadable"


def _has_state(path: Path) -> bool:
    if path.name.endswith(".tfstate"):
        return True
    for _, folders, files in os.walk(path):
        # Terraform's own folder holds a file of that name which only points at the backend.
        folders[:] = [name for name in folders if name != ".terraform"]
        if any(name.endswith(".tfstate") for name in files):
            return True
    return False


def _index(made: Repository, prefix: str) -> tuple[list[str], list[str]]:
    """Return the changed files that git was told not to look at, and the reasons of initialised submodules."""
    assert made.worktree is not None
    staged, hidden, inner = {}, [], []
    for row in made.out("ls-files", "--stage", "-z").split("\0"):
        meta, tab, name = row.partition("\t")
        if tab:
            staged[name] = meta.split()[1]
            if int(meta.split()[0], 8) == GITLINK and os.path.lexists(made.worktree / name / ".git"):
                module = discover(made.worktree / name)
                inner += _files(module, f"{prefix}{name}/")
                if module.git_dir.is_relative_to(made.worktree):  # a clone that was added, which `absorbgitdirs` would move
                    inner += _commits(module, prefix + name)
    for row in made.out("ls-files", "-v", "-z").split("\0"):
        tag, name = row[:1], row[2:]
        if (tag.islower() or tag == "S") and name in staged and _differs(made, made.worktree / name, staged[name]):
            hidden.append(prefix + name)
    return hidden, inner


def _differs(made: Repository, path: Path, oid: str) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False  # a sparse checkout leaves it out
    if not stat.S_ISREG(mode):
        return False
    return made.line("hash-object", "--", str(path)) != oid


def _submodule_commits(made: Repository) -> list[str]:
    """Return a reason for each submodule whose commits, a stash included, no remote of it has: they go with the worktree."""
    reasons = []
    for place, folders, files in os.walk(made.git_dir / "modules"):
        if "HEAD" in files and "objects" in folders:
            folders[:] = [name for name in folders if name == "modules"]
            count = made.line(f"--git-dir={place}", "rev-list", "--count", "--all", "--not", "--remotes")
            if count != "0":
                name = output.line(str(Path(place).relative_to(made.git_dir / "modules")))
                reasons.append(f"submodule {name}: {count or 'unreadable'} commits that its remote does not have")
    return reasons
