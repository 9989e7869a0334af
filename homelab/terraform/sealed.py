"""The secrets of stacks in linked worktrees: whether they are ciphertext there, and a checkout of HEAD where they are not.

git-crypt keeps its key in the main worktree's git directory, so a linked worktree has ciphertext, and a runner would take it
for values. A plan gets a checkout of its own, readable by its user alone, gone when it ends; the key is never copied. See
docs/adr/0023.
"""

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.claims import identity
from homelab.errors import Failed, Refused
from homelab.git.attributes import Listing, of_tree
from homelab.git.contents import read_contents
from homelab.git.repository import LOG, Repository, discover, require_worktree
from homelab.gitcrypt import rules
from homelab.policy.rules import read_rules
from homelab.policy.states import NoTarget, Rules, Unknown
from homelab.system import private, process
from homelab.terraform.stack import Stack
from homelab.verify import borrowed_git

# Where a stack's configuration reads files from. A secret elsewhere counts only if some configuration names its folder.
_READ = frozenset(("stacks", "modules", "scripts", "secrets"))
_CONFIGURATION = ("*.tf", "*.tofu", "*.hcl", "*.tfvars", "scripts/*")
# Terraform's options whose value is a file: those that it writes, and those that it reads.
_WRITTEN = frozenset(("out", "state-out", "backup", "generate-config-out"))
_READS = frozenset(("var-file", "state"))


class Sealed(NamedTuple):
    """A stack in a linked worktree whose secrets are ciphertext there."""

    stack: Stack
    repository: Repository
    #: The filters that its secrets belong to, ``git-crypt`` or ``git-crypt-KEY``.
    filters: tuple[str, ...]

    @property
    def inside(self) -> Path:
        """The stack's root, from the top of the repository."""
        return self.stack.root.resolve().relative_to(require_worktree(self.repository).resolve())

    @property
    def main(self) -> Path | None:
        """The main worktree, None where the clone is bare."""
        rows = self.repository.out("worktree", "list", "--porcelain").split("\n\n")[0].split("\n")
        return None if "bare" in rows else Path(rows[0].removeprefix("worktree "))


def look(stack: Stack) -> Sealed | None:
    """Return what is sealed of what the stack may read, or None where it is all readable."""
    linked = identity.linked_worktree(stack.folder)
    if linked is None:
        return None
    repository = discover(stack.folder)
    tree = repository.oid("HEAD^{tree}")
    listing = of_tree(repository, tree) if tree else None
    if listing is None or not (filters := tuple(sorted(rules.filters(repository, (oid for _, oid in listing.files))))):
        return None
    if not _missing_keys(linked.git_dir, filters):
        return None  # `git-crypt unlock` was run in this very worktree
    found = Sealed(stack, repository, filters)
    with tempfile.TemporaryDirectory() as folder:
        secrets = rules.Rules(repository, Path(folder)).given(listing.files, listing.blobs)
    if not secrets:  # a rule without a file: somebody is about to add the first
        return found if _is_ruled(found, listing) else None
    return found if _is_read(found, secrets) else None


def _is_ruled(found: Sealed, listing: Listing) -> bool:
    contents = (content for _, content in read_contents(found.repository, (oid for _, oid in listing.files)))
    lines = (line.strip() for content in contents for line in content.splitlines())
    return any(b"filter=git-crypt" in line and not line.startswith(b"#") for line in lines)


def _is_read(found: Sealed, secrets: Iterable[str]) -> bool:
    prefix = "" if found.inside == Path() else f"{found.inside.as_posix()}/"
    below = [path.removeprefix(prefix) for path in secrets if path.startswith(prefix)]
    if any("/" not in path or path.split("/")[0] in _READ for path in below):
        return True
    words = [word for name in sorted({path.split("/")[0] for path in below}) for word in ("-e", f"{name}/")]
    paths = [f":(glob){prefix}**/{pattern}" for pattern in _CONFIGURATION]
    return bool(words) and found.repository.run("grep", "-q", "-F", *words, "HEAD", "--", *paths).returncode == 0


def _missing_keys(git_dir: Path, filters: Iterable[str]) -> list[str]:
    return [name for name in filters if not rules.key_file(git_dir, name).is_file()]


def require_plaintext(stack: Stack) -> None:
    """Check that the stack's secrets are readable here. Raises `Refused`, naming the main worktree."""
    found = look(stack)
    if found is None:
        return
    words = "secrets are ciphertext in a linked worktree of a git-crypt repository, and the stack would get them as they are"
    if found.main is None:
        raise Refused(words, hint="`git-crypt unlock KEYFILE` in this worktree, then run it again")
    command = f"cd {shlex.quote(str(found.main / found.inside))} && homelab tf apply {shlex.quote(stack.name)}"
    raise Refused(words, hint=f"land it, then in the main worktree: `{command}`", next=command)


class Opened(NamedTuple):
    """The stack in a checkout of HEAD whose secrets are plaintext. A runner that inherits `lock_fd` keeps it there."""

    stack: Stack
    caller: Path
    lock_fd: int

    def from_caller(self, args: Sequence[str]) -> list[str]:
        """Return the runner's arguments with paths that mean the caller's files, not the checkout's."""
        found, option = [], ""
        for arg in args:
            name, equals, value = arg.partition("=")
            if option:
                found.append(self._path(option, arg))
            elif equals and arg.startswith("-"):
                found.append(f"{name}={self._path(name.lstrip('-'), value)}")
            else:
                found.append(arg)
            option = arg.lstrip("-") if not option and arg.lstrip("-") in _WRITTEN | _READS and arg.startswith("-") else ""
        return found

    def _path(self, option: str, value: str) -> str:
        committed = option in _READS and (self.stack.folder / value).exists()
        return str(self.caller / value) if value and option in _WRITTEN | _READS and not committed else value


@contextlib.contextmanager
def opened(found: Sealed) -> Iterator[Opened]:
    """Check out what HEAD holds, with its secrets, for the block. Raises `Refused` where that cannot or must not be."""
    commit = found.repository.oid("HEAD^{commit}")
    assert commit is not None, "it has a tree"
    _require_unlocked(found)
    _require_targets_runner(found, commit)
    _say(found, commit)
    with private.folder() as (folder, fd):
        _check_out(found, commit, folder / "tree")
        yield Opened(Stack(folder / "tree" / found.inside, found.stack.name), found.stack.folder, fd)


def _require_unlocked(found: Sealed) -> None:
    if not shutil.which("git-crypt"):
        raise Refused("the stack's secrets need git-crypt, which is not installed here", hint="install git-crypt")
    if _missing_keys(found.repository.common_dir, found.filters):
        where = f"cd {shlex.quote(str(found.main))} && git-crypt unlock" if found.main else "git-crypt unlock KEYFILE"
        raise Refused(
            "this clone is locked, so the stack's secrets are ciphertext everywhere in it", hint=f"`{where}`", next=where
        )


def _require_targets_runner(found: Sealed, commit: str) -> None:
    """Check that the program that will see the secrets is the target's, not one that the branch brings."""
    objects = found.repository.objects
    path = (found.inside / "scripts" / "tg").as_posix()
    here = objects.entry(objects.commit(commit).tree, path)
    match read_rules(found.repository):
        case NoTarget():
            return
        case Unknown(reason=reason, repair=repair):
            words = f"whether {path} is the target's cannot be told: {reason}"
            raise Refused(words, hint=f"`{repair}`", next=repair)
        case Rules(remote=remote, target=target):
            tip = found.repository.oid(f"refs/remotes/{remote}/{target}^{{commit}}")
            if tip is None or objects.entry(objects.commit(tip).tree, path) != here:
                hint = f"land it first; `git diff {remote}/{target} -- {shlex.quote(path)}` shows the change"
                raise Refused(f"this branch changes {path}, which would see the secrets", hint=hint)


def _say(found: Sealed, commit: str) -> None:
    subject = output.line(found.repository.out(*LOG, "-1", "--format=%s", commit).strip())
    output.say(f"planning what HEAD holds, {commit[:12]} ({subject}), in a checkout with its secrets")
    rows = found.repository.out("status", "--porcelain", "-z", "--no-renames").split("\0")
    if edits := [row[3:] for row in rows if row]:
        output.say(f"not planned, since they are not committed: {output.names(edits)}")


def _check_out(found: Sealed, commit: str, tree: Path) -> None:
    tree.mkdir()
    git_dir, clone = tree / ".git", borrowed_git.look(found.repository, os.environ)
    borrowed_git.make(git_dir, clone, os.environ)
    borrowed_git.write(git_dir, clone, base=(git_dir / "base").read_bytes())
    borrowed_git.show(git_dir, clone, commit)
    settings = [setting for name in found.filters for setting in _filter(found.repository.common_dir, name)]
    argv = ["git", f"--git-dir={git_dir}", f"--work-tree={tree}", *settings, "read-tree", "-u", "--reset", commit]
    done = process.complete(argv, env=borrowed_git.environment(os.environ), cwd=tree)
    if done.returncode:
        raise Failed(
            f"HEAD cannot be checked out with its secrets: {done.words}", hint="`git-crypt status` in the main worktree"
        )


def _filter(common_dir: Path, name: str) -> list[str]:
    key = name.removeprefix("git-crypt").removeprefix("-")
    # git-crypt takes the place of a key besides its name, so it stays the one copy in the clone.
    smudge = shlex.join(
        ["git-crypt", "smudge", *([f"--key-name={key}"] if key else []), f"--key-file={rules.key_file(common_dir, name)}"]
    )
    return ["-c", f"filter.{name}.smudge={smudge}", "-c", f"filter.{name}.required=true"]
