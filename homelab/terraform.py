"""Terraform stacks: where they are, what runs them, and an apply under its stack's claim.

Invariant: an apply starts only while ``stack:NAME`` is claimed for it, or with a reason in the history. What follows the
stack's name on the command line belongs to the runner and is never looked at.
"""

import difflib
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from homelab import output
from homelab.claims import command as bound
from homelab.claims import identity, model, operations
from homelab.claims.model import Binding, Mode
from homelab.errors import Refused, Usage
from homelab.git.repository import Repository, discover, require_worktree
from homelab.system import process

_MARKS = ("terragrunt.hcl", "root.hcl")
_BARE = ("tofu", "terraform")


@dataclass(frozen=True, slots=True)
class Stack:
    """The folder ``stacks/NAME`` below `root`."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where the runner runs."""
        return self.root / "stacks" / self.name

    @property
    def label(self) -> str:
        """What is claimed for it."""
        return f"stack:{self.name}"


def root(cwd: Path | None = None) -> Path:
    """Return the nearest folder above that has stacks. Raises `Usage`."""
    here = cwd or Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "stacks").is_dir() and any((folder / mark).is_file() for mark in _MARKS):
            return folder
    raise Usage(
        f"no folder above {here} has stacks",
        hint="change into a repository with a folder `stacks` beside a terragrunt.hcl or root.hcl",
    )


def stack(name: str, cwd: Path | None = None) -> Stack:
    """Return the stack of that name, or of a path such as ``./stacks/NAME``. Raises `Usage` with the nearest names."""
    here = cwd or Path.cwd()
    top = root(here)
    folder = here / name if name.split("/")[0] in (".", "..") else top / "stacks" / name.removeprefix("stacks/")
    found = _listed(top / "stacks", folder)
    if found is None or name.startswith("-"):
        known = sorted(e.name for e in os.scandir(top / "stacks") if e.is_dir() and not e.name.startswith("."))
        near = difflib.get_close_matches(name, known, 3, 0.5) or known[:10]
        hint = f"did you mean {', '.join(near)}?" if near else f"{top / 'stacks'} is empty"
        raise Usage(f"there is no stack {name!r} in {top / 'stacks'}", hint=hint)
    return Stack(top, found)


def _listed(stacks: Path, folder: Path) -> str | None:
    """Return the name of a folder below `stacks` as the folders list it; None where it is not below.

    One folder, one claim: a link, ``a//b``, ``a/.`` and, where case does not count, ``A`` are other spellings of it.
    """
    try:
        parts = folder.resolve(strict=True).relative_to(stacks.resolve()).parts
    except (OSError, ValueError):
        return None
    place, name = stacks.resolve(), []
    for part in parts:
        entries = {entry.name for entry in place.iterdir()}
        name.append(part if part in entries else next((e for e in entries if (place / e).samefile(place / part)), part))
        place /= part
    hidden = any(part.startswith(".") for part in name)
    return "/".join(name) if name and not hidden and place.is_dir() else None


def runner(stack: Stack) -> str:
    """Return the program that runs stacks here. Raises `NotStarted`."""
    script = stack.root / "scripts" / "tg"
    if script.exists():
        if script.is_dir() or not os.access(script, os.X_OK):
            raise bound.NotStarted(str(script), "it is not an executable file", 126)
        return str(script)
    for name in ("terragrunt", *_BARE):
        if found := shutil.which(name):
            return found
    raise bound.NotStarted("a runner", f"there is no {script}, nor terragrunt, tofu or terraform on PATH", 127)


def run(verb: str, stack: Stack, args: tuple[str, ...]) -> None:
    """Replace this process by the runner. Raises `Refused` or `NotStarted`."""
    if verb == "plan":
        require_plaintext(stack, verb)
    program = runner(stack)
    if verb == "fmt":
        argv = [*_formatter(program), "-recursive", *args]
    elif verb == "force-unlock":
        argv = [program, verb, "-force", *args]
    else:
        argv = [program, verb, *args]
    process.become(argv, cwd=stack.folder)


def _formatter(program: str) -> list[str]:
    """Return how the runner's terraform formats; terragrunt hands no arguments on by itself since its new command line."""
    if Path(program).name != "terragrunt":
        return [program, "fmt"]
    found = next(filter(None, map(shutil.which, _BARE)), None)
    return [found, "fmt"] if found else [program, "run", "--", "fmt"]


def run_apply(stack: Stack, args: tuple[str, ...], *, wait: int | None, no_claim: str | None) -> int:
    """Return the exit code of an apply that ran under the stack's claim. Raises `Busy`, and nothing was started."""
    model.label(stack.label)
    require_plaintext(stack, "apply")
    program = runner(stack)
    yes = "-auto-approve" if Path(program).name in _BARE else "--non-interactive"
    command = bound.Command((program, "apply", yes, *args), stack.folder)
    bound.findable(command)
    output.say(f"applying {stack.label} out of band: CI applies what is pushed to the target; push it too, or CI undoes it")
    purpose = f"tf apply {stack.name}"
    if no_claim is not None:
        output.warn(f"applying without a claim: {output.line(no_claim)}")
        operations.override(stack.label, purpose, no_claim)
        return bound.run(command)
    store = operations.store()
    request = operations.request(store, (stack.label,), Mode.EXCLUSIVE, Binding.PROCESS, purpose, nested=True)
    return bound.run_claimed(command, store, request, wait)[1]


def require_plaintext(stack: Stack, verb: str) -> None:
    """Check that the stack's secrets are readable here. Raises `Refused` in a linked worktree of a git-crypt repository."""
    if identity.linked_worktree(stack.folder) is None:
        return
    repository = discover(stack.folder)
    if not _has_git_crypt(repository):
        return
    main = Path(repository.out("worktree", "list", "--porcelain").split("\n")[0].removeprefix("worktree "))
    place = main / os.path.relpath(stack.root, require_worktree(repository))
    command = f"cd {shlex.quote(os.path.normpath(place))} && homelab tf {verb} {shlex.quote(stack.name)}"
    raise Refused(
        "secrets are ciphertext in a linked worktree of a git-crypt repository, and the stack would get them as they are",
        hint=f"run it in the main worktree: `{command}`",
        next=command,
    )


def _has_git_crypt(repository: Repository) -> bool:
    top = require_worktree(repository)
    names = repository.out("ls-files", "-z", "--", ".gitattributes", "*/.gitattributes").split("\0")
    paths = [*(top / name for name in names if name), repository.common_dir / "info" / "attributes"]
    for path in paths:
        try:
            if b"filter=git-crypt" in path.read_bytes():
                return True
        except OSError:
            continue
    return False
