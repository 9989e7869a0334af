"""Merges of the target in a worktree: begun whole, or not at all.

git before 2.46 writes MERGE_HEAD, and often the files, also where another program's lock keeps it from writing the index.
Whoever commits that merge takes everything off the target that landed meanwhile. So the merge is made in an index of its
own, which is put in the place of the worktree's under git's own lock, and neither MERGE_HEAD nor an exit code is believed
(docs/adr/0017).
"""

import contextlib
import os
import shlex
import shutil
import time
from pathlib import Path
from typing import NoReturn

from homelab import output
from homelab.errors import Busy, Conflict, Failed, Refused
from homelab.git.repository import Repository, require_worktree
from homelab.landing import candidate
from homelab.system.process import Completed

#: Seconds between attempts to get the worktree's index, which editors and prompts hold for moments.
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0)


def hand_over(repository: Repository, error: Conflict, branch: str, head: str, base: str, target: str) -> NoReturn:
    """Begin the conflicting merge in the worktree, if the branch is still checked out there at `head`.

    Raises `Conflict`. A landing may wait for hours, and a merge that is begun in another branch would be committed there.
    """
    way = None
    if repository.line("symbolic-ref", "--quiet", "HEAD") != f"refs/heads/{branch}":
        way = f"git switch {shlex.quote(branch)} && homelab work land"
    elif repository.oid("HEAD") != head:
        way = "homelab work land"
    if way is not None:
        error.hint, error.next = f"this worktree has moved on meanwhile: `{way}` begins the merge in it", way
        raise error
    if _begin(repository, base, target):
        raise error
    raise Conflict(
        "this worktree's own attributes or merge drivers merge the target without a conflict; the merge is not committed yet",
        hint="look at the merge, `git commit`, then `homelab work land` again",
        next="git diff --cached HEAD",
    )


def _begin(repository: Repository, base: str, target: str) -> bool:
    """Begin the merge of `base` in the worktree. Return whether it conflicts there too: its own attributes and drivers count.

    Raises `Refused` when git cannot begin, as over an untracked file that the target has too, and `Busy` while another
    program holds the index.
    """
    lock, own = repository.git_dir / "index.lock", _own_index(repository)
    for pause in _PAUSES:  # before anything is begun; a lock that comes later is waited for again
        if not lock.exists():
            break
        time.sleep(pause)
    else:
        raise _locked(lock)
    if names := _in_the_way(repository, base):
        raise _overwrites(names)
    shutil.copyfile(repository.git_dir / "index", own)
    try:
        done = _merge(repository, base, target)
        if not is_underway(repository):
            raise _not_begun(target, done)
        left = unmerged(repository, own)
        if not _put_in_place(repository, own, lock):
            repository.run("merge", "--abort", env={"GIT_INDEX_FILE": str(own)})
            raise _locked(lock)
    finally:
        own.unlink(missing_ok=True)
    return bool(left)


def _in_the_way(repository: Repository, base: str) -> list[str]:
    """Return what is not tracked where the merge would write: what is ignored git overwrites in silence, whole folders too."""
    tree, _ = candidate.merged_tree(repository, "HEAD", base)
    rows = repository.out("diff-tree", "-r", "-z", "--name-only", "--diff-filter=A", "--no-renames", "HEAD", tree)
    top = require_worktree(repository)
    found = set()
    for path in (top / name for name in rows.split("\0") if name):
        if os.path.lexists(path):
            found.add(path)
        found.update(each for each in path.parents if top in each.parents and (each.is_symlink() or each.is_file()))
    if not found:
        return []
    names = sorted(os.fspath(path.relative_to(top)) for path in found)
    return repository.out("ls-files", "--others", "-z", "--", *names, env={"GIT_LITERAL_PATHSPECS": "1"}).split("\0")[:-1]


def _own_index(repository: Repository) -> Path:
    return repository.git_dir / "homelab-merge-index"


def _merge(repository: Repository, base: str, target: str) -> Completed:
    """Run `git merge`, whatever strategy or mode the user's configuration has for merges of this branch."""
    branch = (repository.line("symbolic-ref", "--quiet", "HEAD") or "").removeprefix("refs/heads/")
    return repository.run(
        "-c", f"branch.{branch}.mergeOptions=", "merge", "--no-ff", "--no-squash", "--no-commit", "--strategy=ort",
        "-m", f"Merge {target}", base, env={"GIT_INDEX_FILE": str(_own_index(repository))},
    )  # fmt: skip


def _put_in_place(repository: Repository, own: Path, lock: Path) -> bool:
    """Make `own` the worktree's index, under git's lock. Return False where the lock is not to be had, or something was staged.

    The lock is a second name of our file, so that whoever comes after a kill can tell whose it is.
    """
    for pause in (*_PAUSES, None):
        with contextlib.suppress(FileExistsError):
            os.link(own, lock)
            if not is_of_head(repository):
                lock.unlink()
                return False
            lock.rename(repository.git_dir / "index")
            return True
        if pause is not None:
            time.sleep(pause)
    return False


def _recover(repository: Repository) -> None:
    """Finish a merge whose lander was killed: its index takes the place of the worktree's."""
    lock, own = repository.git_dir / "index.lock", _own_index(repository)
    if not own.exists():
        return
    with contextlib.suppress(FileNotFoundError):
        if lock.samefile(own):
            lock.unlink()
    if is_underway(repository) and is_of_head(repository) and not _put_in_place(repository, own, lock):
        raise _locked(lock)
    own.unlink(missing_ok=True)


def is_underway(repository: Repository) -> bool:
    """Return whether a merge has begun in this worktree, or seems to have."""
    return (repository.git_dir / "MERGE_HEAD").exists()


def unmerged(repository: Repository, index: Path | None = None) -> list[str]:
    """Return the paths that the worktree's index, or another one, has in conflict."""
    env = {"GIT_INDEX_FILE": str(index)} if index else None
    rows = repository.out("ls-files", "--unmerged", "-z", env=env).split("\0")
    return sorted({row.partition("\t")[2] for row in rows if row})


def is_of_head(repository: Repository) -> bool:
    """Return whether the index holds HEAD's very tree. Needs no lock, as `git write-tree` would."""
    return repository.run("diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--").returncode == 0


def _locked(lock: Path) -> Busy:
    return Busy(
        f"the target conflicts with this branch, and the merge cannot begin: another program holds {output.line(str(lock))}",
        hint="wait for the editor or git that holds it, then `homelab work land` again; if none runs, remove that file",
        next="homelab work land",
    )


def _not_begun(target: str, done: Completed) -> Refused:
    if b"tell me who you are" in done.stderr:
        hint = candidate.commit_hint(done.stderr)
        return Refused("git does not know who merges here: user.name or user.email is missing", hint=hint)
    names = [row[1:] for row in os.fsdecode(done.stderr).split("\n") if row.startswith("\t")]
    if not names:
        return Refused(f"git cannot merge the target here: {done.words}", hint=f"`git merge {target}` shows what is in the way")
    return _overwrites(names)


def _overwrites(names: list[str]) -> Refused:
    return Refused(
        f"the merge conflicts, and to resolve it here it would overwrite {output.names(names)}",
        hint="move these files away or commit them, then `homelab work land` again",
        fields={"uncommitted": names},
    )


def check_finished(repository: Repository) -> None:
    """Check that no merge is under way in the worktree. Raises `Conflict`."""
    _recover(repository)
    if not is_underway(repository):
        return
    if names := unmerged(repository):
        what, hint = f"a merge is unresolved in {output.names(names)}", candidate.resolving(repository, names)
    elif is_of_head(repository):
        # Advice to commit would be advice to take off the target whatever landed there meanwhile.
        raise Conflict(
            "a merge has begun, but the index has nothing of what was merged: committed, it would revert others' work",
            hint="`git merge --abort`, then `homelab work land` again",
            next="git merge --abort",
            fields={"conflicts": []},
        )
    else:
        what, hint = "a merge is resolved but not committed", "`git commit`, then `homelab work land` again"
    raise Conflict(what, hint=hint, next="git status", fields={"conflicts": names})


def check_kept(repository: Repository, head: str, base: str | None, target: str) -> None:
    """Check that no merge in the branch dropped what it merged from the target. Raises `Refused` with the files.

    Such a merge (`-s ours`, or one committed over an index that git never wrote) is to git a plain change of every file that
    others landed meanwhile, back to what it was.
    """
    if base is None:
        return
    rows = [row.split(" ") for row in repository.out("rev-list", "--parents", head, f"^{base}").split("\n") if row]
    own = {row[0] for row in rows}
    for merge, *parents in rows:
        for theirs in parents if len(parents) > 1 else ():
            if theirs in own:
                continue
            for ours in parents:
                if ours != theirs and (lost := _dropped(repository, merge, ours, theirs, head, base)):
                    command = f"git rebase --onto {ours[:12]} {merge[:12]}"
                    raise Refused(
                        f"the merge {merge[:12]} of {target} dropped all that it merged; landing it would revert "
                        f"{output.names(lost)}",
                        hint=f"`{command}` takes that merge out, then `homelab work land` again",
                        next=command,
                        fields={"reverted": lost},
                    )


def _dropped(repository: Repository, merge: str, ours: str, theirs: str, head: str, base: str) -> list[str]:
    """Return the files that their side changed without a conflict, if the merge took none and the branch still has none."""
    try:
        tree, conflicts = candidate.merged_tree(repository, ours, theirs)
    except (Refused, Failed):  # unrelated histories: neither side has anything of the other's
        return []
    clean = _changed(repository, ours, tree) - set(conflicts or ())
    if not clean or clean & _changed(repository, ours, merge):
        return []
    return sorted((clean & _changed(repository, base, head)) - _changed(repository, ours, head))


def _changed(repository: Repository, old: str, new: str) -> set[str]:
    rows = repository.out("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", old, new)
    return {name for name in rows.split("\0") if name}
