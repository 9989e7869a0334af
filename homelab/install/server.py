"""The gate on the receiving side: in front of a bare repository's own pre-receive, and out again."""

import os
import sys
from pathlib import Path

from homelab import output
from homelab.errors import Refused, Usage
from homelab.gate import server as receiving
from homelab.git.repository import Repository
from homelab.install import chain, hooks_path, shim
from homelab.policy import states
from homelab.policy.rules import read_server_rules
from homelab.policy.states import Unknown
from homelab.system import files, process


def bare_repository(path: Path) -> Repository:
    """Return the bare repository at `path`. Raises `Usage` when it is none."""
    # The path is explicit, as `safe.bareRepository = explicit` wants it.
    asked = ("rev-parse", "--path-format=absolute", "--git-common-dir", "--is-bare-repository")
    done = process.complete(["git", f"--git-dir={path}", *asked], cwd=path) if path.is_dir() else None
    where, _, bare = os.fsdecode(done.stdout).rstrip("\n").rpartition("\n") if done and not done.returncode else ("", "", "")
    if bare != "true" or Path(where).resolve() != path.resolve():
        raise Usage(f"{path} is not a bare repository", hint="name the repository that pushes are received in")
    repository = Repository(Path(where), Path(where), None)
    if hooks_path.place(repository).value is not None:
        raise Refused(
            f"{path} has core.hooksPath set, which other repositories may share",
            hint=f"`git -C {path} config --unset core.hooksPath`, then run it again",
        )
    return repository


def install_server(path: Path) -> Path:
    """Let the bare repository at `path` judge what it receives, in front of its own pre-receive. Raises `Usage`, `Refused`."""
    repository = bare_repository(path)
    _require_startable(path, repository)
    receiving.share(repository)
    hook = repository.common_dir / "hooks" / "pre-receive"
    with files.locked(repository.state / "locks" / "hooks"):
        content = shim.pre_receive(chain.word("pre-receive"))
        chain.put(repository.state, hook, chain.following(hook.parent, "pre-receive"), content)
    rules, branch = read_server_rules(repository), repository.line("for-each-ref", "--count=1", "refs/heads")
    if isinstance(rules, Unknown) and branch:  # an empty one learns it from its first push
        output.warn(f"note: every branch is judged, since {output.line(rules.reason)}; {states.on_server(rules)}")
    return hook


def _require_startable(path: Path, repository: Repository) -> None:
    """Refuse a program that those who push cannot start: pushes arrive as the repository's owner, and all would be refused."""
    owner = repository.git_dir.stat()
    for place in (Path(sys.executable), *Path(sys.executable).parents):
        found = place.stat()
        shift = 6 if found.st_uid == owner.st_uid else 3 if found.st_gid == owner.st_gid else 0
        if owner.st_uid and not found.st_mode >> shift & 1:
            who = f"the user {owner.st_uid}, who owns {path},"
            raise Refused(
                f"{who} cannot start {sys.executable}: {place} is closed to others",
                hint="install homelab-hooks as that user, or with `pipx install --global`, then run this by that installation",
            )


def renew_server(repository: Repository) -> None:
    """Write the pre-receive of a server anew where another version wrote it and whoever pushes may write there."""
    hook = repository.common_dir / "hooks" / "pre-receive"
    if shim.owner(hook) == "homelab" and not shim.is_current(hook) and os.access(hook.parent, os.W_OK):
        install_server(repository.git_dir)


def uninstall_server(path: Path) -> Path:
    """Give the bare repository at `path` back the pre-receive that it had before. Raises `Usage`, `Refused`."""
    repository = bare_repository(path)
    hook = repository.common_dir / "hooks" / "pre-receive"
    with files.locked(repository.state / "locks" / "hooks"):
        chain.take_out(hook, chain.following(hook.parent, "pre-receive"))
    return hook
