"""What puts a repository's first homelab.toml into force: the next command, or the ways on where no suite is in it.

No two commands named here send anybody in a circle. Saying them is the command's.
"""

import json
import os
import re
import shlex
from pathlib import Path

from homelab.errors import Usage
from homelab.git.repository import Repository, require_worktree
from homelab.policy import config, config_file
from homelab.policy.found.finding import Finding
from homelab.policy.initial import Proposal

_STANZA = "printf '\\n[[suite]]\\nname = \"check\"\\nrun = \"%s\"\\n' 'COMMAND' >> "
_NOT_INSTALLED = re.compile(r"it cannot run here: (.+) (?:is|are) not installed")


def existing(path: Path) -> config.Config | None:
    """Return what a homelab.toml says that is there, or None where there is none. Raises `Usage`."""
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise Usage(f"{path} is not a plain file", hint="move it away, then run `homelab init` again")
    return config_file.parse(path.read_bytes())


def lacking(proposal: Proposal, words: str) -> list[Finding]:
    """Return what was found and stands nowhere in the words of a file."""
    found = (entry.finding for entry in proposal.entries if not entry.off and entry.finding.source != "--verify-cmd")
    return [each for each in found if json.dumps(each.run, ensure_ascii=False) not in words]


def not_installed(proposal: Proposal) -> list[str]:
    """Return the programs for want of which suites are switched off, each once."""
    found = (_NOT_INSTALLED.fullmatch(entry.off) for entry in proposal.entries)
    return list(dict.fromkeys(name for one in found if one for name in one[1].split(" and ")))


def ways(repository: Repository, proposal: Proposal) -> tuple[str, str, str]:
    """Return three ways on where no suite is in force, each a command."""
    return (
        f"{_STANZA}{here(repository)} && {_save(repository)} && {_landing(repository, proposal)}",
        "homelab work land --verify-cmd 'COMMAND'   (for one landing, from a branch)",
        "homelab work land --no-verify              (for one landing, and the journal says so)",
    )


def next_command(repository: Repository, proposal: Proposal) -> str | None:
    """Return the command that puts the file into force, as far as it is not there yet; None where it is."""
    tracked = repository.line("ls-files", "--error-unmatch", "--", f":(top){config.NAME}") is not None
    clean = tracked and repository.run("diff", "--quiet", "HEAD", "--", f":(top){config.NAME}").returncode == 0
    if proposal.remote is None:
        return "git remote add origin URL" if clean else f"{_save(repository)} && git remote add origin URL"
    landed = f"refs/remotes/{proposal.remote}/{proposal.target or branch(repository) or 'HEAD'}:{config.NAME}"
    if clean and repository.oid(landed) == repository.oid(f"HEAD:{config.NAME}"):
        return None
    push = _landing(repository, proposal)
    return push if clean else f"{_save(repository)} && {push}"


def here(repository: Repository) -> str:
    """Return the file's path from where the person is, as a word of the shell."""
    return shlex.quote(os.path.relpath(require_worktree(repository) / config.NAME))


def branch(repository: Repository) -> str | None:
    """Return the branch that is checked out, or None."""
    return repository.line("symbolic-ref", "--quiet", "--short", "HEAD")


def _save(repository: Repository) -> str:
    return f"git add {here(repository)} && git commit -m 'Say what a commit has to pass'"


def _landing(repository: Repository, proposal: Proposal) -> str:
    """Return the command that brings what is committed here onto the target."""
    name = branch(repository)
    is_target = name is not None and name == (proposal.target or name)
    return f"git push {proposal.remote or 'origin'} {name}" if is_target else "homelab work land"
