"""Where the gate stands in a clone: put in front of whatever is there, found again, and taken out without a trace.

Three places. Without `core.hooksPath`: git's own `pre-push`, with the hook that was there kept beside it; or, where
pre-commit or prek own `pre-push`, the slot `pre-push.legacy` that both run first and with all of a push (in front of
them, their next install would break every push). With `core.hooksPath`: a folder of our own, which hands every hook on
to the former folder, so that no tracked file is touched. Every step leaves a clone whose hooks all run, and the next
install goes on from it.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from homelab import output
from homelab.errors import HomelabError, Refused
from homelab.gate import markers, sources
from homelab.git.repository import Repository
from homelab.gitcrypt import linked
from homelab.install import chain, hooks_path, present, shim
from homelab.install.hooks_path import Place
from homelab.install.present import Status
from homelab.policy.rules import read_rules
from homelab.system import files

#: Hooks that git runs on a client, but for those whose mere presence costs a process for every ref and index.
_CLIENT = """
    applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg post-commit
    pre-rebase post-checkout post-merge pre-push pre-auto-gc post-rewrite sendemail-validate
""".split()
_RARE = """
    reference-transaction post-index-change fsmonitor-watchman push-to-checkout pre-receive update post-receive
    post-update proc-receive p4-changelist p4-prepare-changelist p4-post-changelist p4-pre-submit
""".split()


def _lock(repository: Repository) -> Path:
    return repository.state / "locks" / "hooks"


def _trace(repository: Repository) -> Path:
    return repository.state / "installed"


def was_installed(repository: Repository) -> bool:
    """Return whether the gate was put into this clone and not taken out by us since."""
    return _trace(repository).exists()


def install(repository: Repository) -> Status:
    """Put the gate in front of every push of this clone, and of what ran before. Raises `Refused`."""
    protect = _protected(repository)
    with files.locked(_lock(repository)):
        files.replace(_trace(repository), b"")
        found = hooks_path.place(repository)
        ours = hooks_path.own_folder(repository)
        if hooks_path.is_own(repository, found):
            hooks_path.follow(repository)
            _install_apart(repository, ours, hooks_path.former(repository) or repository.common_dir / "hooks", protect)
        elif found.value is not None or not _is_private(repository, found.folder) or _writes_its_own(found.folder):
            _take_hooks_path(repository, found, protect)
        else:
            _put(repository, found.folder, "pre-push", shim.pre_push(protect, chain.word("pre-push")))
            if linked.uses_git_crypt(repository):
                _put(repository, found.folder, "pre-commit", shim.pre_commit(chain.word("pre-commit")))
    linked.mend(repository)
    return present.status(repository)


def _put(repository: Repository, folder: Path, hook: str, content: bytes) -> None:
    chain.put(repository.state, _slot(folder, hook), chain.following(folder, hook), content)


def renew(repository: Repository) -> bool:
    """Write our pre-push anew where another version of this very program wrote it. Return whether it did."""
    ours = present.status(repository).ours
    if ours is None or shim.is_current(ours) or not shim.is_own_program(ours):
        return False
    install(repository)
    return True


def _protected(repository: Repository) -> tuple[str, ...] | None:
    """Return the protected branches, and write them down for the shim."""
    try:
        rules = read_rules(repository)
    except HomelabError as error:
        output.warn(f"until it can be read which branches are protected, all are: {output.line(error.message)}")
        return None
    markers.refresh(repository, rules)
    return rules.protect


def _is_private(repository: Repository, folder: Path) -> bool:
    """Return whether a hooks folder is the clone's own and not a link to a folder somebody tracks."""
    return not folder.exists() or folder.resolve() == repository.common_dir.resolve() / "hooks"


def _writes_its_own(folder: Path) -> bool:
    """Return whether lefthook owns the slot: each change of lefthook.yml makes it write its hooks again, over anything there.

    Where core.hooksPath is set it leaves them alone (lefthook 2.2: "Skipping hook sync").
    """
    return "lefthook" in (shim.owner(folder / "pre-push"), shim.owner(chain.following(folder, "pre-push")))


# -- in git's own folder ---------------------------------------------------------------------------------------------


def _slot(folder: Path, hook: str = "pre-push") -> Path:
    """Return where ours belongs: behind the hook of a framework, else at the front."""
    front, legacy = present.slots(folder, hook)
    return legacy if shim.owner(front) in shim.FRAMEWORKS else front


# -- in a folder of our own, where core.hooksPath is set --------------------------------------------------------------


def _take_hooks_path(repository: Repository, found: Place, protect: Iterable[str] | None) -> None:
    if found.scope == "command":
        raise Refused("core.hooksPath is set for this one command", hint="run `homelab hooks install` without `git -c`")
    ours = hooks_path.own_folder(repository)
    if ours.is_dir() and any(shim.owner(path) not in (None, "homelab") for path in ours.iterdir()):
        chain.set_aside(ours)  # somebody's hooks from the last time; they do not run now and shall not run again
    former = Path(found.value) if found.value is not None else repository.common_dir / "hooks"
    _install_apart(repository, ours, former, protect)
    if not hooks_path.take(repository, found, former):
        _remove_apart(repository)
        raise Refused(
            "core.hooksPath is set in a file that the clone's configuration includes, which cannot be overruled",
            hint="`git config --show-origin core.hooksPath` names it; take it out, then `homelab hooks install`",
        )
    if present.same(found.folder, repository.common_dir / "hooks"):
        _empty_slots(repository)  # else the former folder would run us a second time


def _install_apart(repository: Repository, ours: Path, former: Path, protect: Iterable[str] | None) -> None:
    base = former if former.is_absolute() else (repository.worktree or repository.git_dir) / former
    present = {name for name in _RARE if (base / name).exists()}
    for name in (*_CLIENT, *present):
        if name != "pre-push" and shim.owner(ours / name) in (None, "homelab"):
            sealing = name == "pre-commit" and linked.uses_git_crypt(repository)
            content = shim.pre_commit(shim.word(former / name)) if sealing else shim.delegate(former)
            files.replace(ours / name, content, mode=0o755)
    slot = _slot(ours)
    kept = chain.following(ours, "pre-push")
    # A tool that took our folder for its own put its hook there: that one ran, so it goes on running.
    theirs = os.path.lexists(kept) or shim.owner(slot) not in (None, "homelab")
    following = chain.word("pre-push") if theirs else shim.word(former / "pre-push")
    chain.put(repository.state, slot, kept, shim.pre_push(protect, following))


def _remove_apart(repository: Repository) -> None:
    """Remove the folder of our own, but for what others put there."""
    ours = hooks_path.own_folder(repository)
    for path in sorted(ours.iterdir()) if ours.is_dir() else []:
        if shim.owner(path) == "homelab":
            path.unlink()
    chain.close_door(ours)
    if ours.is_dir() and not any(ours.iterdir()):
        ours.rmdir()


def _empty_slots(repository: Repository) -> None:
    folder = repository.common_dir / "hooks"
    for hook in ("pre-push", "pre-commit"):
        for slot in present.slots(folder, hook):
            chain.take_out(slot, chain.following(folder, hook))


def uninstall(repository: Repository) -> Status:
    """Take every hook of ours out of this clone, and put every other back."""
    with files.locked(_lock(repository)):
        hooks_path.give_back(repository)
        _remove_apart(repository)
        _empty_slots(repository)
        repository.run("symbolic-ref", "--delete", sources.TARGET)
        _trace(repository).unlink(missing_ok=True)
    if not linked.withdraw(repository):
        output.say("git-crypt: the linked worktrees keep the filter that keeps their secrets sealed")
    return present.status(repository)
