"""``homelab init``."""

import sys
import time
from collections.abc import Collection
from pathlib import Path

import click

from homelab import output
from homelab.commands.agents import enter
from homelab.commands.app import json_option
from homelab.git.repository import Repository, discover, require_worktree
from homelab.policy import config, initial, way_in
from homelab.policy.found import gather
from homelab.policy.initial import Proposal, propose, said, text
from homelab.system import files

#: How long proposals are tried in all, in seconds: a person waits for it.
_PATIENCE = 180

_WIDEST = 70
_WIDEST_NAME = 24
_MOST_NAMES = 8
_MOST_STEPS = 5


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
    kept = way_in.existing(path)
    asks = not yes and not as_json and sys.stdin.isatty() and sys.stderr.isatty()
    if kept is None:
        _show(proposal, looked)
        proposal = _asked(proposal) if asks and not verify_cmd else proposal
    if not no_hooks:
        from homelab.install.install import install

        install(repository)  # before the file is written: where a rule refuses it, nothing was changed
    tries = kept is None and (asks or yes) and not no_try and not verify_cmd
    proposal, tried = _tried(repository, proposal) if tries and proposal.suites else (proposal, [])
    created = _written(repository, path, proposal, kept, was_tried=bool(tried), has_gate=not no_hooks)
    if not as_json:
        output.answer_path(path)
        return
    suites = [suite.name for suite in (kept.suites if kept else proposal.suites)]
    answer = {"ok": True, "path": str(path), "created": created, "suites": suites, "hooks": not no_hooks}
    output.answer_json({**answer, "tried": tried} if tried else answer)


def _written(
    repository: Repository, path: Path, proposal: Proposal, kept: config.Config | None, *, was_tried: bool, has_gate: bool
) -> bool:
    """Write the file unless there is one, say what leads on from it, and return whether it was written."""
    created = kept is None and files.create(path, text(proposal).encode())
    if created:
        path.chmod(0o644)  # state on disk is private, this file is the repository's
    if has_gate:
        output.say("the gate is in front of every push of this clone (git's pre-push hook)")
    if created:
        _conclude(repository, path, proposal, was_tried=was_tried)
    else:
        _revisit(repository, path, kept or config.Config(), proposal)
    return created


def _show(proposal: Proposal, seconds: float) -> None:
    """Say what was found and where, what is off, and what was passed over."""
    if proposal.entries:
        output.say(f"found in {output.duration(seconds)}:")
    width = min(max((len(entry.finding.tool) for entry in proposal.entries), default=0), _WIDEST_NAME)
    for n, entry in enumerate(proposal.entries, 1):
        finding = entry.finding
        where = f" in {finding.each or finding.dir}" if finding.each or finding.dir != "." else ""
        off = f" -- switched off: {entry.off}" if entry.off else ""
        output.say(output.line(f"  {n:2} {finding.tool:{width}}  {_short(finding.run)}{where}  ({finding.source}){off}"))
    if proposal.cut:
        output.say(f"  and {proposal.cut} more that are not proposed: name what matters by hand")
    if proposal.passed_over:
        steps = "; ".join(map(output.line, proposal.passed_over[:_MOST_STEPS]))
        more = f" and {left} more" if (left := len(proposal.passed_over) - _MOST_STEPS) > 0 else ""
        output.say(f"not taken, since it changes something outside the repository: {steps}{more}")


def _short(run: str) -> str:
    run = gather.brief(run)
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

    how_long = output.duration(_PATIENCE)
    output.say(f"trying on {(proposal.commit or '')[:12]}, {how_long} at most (ctrl-c ends it, what is known is kept)")
    tried, trials = trial.try_out(repository, proposal, seconds=_PATIENCE)
    for words, names in _outcomes(tried, trials).items():
        output.say(output.line(f"  {output.names(names, _MOST_NAMES)}: {words}"))
    rows = trials.items()
    return tried, [
        {"name": name, "green": seen.green, "red": [*seen.red], "unreached": [*seen.unreached], "missing": seen.missing or None}
        for name, seen in rows
    ]


def _outcomes(tried: Proposal, trials: Collection[str]) -> dict[str, list[str]]:
    """Return the names of the suites by what trying them showed, what is in force first."""
    found: dict[str, list[str]] = {}
    for entry in sorted(tried.entries, key=lambda entry: bool(entry.off)):
        name = entry.finding.tool
        words = f"switched off: {entry.off}" if entry.off else entry.note or ("green" if name in trials else "")
        found.setdefault(words, []).append(name)
    return found


def _conclude(repository: Repository, path: Path, proposal: Proposal, *, was_tried: bool) -> None:
    """Say what was written, and the command that lands it."""
    if proposal.suites:
        named = output.names((f"{suite.name} ({_short(suite.run)})" for suite in proposal.suites), 5)
        output.say(f"wrote {path.name}; what decides: {named}" + ("" if was_tried else " -- not tried: `homelab verify` does"))
    else:
        found = "nothing in it can verify a commit here" if proposal.entries else "nothing here says how to verify a commit"
        output.warn(f"wrote {path.name}, but {found}: nothing can land by it yet")
    if missing := way_in.not_installed(proposal):
        again = f"rm {way_in.here(repository)} && homelab init"
        output.warn(f"hint: install {output.names(missing)} and try again: `{again}`")
    if not proposal.suites:
        _say_ways(repository, proposal)
    where = f"{proposal.remote}/{proposal.target}"
    if proposal.remote and proposal.target and not proposal.is_known:
        output.warn(f"note: this clone knows of no branch {where}; once it is the target, no other is protected")
    if proposal.suites:
        _say_next(repository, proposal)


def _say_ways(repository: Repository, proposal: Proposal) -> None:
    output.warn("hint: one of these goes on from here, with your command for COMMAND:")
    for way in way_in.ways(repository, proposal):
        output.warn(f"hint:   {way}")


def _say_next(repository: Repository, proposal: Proposal) -> None:
    """Say the command that puts the file into force, as far as it is not there yet."""
    where = f"{proposal.remote}/{proposal.target or way_in.branch(repository) or 'HEAD'}"
    if (command := way_in.next_command(repository, proposal)) is None:
        output.say(f"it is in force on {where}")
        return
    if proposal.remote:
        output.say(f"it counts once it is on {where}")
    output.say(f"next: {command}")


def _revisit(repository: Repository, path: Path, kept: config.Config, proposal: Proposal) -> None:
    """Say what a file that exists lacks, and what puts it into force."""
    output.say(f"{path.name} exists already and stays as it is")
    words = path.read_text(errors="replace")
    if lacking := way_in.lacking(proposal, words):
        output.say(f"found, and not in it: {output.names((f'{each.run} ({each.source})' for each in lacking), 5)}")
    if initial.SWITCHED_OFF in words:
        output.say("what is switched off in it is tried again where you move it away and run `homelab init`")
    if kept.suites:
        _say_next(repository, proposal)
    else:
        output.warn(f"{path.name} has no suite, so nothing can land by it yet")
        _say_ways(repository, proposal)
