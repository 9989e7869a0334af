"""A git directory that borrows a clone's objects and shows its refs and remotes, and shares nothing that can be written.

A linked worktree would share configuration, refs and stash: a suite that runs `git config` or `git tag` in one changes the
user's clone. What is borrowed is written anew each time, so a moved clone or a suite's changes leave no trace. Which commit
stands where is `homelab.verify.checkout`'s.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed
from homelab.git import configuration
from homelab.git.repository import Repository
from homelab.system import process

#: What to do about a scratch folder that cannot be used.
HINT = "free or repair that folder, or set XDG_CACHE_HOME to another place, then run it again"

_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH", "GIT_ASKPASS")
_KEPT_PREFIXES = ("GIT_SSH", "GIT_SSL", "GIT_PROXY", "GIT_HTTP")
_PINNED_ENVIRONMENT = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null/none",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

#: What would make other bytes, or another answer, of the same commit.
_PINNED = {
    "core.bare": "false",
    "core.filemode": "true",
    "core.symlinks": "true",
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.safecrlf": "false",
    "core.attributesfile": "/dev/null",
    "attr.tree": "",
    "core.hookspath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedcache": "false",
    "core.splitindex": "false",
    "core.sparsecheckout": "false",
    "core.ignorestat": "false",
    "core.trustctime": "true",
    "core.checkstat": "default",
    "index.sparse": "false",
    "merge.renormalize": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}

# Refs that would change what objects are, or that are ours or one worktree's.
_HIDDEN = tuple(f"refs/{name}/" for name in "replace homelab bisect rewritten worktree original".split())


class Clone(NamedTuple):
    """What is shown of a clone; `filters` is a digest of the settings that decide a checkout's bytes."""

    object_format: str
    settings: tuple[tuple[str, str | None], ...]
    alternates: bytes
    shallow: bytes | None
    packed_refs: bytes
    symbolic: Mapping[str, str]
    filters: str
    #: Whether the user or the machine has hooks for every repository.
    has_global_hooks: bool
    #: The names of those that are commands of the configuration, as git has them since 2.54.
    hooks: tuple[str, ...]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` without git's variables, but for where the user's configuration is and how remotes are reached."""
    kept = {
        name: value
        for name, value in env.items()
        if not name.startswith("GIT_") or name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, **_PINNED_ENVIRONMENT}


def look(repository: Repository, env: Mapping[str, str]) -> Clone:
    """Return what is to be shown of the clone, as it is now. Raises `Failed` with git's words."""
    rows = _settings(_ask(repository, env, "config", "--list", "--null", "--show-scope"))
    packed, symbolic = _refs(_ask(repository, env, "for-each-ref", "--format=%(objectname) %(refname) %(symref)"))
    local = [(name, value) for scope, name, value in rows if scope in ("local", "worktree")]
    shallow = repository.common_dir / "shallow"
    folders = [repository.common_dir / "objects"]
    if quarantine := env.get("GIT_QUARANTINE_PATH"):
        folders.append(Path(quarantine))
    filters = sorted(f"{name}={value}" for _, name, value in rows if name.startswith(("filter.", "lfs.")))
    return Clone(
        object_format=dict(local).get("extensions.objectformat") or "sha1",
        settings=tuple((name, value) for name, value in local if _shown(name)),
        alternates=alternates(*folders),
        shallow=shallow.read_bytes() if shallow.exists() else None,
        packed_refs=packed,
        symbolic=symbolic,
        has_global_hooks=any(name == "core.hookspath" for scope, name, _ in rows if scope in ("global", "system")),
        hooks=tuple({name[5:-6] for _, name, _ in rows if name.startswith("hook.") and name.endswith(".event")}),
        filters=hashlib.sha256("\0".join(filters).encode(errors="surrogateescape")).hexdigest(),
    )


def _ask(repository: Repository, env: Mapping[str, str], *args: str) -> bytes:
    done = process.complete(["git", f"--git-dir={repository.common_dir}", *args], env=environment(env))
    if done.returncode:
        raise Failed(f"git {args[0]} failed: {done.words}", hint="`homelab doctor` looks for the usual reasons")
    return done.stdout


def _settings(listing: bytes) -> list[tuple[str, str, str | None]]:
    parts = os.fsdecode(listing).split("\0")
    rows = []
    for scope, row in zip(parts[::2], parts[1::2], strict=False):
        name, newline, value = row.partition("\n")
        rows.append((scope, name, value if newline else None))
    return rows


def _shown(name: str) -> bool:
    return name.startswith(("remote.", "filter.lfs.", "lfs.")) or name == "extensions.partialclone"


def _refs(listing: bytes) -> tuple[bytes, dict[str, str]]:
    rows, symbolic = [], {}
    for line in listing.splitlines():
        oid, name, target = line.split(b" ", 2)
        if name == b"refs/stash" or os.fsdecode(name).startswith(_HIDDEN):
            continue
        if target:
            symbolic[os.fsdecode(name)] = os.fsdecode(target)
        else:
            rows.append((name, oid))
    lines = [b"# pack-refs with: sorted \n", *(b"%s %s\n" % (oid, name) for name, oid in sorted(rows))]
    return b"".join(lines), symbolic


def alternates(*folders: Path) -> bytes:
    """Return the lines of `objects/info/alternates`; a name with a newline or a quote is quoted as C does."""
    lines = []
    for folder in folders:
        name = os.fsencode(folder)
        if any(byte < 0x20 or byte == 0x22 for byte in name):
            octal = (b"\\%03o" % byte if byte < 0x20 or byte in b'"\\' else bytes([byte]) for byte in name)
            name = b'"%s"' % b"".join(octal)
        lines.append(name + b"\n")
    return b"".join(lines)


def _off(hooks: Iterable[str]) -> list[str]:
    return [part for name in hooks for part in ("-c", f"hook.{name}.enabled=false")]


def make(git_dir: Path, clone: Clone, env: Mapping[str, str]) -> None:
    """Make a new git directory, with what git found out about the file system in its `base`. Raises `Failed`."""
    new = git_dir.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    done = process.complete(
        # Since git 2.54 making a repository is a transaction of refs, whose hook the user may have for all repositories.
        ["git", "-c", "init.defaultRefFormat=files", "-c", "core.hooksPath=/dev/null", *_off(clone.hooks), "init", "--quiet",
         "--template=", f"--object-format={clone.object_format}", new],
        env=environment(env),
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"the scratch repository {new} cannot be made: {done.words}", hint=HINT)
    found = process.complete(["git", "config", "--file", new / ".git/config", "--list", "--null"], env=environment(env))
    (new / ".git" / "base").write_bytes(found.stdout)
    # The renaming comes last: a git directory that is here is whole.
    (new / ".git").rename(git_dir)
    new.rmdir()


def write(git_dir: Path, clone: Clone, *, base: bytes, extra_objects: tuple[Path, ...] = (), hooks: Path | None = None) -> None:
    """Write our configuration, and where the clone's objects are.

    Without `hooks` no hook runs. A suite's own repository has a folder for them: what installs hooks (`pre-commit install`,
    lefthook, prek) refuses where `core.hooksPath` is set, so that is only where the user has set it for every repository.
    """
    parts = (row.partition("\n") for row in os.fsdecode(base).split("\0")[:-1])
    core = {**{name: value for name, _, value in parts}, **_PINNED, **{f"hook.{name}.enabled": "false" for name in clone.hooks}}
    if hooks is not None and clone.has_global_hooks:
        core["core.hookspath"] = os.fspath(hooks)
    elif hooks is not None:
        del core["core.hookspath"]
    if any(name.startswith("extensions.") for name, _ in clone.settings):
        core["core.repositoryformatversion"] = "1"
    (git_dir / "config").write_bytes(configuration.rendered([*core.items(), *clone.settings]))
    (git_dir / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (git_dir / "objects" / "info" / "alternates").write_bytes(clone.alternates + alternates(*extra_objects))
    if clone.shallow is None:
        (git_dir / "shallow").unlink(missing_ok=True)
    else:
        (git_dir / "shallow").write_bytes(clone.shallow)


def show(git_dir: Path, clone: Clone, commit: str) -> None:
    """Show the clone's refs in the git directory, with HEAD detached at `commit`."""
    (git_dir / "HEAD").write_text(f"{commit}\n")
    (git_dir / "packed-refs").write_bytes(clone.packed_refs)
    for name in ("refs/heads", "refs/tags", "info"):
        (git_dir / name).mkdir(parents=True, exist_ok=True)
    for name, target in clone.symbolic.items():
        path = git_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ref: %s\n" % os.fsencode(target))
