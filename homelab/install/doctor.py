"""Whether the gate holds in a clone, and every reason why it might not, each with its repair.

Only looks: nothing in the clone, on the remote or in a worktree is changed. What a client's hook cannot stop
(`git push --no-verify`) is said as a note and is no failure. Pushing at the gate is `homelab.install.attack`'s.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.claims import locate
from homelab.errors import HomelabError, Unreachable
from homelab.gate import markers
from homelab.git.remotes import ask_remote_head
from homelab.git.repository import Repository
from homelab.git.version import MINIMUM, git_version
from homelab.gitcrypt import linked
from homelab.install import in_front, install, present, shim
from homelab.install.findings import FAILURE, INSTALL, NOTE, WARNING, Finding
from homelab.install.present import Status
from homelab.policy import policy
from homelab.policy.config import Suite
from homelab.policy.rules import read_rules
from homelab.policy.states import NoTarget, Rules, State, Unknown
from homelab.system import file_systems, files


class Diagnosis(NamedTuple):
    """Which gate a clone has, and what was found about it."""

    gate: str
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Return whether every push from here is judged whole."""
        return self.gate == "whole" and not any(finding.severity == FAILURE for finding in self.findings)


def diagnose(repository: Repository) -> Diagnosis:
    """Return which gate this clone has and every reason why it might not hold. Asks no remote, and CI whether it answers."""
    status = present.status(repository)
    findings = [
        *_program_git(),
        *in_front.examine(repository, status),
        *_checkout(repository),
        *_rules(repository, status),
        *_file_system(repository),
        *_secrets(repository),
        *_remote(repository),
        *_ci(repository),
        *_platform(),
    ]
    return Diagnosis(status.gate, tuple(findings))


def _program_git() -> Iterator[Finding]:
    found = git_version()
    if found < MINIMUM:
        version, least = (".".join(map(str, numbers)) for numbers in (found, MINIMUM))
        yield Finding("git-too-old", FAILURE, f"git {version} is too old, {least} is needed", "install a newer git")


# -- the hook that a push starts --------------------------------------------------------------------------------------


def _checkout(repository: Repository) -> Iterator[Finding]:
    # A suite that inherits GIT_DIR and makes a repository sets this in ours. A bare repository of one's own has no index.
    if repository.config("core.bare") == "true" and (repository.common_dir / "index").exists():
        message = f"core.bare is true in {repository.common_dir}, though it is a checkout's"
        yield Finding("core-bare", WARNING, message, "git config core.bare false")


def _rules(repository: Repository, status: Status) -> Iterator[Finding]:
    try:
        rules = read_rules(repository, ask=False)
    except HomelabError as error:
        yield Finding("rules", FAILURE, error.message, error.hint)
        return
    match rules:
        case Unknown(reason=reason, repair=repair):
            yield Finding("rules-unknown", FAILURE, f"it is not known which branches are protected: {reason}", repair)
            return
        case NoTarget(remote=None):
            words = "no remote says what is protected, so main and master are"
            yield Finding("no-remote", NOTE, words, "git remote add origin URL")
            return
        case NoTarget(remote=remote):
            yield Finding("no-target", WARNING, f"{remote} has no branch that work lands on", f"git push {remote} BRANCH")
            return
    yield from _renamed(repository, rules)
    if status.ours is not None:
        yield from _stale(rules, status.ours)
    yield from _suites(repository, rules)


def _renamed(repository: Repository, rules: Rules) -> Iterator[Finding]:
    """Ask the remote whether its default branch is still the one that the rules were read from: a push does not."""
    if rules.remote is None:
        return
    try:
        now = ask_remote_head(repository, rules.remote, timeout=10)
    except Unreachable as error:
        yield Finding("remote-unreachable", NOTE, error.message, f"git ls-remote {rules.remote}")
        return
    if now not in (None, rules.default):
        words = f"the default branch of {rules.remote} is {now}, and this clone reads the rules of {rules.default}"
        yield Finding("head-moved", FAILURE, words, f"git fetch {rules.remote} && git remote set-head {rules.remote} --auto")


def _stale(rules: Rules, hook: Path) -> Iterator[Finding]:
    names = shim.word("\n".join(markers.needles(rules.protect)))
    if names not in hook.read_bytes():
        message = (
            "other branches are protected now than when the hook was installed; without its program it guards the old ones"
        )
        yield Finding("names-changed", WARNING, message, INSTALL)


def _suites(repository: Repository, rules: State) -> Iterator[Finding]:
    tip = repository.oid(f"refs/remotes/{rules.remote}/{rules.target}")
    if tip is None:
        return
    try:
        read = policy.read(repository.objects, repository.objects.commit(tip).tree)
        if read.suites:
            yield from _programs(repository, tip, read.suites)
            return
    except HomelabError as error:
        yield Finding("rules", FAILURE, error.message, error.hint)
        return
    message = f"no suite is configured or detected on {rules.remote}/{rules.target}: what brings none itself cannot be verified"
    yield Finding("no-suite", WARNING, message, _way_on(repository, has_file=read.blob is not None))


def _way_on(repository: Repository, *, has_file: bool) -> str:
    """Return what brings a suite to the target: `init` changes no file that exists, so it leads nowhere where there is one."""
    head = repository.oid("HEAD^{tree}")
    here = policy.read(repository.objects, head) if head else None
    if here and here.blob and here.suites:
        return "`git push`, or `homelab work land` from a branch: HEAD has a homelab.toml that names one"
    if has_file or (here and here.blob):
        return "name one in homelab.toml as [[suite]], commit and push it"
    return "homelab init"


def _programs(repository: Repository, tip: str, suites: Sequence[Suite]) -> Iterator[Finding]:
    """Yield the suites that cannot run here, since a program that they start, inside make and npm too, is not on PATH."""
    from homelab.policy import effects  # only doctor follows what a suite runs
    from homelab.policy.targets import Targets
    from homelab.policy.tree import Tree

    bodies = Targets(Tree(repository.objects, repository.objects.commit(tip).tree))
    for suite in suites:
        missing = sorted(name for name in effects.needed(suite.run or "", bodies, suite.dir) if shutil.which(name) is None)
        if missing:
            word = " and ".join(missing)
            message = f"the suite {suite.name} cannot run here: {word} {'is' if len(missing) == 1 else 'are'} not on PATH"
            yield Finding("suite-program", WARNING, message, f"install {word}")


# -- around it --------------------------------------------------------------------------------------------------------


def _file_system(repository: Repository) -> Iterator[Finding]:
    if kind := file_systems.untrusted(repository.common_dir):
        message = f"the receipts are in {repository.state}, on {kind}: locks may not hold there"
        yield Finding("file-system", WARNING, message, "keep the clone on a local disk")
    store, why = locate.seen()
    if why:
        yield Finding("claim-store", WARNING, f"claims cannot be kept: {why}", "name another store with [claims] store")
    else:
        yield Finding("claim-store", NOTE, f"claims are kept in {store}")
    try:
        with files.locked(repository.state / "locks" / "doctor"):
            pass
    except OSError as error:
        message = f"nothing can be locked in {repository.state}: {error.strerror}"
        yield Finding("no-locks", FAILURE, message, "make it writable, or keep the clone on a local disk")


def _remote(repository: Repository) -> Iterator[Finding]:
    for name in repository.settings().remotes:
        url = repository.line("remote", "get-url", "--push", name) or ""
        if shim.owner(Path(url) / "hooks" / "pre-receive") == "homelab":
            continue
        message = (
            f"whether {name} itself refuses what is unverified cannot be seen from here, and --no-verify passes every hook"
        )
        yield Finding("remote", NOTE, message, "protect the branch there, or `homelab hooks install --server` in it")


def _secrets(repository: Repository) -> Iterator[Finding]:
    if problem := linked.problem(repository):
        yield Finding("git-crypt-worktrees", WARNING, problem, INSTALL)
    if linked.uses_git_crypt(repository) and install.was_installed(repository) and not present.looks_at_commits(repository):
        yield Finding("commits-unsealed", WARNING, "nobody looks for plaintext secrets in a commit, only in a push", INSTALL)
    yield from _exposed(repository)


def _exposed(repository: Repository) -> Iterator[Finding]:
    """Yield the secrets that stand as plaintext in commits that the remote does not have yet."""
    from homelab.gitcrypt import plaintext

    head, remote = repository.oid("HEAD"), read_rules(repository, ask=False).remote
    try:
        found = plaintext.pushed(repository, [head], remote=remote or "") if head else []
    except HomelabError as error:
        yield Finding("plaintext", WARNING, f"commits cannot be looked through for plaintext: {error.message}", error.hint)
        return
    repair = plaintext.way_back(repository, found)[0] if found else ""
    for one in found[:10]:
        message = f"{one.path} is plaintext in {(one.commit or '')[:12]}, and no push of it passes"
        yield Finding("plaintext", WARNING, message, repair)


def _ci(repository: Repository) -> Iterator[Finding]:
    from homelab.ci import health

    for each in health.examine(repository, read_rules(repository, ask=False)):
        if each.problem:
            yield Finding("ci", WARNING, each.problem, each.repair)
        else:
            yield Finding("ci", NOTE, f"{each.found}; it answers")


def _platform(name: str = sys.platform) -> list[Finding]:
    if name == "linux":
        return []
    message = f"on {name} processes that outlive a suite or a claim are found by process group and polling only"
    return [Finding("platform", NOTE, message)]
