"""Whether secrets are sealed: no plaintext stands on a path that ``.gitattributes`` give to git-crypt.

Blobs are looked at, never configuration: a locked clone has no filter at all, and a filter that is overridden seals
nothing. A commit answers for what it brings, by its own attributes and by those of what is pushed; what its parents have
already is theirs.
"""

import contextlib
import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Failed, Refused
from homelab.git import attributes
from homelab.git.attributes import Files, Listing
from homelab.git.contents import read_contents
from homelab.git.repository import Repository
from homelab.gitcrypt.rules import Rules

SEAL = b"\0GITCRYPT\0"


class Exposed(NamedTuple):
    """A plaintext blob on a path of git-crypt; `commit` is None in the index."""

    path: str
    commit: str | None


#: What a commit brings: path and object id.
Pairs = frozenset[tuple[str, str]]


def require_staged(repository: Repository, index: str | None) -> None:
    """Refuse a commit of plaintext; `index` is the file that git commits from. Raises `Refused`."""
    if found := staged(repository, index):
        path = output.line(found[0].path)
        hint = (
            f"take it out with `git restore --staged {path}`; in the main worktree, after `git-crypt unlock`, "
            f"`git add --renormalize {path}` encrypts it"
        )
        raise _refusal(found, "is staged as plaintext", hint)


def require_pushed(
    repository: Repository, tips: Collection[str], *, remote: str = "", known: Sequence[str] = (), received: bool = False
) -> None:
    """Refuse plaintext in what `tips` would bring to a remote that has `known`. Raises `Refused`."""
    if found := pushed(repository, tips, remote=remote, known=known, received=received):
        raise refusal(repository, found)


def refusal(repository: Repository, found: Sequence[Exposed]) -> Refused:
    """Return the refusal of plaintext in commits, which names the way back."""
    hint, command = way_back(repository, found)
    return _refusal(found, "is plaintext", f"{hint}; a secret that was pushed before is known", command)


def way_back(repository: Repository, found: Sequence[Exposed]) -> tuple[str, str | None]:
    """Return in words what takes plaintext out of a history that nobody else has, and the commands where it is HEAD's."""
    oldest = found[-1].commit or ""  # what was built on it has the secret in its history
    if repository.worktree is None or not oldest or not repository.is_ancestor(oldest, "HEAD"):
        return f"on the branch that has {oldest[:12]}, `homelab doctor` names the commands that take it out", None
    before = f"{oldest[:12]}^"
    steps = [f"git reset --soft {before}" if repository.oid(before) else "git update-ref -d HEAD"]
    paths = sorted({one.path for one in found})
    old = _absolute(repository, paths, before)
    if (repository.git_dir / "git-crypt" / "keys").exists():
        if left := _absolute(repository, paths, "HEAD"):
            steps.append(f"git add --renormalize -- {left}")
        command = " && ".join(steps)
        return f"{command}, then `git commit` the rest again", command
    if old:
        # First of all: whatever writes the index asks the filter for a file that changed within its own second.
        steps.append(f"rm -f -- {old}")
    if new := _absolute(repository, paths, before, present=False):
        # They stay in the folder, tracked no more.
        steps.append(f"git update-index --force-remove -- {new}")
    if old:
        steps.append(f"git checkout {before} -- {old}")
    command = " && ".join(steps)
    return f"{command}, then `git commit` the rest again; change the secret in the main worktree, where the key is", command


def _absolute(repository: Repository, paths: Sequence[str], commit: str, *, present: bool = True) -> str:
    """Return, for a shell in any folder, the paths that a commit has, or those that it has not."""
    assert repository.worktree is not None
    chosen = [path for path in paths if (repository.oid(f"{commit}:{path}") is not None) is present]
    return shlex.join(str(repository.worktree / path) for path in chosen)


def _refusal(found: Sequence[Exposed], what: str, hint: str, command: str | None = None) -> Refused:
    first = found[0]
    where = f" in {first.commit[:12]}" if first.commit else ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    rows = [{"path": one.path, "commit": one.commit} for one in found]
    for one in found[1:10]:
        output.warn(f"{output.line(one.path)} {what}{f' in {one.commit[:12]}' if one.commit else ''}")
    return Refused(
        f"{output.line(first.path)} {what}{where}, and .gitattributes gives it to git-crypt{more}",
        hint=hint,
        next=command,
        fields={"exposed": rows},
    )


def staged(repository: Repository, index: str | None = None) -> list[Exposed]:
    """Return the plaintext that a commit of the index would bring."""
    env = {"GIT_INDEX_FILE": index} if index else {}
    now = attributes.listing(_ask(repository, "ls-files", "--stage", "-z", "--full-name", env=env))
    with _rules(repository) as rules:
        if not rules.name_any(now.files):
            return []
        parents = [oid for name in ("HEAD", *_merged(repository)) if (oid := repository.oid(name))]
        before = [attributes.of_tree(repository, parent) for parent in parents]
        brought = _brought(rules, now, before)
        plain = _plain(repository, brought)
        return [Exposed(path, None) for path, oid in sorted(brought) if oid in plain]


def _merged(repository: Repository) -> list[str]:
    try:
        return (repository.git_dir / "MERGE_HEAD").read_text().split()
    except OSError:
        return []


def _brought(rules: Rules, now: Listing, before: Sequence[Listing]) -> Pairs:
    """Return the blobs on paths of git-crypt which no parent has there, on a path of git-crypt, already."""
    fresh = {path: oid for path, oid in now.blobs.items() if not any(p.blobs.get(path) == oid for p in before)}
    if all(p.files == now.files for p in before) and before:
        return frozenset((path, fresh[path]) for path in rules.given(now.files, fresh))
    given = {path: now.blobs[path] for path in rules.given(now.files, now.blobs)}
    for parent in before:
        same = [path for path, oid in given.items() if parent.blobs.get(path) == oid]
        for path in rules.given(parent.files, same):
            del given[path]
    return frozenset(given.items())


def pushed(
    repository: Repository, tips: Collection[str], *, remote: str = "", known: Sequence[str] = (), received: bool = False
) -> list[Exposed]:
    """Return the plaintext that `tips` would bring to a remote, the newest commit first.

    The remote has what its remote-tracking refs say, and `known`; where a push is `received`, it has whatever this
    repository has. What no remote has is judged by the attributes of the tips as well: a secret that was plaintext before
    it became one leaves with its history.
    """
    there = ["--all"] if received else [f"--remotes={name}" for name in _names(repository, remote)]
    commits = _range(repository, tips, known, there)
    with _rules(repository) as rules:
        history = _History(repository, rules, commits)
        found = {tree: _brought(rules, attributes.of_tree(repository, tree), ()) for tree in _bare_trees(repository, tips)}
        if history.names_git_crypt:
            unseen = {oid for oid, _ in _range(repository, tips, known, ["--remotes", *there])}
            found |= history.brought(unseen)
        plain = _plain(repository, (pair for pairs in found.values() for pair in pairs))
        return [Exposed(path, oid) for oid, pairs in found.items() for path, blob in sorted(pairs) if blob in plain]


def _names(repository: Repository, remote: str) -> list[str]:
    """Return the remotes that a push to this name or URL goes to."""
    if not remote:
        return []
    settings = repository.settings()
    if remote in settings.remotes:
        return [remote]
    urls = {row.name for row in settings.rows if row.value == remote}
    return [name for name in settings.remotes if f"remote.{name}.url" in urls]


def _range(
    repository: Repository, tips: Iterable[str], known: Iterable[str], without: Sequence[str]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return each commit that the tips bring to who has what is known, with its parents, newest first."""
    lines = "".join(f"{line}\n" for line in (*tips, *(f"^{oid}" for oid in known)))
    done = repository.run(
        "rev-list", "--topo-order", "--parents", "--ignore-missing", "--stdin", "--not", *without, input=lines.encode()
    )
    if done.returncode:
        raise Failed(f"the pushed commits cannot be listed: {done.words}", hint="`git fsck` tells what is missing")
    rows = (row.split() for row in done.stdout.decode().splitlines())
    return [(row[0], tuple(row[1:])) for row in rows]


def _bare_trees(repository: Repository, tips: Iterable[str]) -> list[str]:
    """Return the trees among the tips, which no commit of a range has."""
    asked = "".join(f"{tip}^{{}}\n" for tip in tips).encode()
    rows = _ask(repository, "cat-file", "--batch-check=%(objecttype) %(objectname)", input=asked).decode().splitlines()
    return [row.removeprefix("tree ") for row in rows if row.startswith("tree ")]


class _History:
    """The attribute files in force at each commit of a range, and what each commit brings."""

    def __init__(self, repository: Repository, rules: Rules, commits: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        self._repository = repository
        self._rules = rules
        self._parents = dict(commits)
        self._listings: dict[str, Listing] = {}
        self._changing = self._touching()
        self.files: dict[str, Files] = {}
        for oid, parents in reversed(commits):
            inherits = bool(parents) and oid not in self._changing
            self.files[oid] = self._files(parents[0]) if inherits else self._listing(oid).files
        self.names_git_crypt = any(rules.name_any(files) for files in set(self.files.values()))
        self._changes = self._changed() if self.names_git_crypt else {}

    def _touching(self) -> set[str]:
        """Return the commits whose attribute files are not those of every parent; a root is among them."""
        asked = "".join(f"{oid}\n" for oid in self._parents).encode()
        listing = _ask(
            self._repository, "diff-tree", "--stdin", "-r", "-m", "--root", "-z", "--name-only", "--no-renames", "--",
            attributes.PATHSPEC, input=asked,
        )  # fmt: skip
        return {field for field in listing.decode(errors="replace").split("\0") if field in self._parents}

    def _listing(self, oid: str) -> Listing:
        if oid not in self._listings:
            self._listings[oid] = attributes.of_tree(self._repository, oid)
        return self._listings[oid]

    def _files(self, oid: str) -> Files:
        return self.files[oid] if oid in self.files else self._listing(oid).files

    def _changed(self) -> dict[str, dict[str, str]]:
        """Return what differs from every parent of each commit: path to object id."""
        asked = "".join(f"{oid}\n" for oid in self._parents).encode()
        fields = iter(
            _ask(self._repository, "diff-tree", "--stdin", "-r", "-c", "--root", "-z", "--raw", "--no-abbrev", "--no-renames",
                 input=asked).split(b"\0")
        )  # fmt: skip
        found: dict[str, dict[str, str]] = {}
        commit = ""
        for field in fields:
            if not field.startswith(b":"):
                commit = field.decode()
                continue
            count = len(field) - len(field.lstrip(b":"))
            words = field.lstrip(b":").split(b" ")
            path = os.fsdecode(next(fields))
            if words[count].startswith(b"100"):
                found.setdefault(commit, {})[path] = words[2 * count + 1].decode()
        return found

    def brought(self, unseen: Collection[str]) -> dict[str, Pairs]:
        """Return what each commit brings on paths of git-crypt: by its own attributes, the `unseen` by the tips' as well."""
        inner = {parent for parents in self._parents.values() for parent in parents}
        last = {files for oid, files in self.files.items() if oid not in inner}
        judged = {oid: {self.files[oid], *(last if oid in unseen else ())} for oid in self._parents}
        self._ask_at_once(judged)
        return {oid: self._brought(oid, rules) for oid, rules in judged.items()}

    def _ask_at_once(self, judged: Mapping[str, Collection[Files]]) -> None:
        """Git is asked once for each set of attribute files, not for each commit."""
        paths: dict[Files, set[str]] = {}
        for oid, rules in judged.items():
            for files in rules:
                paths.setdefault(files, set()).update(self._changes.get(oid, ()))
        for files, names in paths.items():
            self._rules.given(files, names)

    def _brought(self, oid: str, judged: Iterable[Files]) -> Pairs:
        changes = self._changes.get(oid, {})
        pairs = {(path, changes[path]) for files in judged for path in self._rules.given(files, changes)}
        if oid in self._changing:
            parents = [self._listing(parent) for parent in self._parents[oid]]
            pairs |= _brought(self._rules, self._listing(oid), parents)
        return frozenset(pairs)


def _plain(repository: Repository, pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the blobs that are neither empty nor ciphertext."""
    oids = dict.fromkeys(oid for _, oid in pairs)
    heads: Mapping[str, bytes] = dict(read_contents(repository, oids, first=len(SEAL)))
    return frozenset(oid for oid, head in heads.items() if head and head != SEAL)


@contextlib.contextmanager
def _rules(repository: Repository) -> Iterator[Rules]:
    import tempfile  # where git-crypt is not used, the hook has no need of it

    with tempfile.TemporaryDirectory(prefix="homelab-attributes-") as folder:
        yield Rules(repository, Path(folder))


def _ask(repository: Repository, *args: str, env: Mapping[str, str] | None = None, input: bytes = b"") -> bytes:
    done = repository.run(*args, env=env, input=input)
    if done.returncode:
        raise Failed(f"git {args[0]} failed: {done.words}", hint="`git fsck` tells what is missing")
    return done.stdout
