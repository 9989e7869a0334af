"""``homelab init``."""

import json
import os
import re
import shlex
import sys
import time
from pathlib import Path

import click

from homelab import output
from homelab.commands.agents import enter
from homelab.commands.app import json_option
from homelab.errors import Usage
from homelab.git.repository import Repository, discover, require_worktree
from homelab.policy import config, config_file
from homelab.policy.found.python import PYTHON
from homelab.policy.initial import Proposal, propose, said, text
from homelab.system import files

#: How long proposals are tried in all, in seconds: a person waits for it.
_PATIENCE = 180

_WIDEST = 70
_STANZA = "printf '\\n[[suite]]\\nname = \"check\"\\nrun = \"%s\"\\n' 'COMMAND' >> "


@click.command()
@click.option("--remote", metavar="R", help="Where work lands. Default: forgejo, else origin, else the only remote.")
@click.option("--branch", metavar="B", help="The branch that work lands on. Default: the remote's HEAD branch.")
@click.option("--verify-cmd", metavar="CMD", help="The command that decides, instead of what is found.")
@click.option("--no-hooks", is_flag=True, help="Leave git's hooks as they are.")
@click.option("--no-try", is_flag=True, help="Write what is found without trying it.")
@click.option("--agents", is_flag=True, help="Write what coding agents need instead: AGENTS.md, .claude/settings.json.")
@click.option("--yes", is_flag=True, help="Take all that is found, and try it, without asking. With --agents: write it.")
@click.option("--remove", is_flag=True, help="With --agents: take it out again.")
@json_option
def init(
    remote: str | None,
    branch: str | None,
    verify_cmd: str | None,
    no_hooks: bool,
    no_try: bool,
    agents: bool,
    yes: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Write homelab.toml from what is found, tried on HEAD, and install the hooks.

    It looks at CI's files, at what tools are configured with and at languages, in every folder. Nothing that deploys is
    proposed or run. A homelab.toml that exists is never changed. Run it as often as you like.
    """
    if agents:
        if remote or branch or verify_cmd or no_hooks or no_try:
            raise click.UsageError("--agents goes with --yes, --remove and --json alone.")
        enter(yes=yes, remove=remove, as_json=as_json)
        return
    if remove:
        raise click.UsageError("--remove goes with --agents.")
    repository = discover()
    begun = time.monotonic()
    proposal = propose(repository, remote=remote, branch=branch, command=verify_cmd)
    looked = time.monotonic() - begun
    text(proposal)  # whatever cannot be written is known before anything is changed
    path = require_worktree(repository) / config.NAME
    kept = _existing(path)
    asks = not yes and not as_json and sys.stdin.isatty() and sys.stderr.isatty()
    if kept is None:
        _show(proposal, looked)
        proposal = _asked(proposal) if asks and not verify_cmd else proposal
    if not no_hooks:
        from homelab.install.install import install

        install(repository)  # before the file is written: where a rule refuses it, nothing was changed
    tries = kept is None and (asks or yes) and not no_try and not verify_cmd
    proposal, tried = _tried(repository, proposal) if tries and proposal.suites else (proposal, [])
    created = kept is None and files.create(path, text(proposal).encode())
    if created:
        path.chmod(0o644)  # state on disk is private, this file is the repository's
    if not no_hooks:
        output.say("the gate is in front of every push of this clone (git's pre-push hook)")
    if created:
        _conclude(repository, path, proposal, was_tried=bool(tried))
    else:
        _revisit(repository, path, kept or config.Config(), proposal)
    if not as_json:
        output.answer(str(path))
        return
    suites = [suite.name for suite in (kept.suites if kept else proposal.suites)]
    answer = {"ok": True, "path": str(path), "created": created, "suites": suites, "hooks": not no_hooks}
    output.answer_json({**answer, "tried": tried} if tried else answer)


def _existing(path: Path) -> config.Config | None:
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise Usage(f"{path} is not a plain file", hint="move it away, then run `homelab init` again")
    return config_file.parse(path.read_bytes())


def _show(proposal: Proposal, seconds: float) -> None:
    """Say what was found and where, what is off, and what was passed over."""
    if proposal.entries:
        output.say(f"found in {output.duration(seconds)}:")
    for n, entry in enumerate(proposal.entries, 1):
        finding = entry.finding
        where = f" in {finding.each or finding.dir}" if finding.each or finding.dir != "." else ""
        off = f" -- switched off: {entry.off}" if entry.off else ""
        output.say(output.line(f"  {n:2} {finding.tool:16} {_short(finding.run)}{where}  ({finding.source}){off}"))
    if proposal.cut:
        output.say(f"  and {proposal.cut} more that are not proposed: name what matters by hand")
    if proposal.passed_over:
        output.say(f"not taken, it changes something outside the repository: {output.names(proposal.passed_over, 5)}")


def _short(run: str) -> str:
    run = re.sub(r"^export TF_PLUGIN_CACHE_DIR=.*? && mkdir .*? && ", "", run).replace(PYTHON, "python")
    return run if len(run) <= _WIDEST else f"{run[:_WIDEST]}…"


def _asked(proposal: Proposal) -> Proposal:
    """Return the proposal as the person wants it."""
    if not proposal.suites:
        command = click.prompt(
            "Which command decides whether a commit is good (empty: none yet)", default="", show_default=False, err=True
        )
        return proposal.of([*said(command.strip() if command.isprintable() else ""), *proposal.entries])
    question = "Try and write these? y, n, or the numbers to leave out"
    while True:
        answer = click.prompt(question, default="y", err=True).strip().lower()
        if answer in ("y", "yes"):
            return proposal
        numbers = answer.replace(",", " ").split()
        if answer in ("n", "no"):
            return proposal.of([])
        if numbers and all(number.isdigit() and 0 < int(number) <= len(proposal.entries) for number in numbers):
            left_out = {int(number) for number in numbers}
            return proposal.of([entry for n, entry in enumerate(proposal.entries, 1) if n not in left_out])


def _tried(repository: Repository, proposal: Proposal) -> tuple[Proposal, list[dict[str, object]]]:
    """Return the proposal as trying it on HEAD leaves it, and what was seen for the answer in JSON."""
    from homelab.verify import trial
    from homelab.verify.screen import Screen

    how_long = output.duration(_PATIENCE)
    output.say(f"trying on {(proposal.commit or '')[:12]}, {how_long} at most (ctrl-c ends it, what is known is kept)")
    tried, trials = trial.try_out(repository, proposal, seconds=_PATIENCE, screen=Screen)
    for entry in tried.entries:
        seen = trials.get(entry.finding.tool)
        words = (
            f"switched off: {entry.off}"
            if entry.off
            else entry.note or (f"green in {output.duration(seen.seconds)}" if seen else "")
        )
        output.say(output.line(f"  {entry.finding.tool}: {words}"))
    rows = trials.items()
    return tried, [
        {"name": name, "green": seen.green, "red": [*seen.red], "unreached": [*seen.unreached], "missing": seen.missing or None}
        for name, seen in rows
    ]


def _conclude(repository: Repository, path: Path, proposal: Proposal, *, was_tried: bool) -> None:
    """Say what was written, and the command that lands it."""
    if proposal.suites:
        named = output.names((f"{suite.name} ({_short(suite.run)})" for suite in proposal.suites), 5)
        output.say(f"wrote {path.name}; what decides: {named}" + ("" if was_tried else " -- not tried: `homelab verify` does"))
    else:
        output.warn(f"wrote {path.name}, but nothing in it can verify a commit here: nothing can land by it yet")
        _three_ways(repository, proposal)
    where = f"{proposal.remote}/{proposal.target}"
    if proposal.remote and proposal.target and not proposal.is_known:
        output.warn(f"note: this clone knows of no branch {where}; once it is the target, no other is protected")
    if proposal.suites:
        _next(repository, proposal)


def _three_ways(repository: Repository, proposal: Proposal) -> None:
    """Name the ways on where no suite is in force."""
    output.warn("hint: one of these goes on from here, with your command for COMMAND:")
    output.warn(f"hint:   {_STANZA}{_here(repository)} && {_save(repository)} && {_landing(repository, proposal)}")
    output.warn("hint:   homelab work land --verify-cmd 'COMMAND'   (for one landing, from a branch)")
    output.warn("hint:   homelab work land --no-verify              (for one landing, and the journal says so)")


def _next(repository: Repository, proposal: Proposal) -> None:
    """Say the command that puts the file into force, as far as it is not there yet."""
    tracked = repository.line("ls-files", "--error-unmatch", "--", f":(top){config.NAME}") is not None
    clean = tracked and repository.run("diff", "--quiet", "HEAD", "--", f":(top){config.NAME}").returncode == 0
    if proposal.remote is None:
        output.say("next: git remote add origin URL" if clean else f"next: {_save(repository)}, then git remote add origin URL")
        return
    target = proposal.target or _branch(repository) or "HEAD"
    landed = f"refs/remotes/{proposal.remote}/{target}:{config.NAME}"
    if clean and repository.oid(landed) == repository.oid(f"HEAD:{config.NAME}"):
        output.say(f"it is in force on {proposal.remote}/{target}")
        return
    output.say(f"the rules in force are those on {proposal.remote}/{target}, so land it")
    push = _landing(repository, proposal)
    output.say(f"next: {push}" if clean else f"next: {_save(repository)} && {push}")


def _here(repository: Repository) -> str:
    """Return the file's path from where the person is."""
    return shlex.quote(os.path.relpath(require_worktree(repository) / config.NAME))


def _save(repository: Repository) -> str:
    return f"git add {_here(repository)} && git commit -m 'Say what a commit has to pass'"


def _branch(repository: Repository) -> str | None:
    return repository.line("symbolic-ref", "--quiet", "--short", "HEAD")


def _landing(repository: Repository, proposal: Proposal) -> str:
    """Return the command that brings what is committed here onto the target."""
    branch = _branch(repository)
    is_target = branch is not None and branch == (proposal.target or branch)
    return f"git push {proposal.remote or 'origin'} {branch}" if is_target else "homelab work land"


def _revisit(repository: Repository, path: Path, kept: config.Config, proposal: Proposal) -> None:
    """Say what a file that exists lacks, and what puts it into force."""
    output.say(f"{path.name} exists already and stays as it is")
    words = path.read_text(errors="replace")
    runs = [entry.finding for entry in proposal.entries if not entry.off and entry.finding.source != "--verify-cmd"]
    if missing := [f"{each.run} ({each.source})" for each in runs if json.dumps(each.run, ensure_ascii=False) not in words]:
        output.say(f"found, and not in it: {output.names(missing, 5)}")
    if kept.suites:
        _next(repository, proposal)
    else:
        output.warn(f"{path.name} has no suite, so nothing can land by it yet")
        _three_ways(repository, proposal)
