"""``homelab init``."""

import os
from pathlib import Path

import click

from homelab import output
from homelab.commands.agents import enter
from homelab.commands.app import json_option
from homelab.errors import Usage
from homelab.git.repository import discover, require_worktree
from homelab.policy import config
from homelab.policy.initial import Proposal, propose, text
from homelab.system import files


@click.command()
@click.option("--remote", metavar="R", help="Where work lands. Default: forgejo, else origin, else the only remote.")
@click.option("--branch", metavar="B", help="The branch that work lands on. Default: the remote's HEAD branch.")
@click.option("--verify-cmd", metavar="CMD", help="The command that decides, instead of what is detected.")
@click.option("--no-hooks", is_flag=True, help="Leave git's hooks as they are.")
@click.option("--agents", is_flag=True, help="Write what coding agents need instead: AGENTS.md, .claude/settings.json.")
@click.option("--yes", is_flag=True, help="With --agents: do not ask before writing.")
@click.option("--remove", is_flag=True, help="With --agents: take it out again.")
@json_option
def init(
    remote: str | None,
    branch: str | None,
    verify_cmd: str | None,
    no_hooks: bool,
    agents: bool,
    yes: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Write homelab.toml from what is detected, and install the hooks.

    A homelab.toml that exists is never changed. Run it as often as you like.
    """
    if agents:
        if remote or branch or verify_cmd or no_hooks:
            raise click.UsageError("--agents goes with --yes, --remove and --json alone.")
        enter(yes=yes, remove=remove, as_json=as_json)
        return
    if yes or remove:
        raise click.UsageError("--yes and --remove go with --agents.")
    repository = discover()
    path = require_worktree(repository) / config.NAME
    proposal = propose(repository, remote=remote, branch=branch, command=verify_cmd)
    content = text(proposal).encode()
    kept = _existing(path)
    if not no_hooks:
        from homelab.install.install import install

        install(repository)  # before the file is written: where a rule refuses it, nothing was changed
    created = kept is None and files.create(path, content)
    if created:
        path.chmod(0o644)  # state on disk is private, this file is the repository's
    suites = [suite.name for suite in (kept.suites if kept else proposal.suites)]
    _narrate(path, proposal, created)
    if as_json:
        output.answer_json({"ok": True, "path": str(path), "created": created, "suites": suites, "hooks": not no_hooks})
        return
    output.answer(str(path))


def _existing(path: Path) -> config.Config | None:
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise Usage(f"{path} is not a plain file", hint="move it away, then run `homelab init` again")
    return config.parse(path.read_bytes())


def _narrate(path: Path, proposal: Proposal, created: bool) -> None:
    if not created:
        output.say(f"{path.name} exists already and stays as it is")
        return
    where = f"{proposal.remote}/{proposal.target}" if proposal.remote and proposal.target else "the target"
    if proposal.suites:
        named = ", ".join(f"{suite.name} ({suite.run})" for suite in proposal.suites)
        output.say(f"wrote {path.name}; what decides: {output.line(named)}")
    else:
        output.warn("wrote homelab.toml, but nothing in this repository shows how to verify it: nothing can land yet")
        output.warn(f"hint: name a command in {path.name}: it has an example")
    if not proposal.remote:
        output.say("there is no one remote to land on yet: name it in [gate] remote")
    elif proposal.target and not proposal.is_known:
        output.warn(f"note: this clone knows of no branch {where}; once it is the target, no other is protected")
    output.say(f"commit and push it: the rules in force are those on {where}")
