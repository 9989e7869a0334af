"""Proof by trying: throwaway commits pushed through the clone's real hooks at a temporary remote, to see what leaks.

The remote is a bare repository in a temporary folder that borrows the clone's objects. No ref of the clone, no worktree
and no configured remote is touched; the throwaway objects stay unreachable until git collects them.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed, Refused
from homelab.git.repository import Repository
from homelab.policy.rules import read_rules
from homelab.policy.states import State
from homelab.system import process


class Fate(StrEnum):
    """What became of an attack; `BLOCKED` is for the push that has to pass."""

    HELD = "held"
    LEAKED = "leaked"
    BLOCKED = "blocked"


HELD, LEAKED, BLOCKED = Fate
#: As the new rules of a commit this refuses at once, before any suite of the old rules would run for minutes.
_UNREADABLE = b"no rules: made by `homelab doctor --attack`\n"
_BRANCH = "homelab-doctor"
_RECORD = f"x {'0' * 40} refs/heads/x {'0' * 40}"
_MESSAGE = f"two words\n\n{_RECORD}"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "homelab doctor"), ("EMAIL", "doctor@localhost"))
}


class Outcome(NamedTuple):
    """What became of one attack: `held`, `leaked`, or, for the push that has to pass, `blocked`."""

    name: str
    result: Fate
    #: The last line that the push said.
    words: str


class _Range(NamedTuple):
    """Where the attacks take place: the clone that pushes, the throwaway remote, and what there is to push."""

    repository: Repository
    remote: Path
    target: str
    base: str
    bad: str
    good: str
    rules: State

    def there(self, *args: str) -> str:
        """Return what git says on the remote, empty when it fails."""
        return self.repository.line(f"--git-dir={self.remote}", *args) or ""

    def put(self, ref: str, oid: str) -> None:
        """Move the remote's branch to `oid`, or delete it where that is empty."""
        name = f"refs/heads/{ref}"
        done = self.repository.run(f"--git-dir={self.remote}", "update-ref", *(["-d", name] if not oid else [name, oid]))
        if done.returncode:
            raise Failed(f"the attack cannot be prepared: {done.words}", hint="`git fsck` looks at the clone")

    def tip(self, ref: str) -> str:
        return self.there("rev-parse", "--verify", "--quiet", f"refs/heads/{ref}")

    def push(self, *specs: str, hooks: bool = True) -> str:
        """Push through the clone's own hooks, in the environment that a person's push has; return its last line."""
        quiet = ("--recurse-submodules=no", "--no-follow-tags", "--no-signed", "--force")
        skip = () if hooks else ("--no-verify",)
        where = self.repository.worktree or self.repository.git_dir
        done = process.complete(["git", "push", *quiet, *skip, "--", self.remote, *specs], cwd=where, timeout=1800)
        said = [row for row in done.stderr.decode(errors="replace").splitlines() if row.startswith("homelab: ")]
        return said[0] if said else done.words


def run(repository: Repository) -> Iterator[Outcome]:
    """Yield what became of each attack, nothing of which is left.

    Raises `Refused` where there is no commit, `Failed` where nothing can be tried.
    """
    with _range(repository) as place:
        place.push(f"{place.bad}:refs/heads/control", hooks=False)
        if place.tip("control") != place.bad:
            raise Failed("the attack cannot be tried: not even a push without hooks arrives", hint="`homelab doctor` says more")
        yield from (_try(place, attack) for attack in ATTACKS)


@contextmanager
def _range(repository: Repository) -> Iterator[_Range]:
    rules = read_rules(repository, ask=False)
    target = rules.target or "master"
    base = repository.oid(f"refs/remotes/{rules.remote}/{target}^{{commit}}") or repository.oid("HEAD^{commit}")
    if base is None:
        raise Refused("there is no commit here to attack with", hint="`git commit` something first")
    folder = Path(tempfile.mkdtemp(prefix="homelab-attack-"))
    try:
        remote = _bare(repository, folder / "remote.git", target)
        bad = _commit(repository, _tree(repository, base), base, _MESSAGE)
        good = _commit(repository, repository.out("rev-parse", f"{base}^{{tree}}"), base, "the same tree")
        yield _Range(repository, remote, target, base, bad, good, rules)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bare(repository: Repository, path: Path, target: str) -> Path:
    form = repository.line("rev-parse", "--show-object-format") or "sha1"
    # Its default branch is the target, not the user's `init.defaultBranch`: of a remote that has none every push is refused.
    made = ("--bare", "--template=", f"--object-format={form}", f"--initial-branch={target}")
    repository.out("init", "--quiet", *made, path)
    # A global core.hooksPath or a receive.* rule of the user would refuse in the gate's place.
    with (path / "config").open("a") as file:
        file.write(f"[core]\n\thooksPath = {path}/none\n[receive]\n\tdenyDeletes = false\n\tdenyNonFastForwards = false\n")
        file.write("\tdenyDeleteCurrent = ignore\n\tfsckObjects = false\n")
    info = path / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_bytes(os.fsencode(repository.common_dir / "objects") + b"\n")
    if (shallow := repository.common_dir / "shallow").exists():
        shutil.copyfile(shallow, path / "shallow")
    return path


def _tree(repository: Repository, base: str) -> str:
    """Return the base's tree with rules that cannot be read."""
    blob = repository.out("hash-object", "-w", "--stdin", input=_UNREADABLE)
    rows = os.fsencode(repository.out("ls-tree", "-z", base)).split(b"\0")
    kept = [row for row in rows if row and row.partition(b"\t")[2] != b"homelab.toml"]
    listing = b"".join(row + b"\0" for row in [*kept, f"100644 blob {blob}\thomelab.toml".encode()])
    return repository.out("mktree", "-z", "--missing", input=listing)


def _commit(repository: Repository, tree: str, parent: str, message: str) -> str:
    text = f"{message}\n\nThrown away by homelab doctor: {secrets.token_hex(8)}\n"
    return repository.out("-c", "commit.gpgSign=false", "commit-tree", tree, "-p", parent, input=text.encode(), env=_IDENTITY)


# -- the attacks ------------------------------------------------------------------------------------------------------

Attack = tuple[str, Callable[[_Range], tuple[bool, str]]]


def _try(place: _Range, attack: Attack) -> Outcome:
    name, act = attack
    for ref in place.there("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split():
        place.put(ref, "")
    place.put(place.target, place.base)
    good, words = act(place)
    wrong = BLOCKED if act is _ordinary else LEAKED
    return Outcome(name, HELD if good else wrong, words)


def _stands(place: _Range, *specs: str, at: str | None = None) -> tuple[bool, str]:
    words = place.push(*specs)
    return place.tip(place.target) == (place.base if at is None else at), words


def _unverified(place: _Range) -> tuple[bool, str]:
    return _stands(place, f"{place.bad}:refs/heads/{place.target}")


def _several(place: _Range) -> tuple[bool, str]:
    # git lists refs that the remote has before new ones, sorted: a framework sees `!` first and stops there.
    place.put("!first", place.base)
    return _stands(place, f"{place.good}:refs/heads/!first", f"{place.bad}:refs/heads/{place.target}")


def _spaces(place: _Range) -> tuple[bool, str]:
    return _stands(place, f"{place.bad}^{{/two words}}:refs/heads/{place.target}")


def _record(place: _Range) -> tuple[bool, str]:
    return _stands(place, f"{place.bad}^{{/{_RECORD}}}:refs/heads/{place.target}")


def _created(place: _Range) -> tuple[bool, str]:
    place.put(place.target, "")
    return _stands(place, f"{place.bad}:refs/heads/{place.target}", at="")


def _deletion(place: _Range) -> tuple[bool, str]:
    return _stands(place, f":refs/heads/{place.target}")


def _drop(place: _Range) -> tuple[bool, str]:
    place.put(place.target, place.good)
    return _stands(place, f"+{place.base}:refs/heads/{place.target}", at=place.good)


def _laundering(place: _Range) -> tuple[bool, str]:
    place.put("laundry", place.bad)
    return _stands(place, f"{place.bad}:refs/heads/{place.target}")


def _ordinary(place: _Range) -> tuple[bool, str]:
    if place.rules.protects(_BRANCH):
        return True, "every branch is protected here"
    words = place.push(f"{place.good}:refs/heads/{_BRANCH}")
    return place.tip(_BRANCH) == place.good, words


ATTACKS: tuple[Attack, ...] = (
    ("an unverified commit to the target", _unverified),
    ("the target behind another ref", _several),
    ("a source with spaces", _spaces),
    ("a source that looks like a record", _record),
    ("the target created anew", _created),
    ("the target deleted", _deletion),
    ("commits dropped by force", _drop),
    ("a commit that another branch has brought already", _laundering),
    ("an ordinary branch passes", _ordinary),
)
