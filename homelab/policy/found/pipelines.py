"""What CI runs: the commands of its files that only check."""

import re
from collections.abc import Iterator

from homelab.policy import invocation, shell
from homelab.policy.found import ci_checks
from homelab.policy.found.finding import WITH_GOALS, Finding, Source

#: Red without an `init` in front, which is a line of its own in CI; what is found in the folder itself has one.
_VALIDATES = re.compile(r"(terraform|tofu)( -chdir=\S+)? validate( -\S+)*")
_USUAL = frozenset(("test", "run", "check"))


def find(source: Source) -> tuple[list[Finding], list[str]]:
    """Return the commands that only check, and the steps that were passed over because they deploy."""
    checks, left = ci_checks.checks(source.tree, source.targets)
    findings = list(_findings(source, checks))
    return findings, [step.source for step in left]


def _findings(source: Source, checks: list[ci_checks.CiCheck]) -> Iterator[Finding]:
    for check in checks:
        if check.dir != "." and not source.tree.exists(check.dir):
            continue
        # `nix develop --command make e2e` may still ask a live system by what the target runs.
        off = source.off(check.run, check.dir)
        if off is None or _VALIDATES.fullmatch(check.run):
            continue
        names = [f"{check.dir}/{name}" for name in source.tree.folders.get(check.dir, ())]
        inputs = source.inputs(check.dir, names, ("go.work", "go.work.sum"))
        yield Finding(_tool(check.run), check.run, check.step.source, check.dir, inputs, off=check.off or off, is_explicit=True)


def _tool(run: str) -> str:
    """Return what a command is called after: its program, and its verb or target where that is not the usual one."""
    words = next((one.words for one in shell.parse(run).commands if one.words), ("check",))
    words = invocation.unwrapped(words) or words
    program = words[0].rsplit("/", 1)[-1]
    verb = next((word for word in words[1:] if word.replace("-", "").isalnum() and not word.startswith("-")), "")
    names = invocation.targets(words) if invocation.is_runner(words) else (verb if program in WITH_GOALS else "",)
    goal = names[0] if names and names[0] not in _USUAL and not invocation.is_script(names[0]) else ""
    return f"{program}-{goal}" if goal else program
