"""A stack's runner: terraform's own verbs, a plan that sees the stack's secrets, and an apply under the stack's claim.

Invariant: an apply starts only while ``stack:NAME`` is claimed for it, or with a reason in the history. What follows the
stack's name on the command line belongs to the runner.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from homelab import output
from homelab.claims import command as bound
from homelab.claims import operations
from homelab.claims.command import Command, NotStarted
from homelab.claims.model import Binding, Mode
from homelab.system import process
from homelab.terraform import sealed
from homelab.terraform.stack import Stack

_BARE = ("tofu", "terraform")
#: What answers a runner's questions. Terragrunt answers its own by the first and hands the second to terraform.
_YES = {"terragrunt": ("--non-interactive", "-auto-approve"), "tofu": ("-auto-approve",), "terraform": ("-auto-approve",)}


def runner(root: Path) -> str:
    """Return the program that runs the stacks below `root`. Raises `NotStarted`."""
    script = root / "scripts" / "tg"
    if os.path.lexists(script):  # a link that leads nowhere is no leave to run anything else
        if script.is_dir() or not os.access(script, os.X_OK):
            raise NotStarted(str(script), "it is not an executable file", 126)
        return str(script)
    for name in ("terragrunt", *_BARE):
        if found := shutil.which(name):
            return found
    raise NotStarted("a runner", f"there is no {script}, nor terragrunt, tofu or terraform on PATH", 127)


def run(verb: str, stack: Stack, args: tuple[str, ...]) -> NoReturn:
    """Replace this process by the runner. Raises `NotStarted`."""
    program = runner(stack.root)
    argv = [*_formatter(program), "-recursive", *args] if verb == "fmt" else [program, verb, *args]
    try:
        process.become(argv, cwd=stack.folder)
    except OSError as error:
        raise NotStarted.by_system(program, error.errno) from None


def _formatter(program: str) -> list[str]:
    """Return how the runner's terraform formats; terragrunt hands no arguments on by itself since its new command line."""
    if Path(program).name != "terragrunt":
        return [program, "fmt"]
    found = next(filter(None, map(shutil.which, _BARE)), None)
    return [found, "fmt"] if found else [program, "run", "--", "fmt"]


def plan(stack: Stack, args: tuple[str, ...]) -> int:
    """Return the exit code of a plan, of HEAD's files where the secrets of those here are ciphertext. Raises `Refused`."""
    secrets = sealed.look(stack)
    if secrets is None:
        run("plan", stack, args)
    with sealed.opened(secrets) as place:
        argv = (runner(place.stack.root), "plan", *place.from_caller(args))
        return bound.run(Command(argv, place.stack.folder, lock_fd=place.lock_fd))


def unlock(stack: Stack, lock_id: str) -> NoReturn:
    """Replace this process by the runner that frees a state lock, unless somebody else works on the stack. Raises `Busy`."""
    store = operations.store()
    request = operations.request(store, (stack.label,), Mode.EXCLUSIVE, Binding.LEASE, "tf force-unlock", nested=True)
    operations.require_free(store, request)
    run("force-unlock", stack, ("-force", lock_id))


def run_apply(stack: Stack, args: tuple[str, ...], *, wait: int | None, no_claim: str | None) -> int:
    """Return the exit code of an apply that ran under the stack's claim. Raises `Busy`, and nothing was started."""
    label = stack.label
    sealed.require_plaintext(stack)
    program = runner(stack.root)
    yes = _missing(_YES.get(Path(program).name, ("--non-interactive",)), args)
    command = Command((program, "apply", *yes, *args), stack.folder)
    bound.findable(command)
    output.say(f"applying {label} out of band: CI applies what is pushed to the target; push it too, or CI undoes it")
    purpose = f"tf apply {stack.name}"
    if no_claim is not None:
        output.warn(f"applying without a claim: {output.line(no_claim)}")
        operations.override(label, purpose, no_claim)
        return bound.run(command)
    store = operations.store()
    request = operations.request(store, (label,), Mode.EXCLUSIVE, Binding.PROCESS, purpose, nested=True)
    return bound.run_claimed(command, store, request, wait)[1]


def _missing(words: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return the words that are not among the arguments already, with one dash or two."""
    given = {arg.lstrip("-").partition("=")[0] for arg in args if arg.startswith("-")}
    return [word for word in words if word.lstrip("-") not in given]
