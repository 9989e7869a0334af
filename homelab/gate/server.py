"""What a receiving repository needs besides a verdict: real refs, files for all who push, one run at a time."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from homelab import output
from homelab.gate.updates import RefUpdate, branch
from homelab.git.repository import Repository
from homelab.policy import states
from homelab.policy.rules import unborn
from homelab.policy.states import State, Unknown
from homelab.system import files


def resolved(repository: Repository, rules: State, pushed: Sequence[RefUpdate]) -> list[RefUpdate]:
    """Return the updates by the refs that they write to: a symbolic ref is a second name of another (`main` of `master`).

    One that is protected by its second name alone keeps that.
    """
    known = repository.refs(*(update.ref for update in pushed))
    real = [known[update.ref][1] or update.ref if update.ref in known else unborn(repository, update.ref) for update in pushed]
    protected = states.protected(rules, [*real, *(update.ref for update in pushed)])
    return [
        update if update.ref in protected and ref not in protected else update._replace(ref=ref)
        for update, ref in zip(pushed, real, strict=True)
    ]


def tell(rules: State, pushed: Sequence[RefUpdate]) -> None:
    """Say why any branch is judged, where the rules are not known and more is pushed than the branch that makes them known."""
    if isinstance(rules, Unknown) and any(branch(update) not in (None, rules.target) for update in pushed):
        output.warn(f"note: every branch is judged, since {output.line(rules.reason)}; {states.on_server(rules)}")


def share(repository: Repository) -> None:
    """Let all who may push read and write what we keep in the repository, as its ``core.sharedRepository`` says."""
    said = (repository.config("core.sharedRepository") or "").lower()
    if said in ("group", "true", "1"):
        mode = 0o660
    elif said in ("all", "world", "everybody", "2"):
        mode = 0o664
    elif len(said) == 4 and not said.strip("01234567"):
        mode = int(said, 8) & 0o666
    else:
        return
    # Folders and logs go by the umask, our own files by this mode; a folder takes the group of the one above it.
    os.umask(0o777 & ~(mode | (mode & 0o444) >> 2))
    files.share(mode)


@contextlib.contextmanager
def turn(repository: Repository) -> Iterator[None]:
    """Hold the turn to run suites: as many pushes at once as there are people would take all memory that there is."""
    with files.locked(repository.state / "locks" / "server"):
        yield
