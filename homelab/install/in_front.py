"""Whether the hook stands in front of every push and can start its program, and what took its place where it does not."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from homelab.git.repository import Repository
from homelab.install import hooks_path, install, shim
from homelab.install.findings import FAILURE, INSTALL, NOTE, WARNING, Finding
from homelab.install.present import Status
from homelab.system import process


def examine(repository: Repository, status: Status) -> Iterator[Finding]:
    """Yield whatever keeps a push from meeting the hook whole, or the hook from its program."""
    if status.ours is not None:
        for name in status.chained:
            yield Finding("chained", NOTE, f"a push runs {name} as well, and both have to agree")
        if (done := repository.run("hook", "list", "pre-push")).returncode == 128:  # before 2.54 it is no command: 129
            repair = "git config --show-origin --get-regexp '^hook[.]'"
            yield Finding("hooks-config", WARNING, f"git runs no hook and pushes nothing: {done.words}", repair)
        yield from _not_yet(repository)
        yield from _program(status.ours)
        if not shim.is_current(status.ours):
            yield Finding("hook-outdated", WARNING, "the hook was written by another version of homelab", INSTALL)
        return
    yield from _not_executable(status.hook) or _hooks_path(repository) or _in_place(repository, status)
    if status.gate == "framework":
        name = status.chained[0]
        message = f"{name} tells its hooks of the first ref of a push only, and of no deletion: this is not the whole gate"
        yield Finding("framework-only", FAILURE, message, INSTALL)


def _not_yet(repository: Repository) -> Iterator[Finding]:
    """Yield the folder that git, since 2.52, passes over only as long as it is not there: a checkout may bring it."""
    named = repository.config("core.hooksPath") or ""
    if named.startswith(":(optional)") and hooks_path.place(repository).value is None:
        folder = named.removeprefix(":(optional)")
        message = f"core.hooksPath sends git to {folder}, past the gate, as soon as that is there"
        yield Finding("hooks-path-later", WARNING, message, f"mkdir -p {folder} && {INSTALL}")


def _program(hook: Path) -> Iterator[Finding]:
    python = shim.program(hook)
    if python is None or not os.access(python, os.X_OK):
        message = f"the hook's program is gone: {python}; pushes to protected branches are refused unjudged"
        yield Finding("program-gone", FAILURE, message, INSTALL)
        return
    if process.complete([python, "-I", "-c", "import homelab_hooks.verified_push"], timeout=60).returncode:
        message = f"the hook's program {python} no longer has homelab; pushes to protected branches are refused unjudged"
        yield Finding("program-gone", FAILURE, message, INSTALL)
    elif python != sys.executable:
        yield Finding("other-program", NOTE, f"the hook starts another installation: {python}", INSTALL)


def _not_executable(hook: Path) -> list[Finding]:
    """Return a finding where git or a framework passes over a hook that nobody may execute."""
    legacy = hook.with_name("pre-push.legacy")
    behind = shim.owner(hook) in shim.FRAMEWORKS
    slots = (hook, legacy) if behind else (hook,)
    if not any(shim.owner(slot) == "homelab" for slot in slots):
        return []
    return [
        Finding("not-executable", FAILURE, f"{slot} may not be executed, so it is passed over", f"chmod +x {slot}")
        for slot in slots
        if not os.access(slot, os.X_OK)
    ]


def _hooks_path(repository: Repository) -> list[Finding]:
    """Return a finding where `core.hooksPath` leads git past the gate, or to where none is."""
    found = hooks_path.place(repository)
    if found.value is None:
        return []
    if hooks_path.is_own(repository, found):
        if found.folder.is_dir():
            return []
        message = f"core.hooksPath names our folder {found.value}, which is gone: no hook runs at all"
        return [Finding("hooks-path-gone", FAILURE, message, INSTALL)]
    kind = f"{found.scope}, relative" if not Path(found.value).is_absolute() else str(found.scope)
    elsewhere = "past the gate" if install.was_installed(repository) else "and no gate is there"
    message = f"core.hooksPath ({kind}) sends git to {found.value}, {elsewhere}"
    if ".husky" in found.value:
        message += "; husky sets it at every install"
    # It comes from `git -c` or the environment, where no installation can stand in front of it.
    repair = "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS" if found.scope == "command" else INSTALL
    return [Finding("hooks-path", FAILURE, message, repair)]


def _in_place(repository: Repository, status: Status) -> list[Finding]:
    """Return a finding where git's own slot holds no gate."""
    owner = shim.owner(status.hook)
    if owner is None:
        message = f"no pre-push hook is installed: {status.hook} is missing"
        return [Finding("hooks-missing", FAILURE, message, INSTALL)]
    old = status.hook.with_name("pre-push.old")
    if shim.owner(old) == "homelab":
        message = f"{owner} was installed over the gate and renamed it to {old.name}, which nothing runs"
        return [Finding("overwritten", FAILURE, message, INSTALL)]
    if install.was_installed(repository):
        how = f" (`{owner} install --overwrite` drops pre-push.legacy)" if owner in shim.FRAMEWORKS else ""
        return [Finding("overwritten", FAILURE, f"the gate was overwritten: pre-push is {owner}'s{how}", INSTALL)]
    if status.gate == "framework":
        return []
    return [Finding("not-chained", FAILURE, f"pre-push is {owner}'s, and the gate is not chained with it", INSTALL)]
