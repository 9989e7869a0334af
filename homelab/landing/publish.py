"""Publishing: the only push to the target, and how it is found out what became of it.

`publish` takes a `Verified` or a `Waived`, pushes its one object id with a lease on the base it was verified on, and believes
the remote alone. What it is about to do is in the journal first, so that whoever comes after a kill can ask the same question.
"""

import os
import shlex
import time
from collections.abc import Callable, Sequence

from homelab import output
from homelab.errors import Failed, HomelabError, Refused, Unreachable
from homelab.gate import grants
from homelab.git.remotes import ask_remote, fetch_branch
from homelab.landing import push_result, review
from homelab.landing.journal import Landing
from homelab.landing.push_result import Outcome, Pushed, Seen
from homelab.landing.target import Target
from homelab.system import clock
from homelab.verify import receipts
from homelab.verify.verification import Verified, Waived

#: Seconds between pushes of the same commit, where the server was busy or its reply was lost.
_BACK_OFF = (0.1, 0.3, 1.0, 2.0, 4.0)
#: Seconds between questions, while a server that gave no reply may still be at it.
_POLLS = (0.1, 0.4, 1.0)
_LAST_POLLS = (2.0, 4.0)
_WORDS = 20


def publish(
    target: Target, landable: Verified | Waived, landings: Sequence[Landing], grant: Callable[[], None] = lambda: None
) -> bool:
    """Push what was verified or waived, and return whether the target on the remote has it; False where others moved it.

    The landings are built on one another, and the last of them is what is pushed. `grant` is called once their intents are on
    disk. Raises `Review` where a rule of the server protects the target, `Refused`, `Failed` or `Unreachable` for what else
    kept it away; where several were pushed, only the leader is told.
    """
    assert landings[-1].commit == landable.commit
    fds = [target.journal.intend(landing) for landing in landings]
    found = Outcome.OPEN
    try:
        grant()  # after the intent, so that a kill leaves no grant that nobody takes back
        pushed, found = _push_until_known(target, landable.commit, landings[0].base, fds)
    finally:
        for fd in fds:
            os.close(fd)
        if found is not Outcome.LANDED:
            grants.revoke(target.repository, landable.commit, target.branch)
    if found in (Outcome.OPEN, Outcome.UNREACHABLE):
        raise _unreachable(target, found, pushed)
    if found is Outcome.LANDED:
        _landed(target, landings, pushed)
        return True
    if found is not Outcome.MOVED and len(landings) == 1:
        raise _not_landed(target, landings[0], found, pushed)
    for landing in landings:
        target.journal.drop(landing.id)
    if found is Outcome.MOVED:
        return False
    raise Refused(f"{target.remote} refused a push of {len(landings)} landings", hint="each lands alone")


def _push_until_known(target: Target, commit: str, base: str | None, fds: Sequence[int]) -> tuple[Pushed, Outcome]:
    """Return how the last push ended and what became of it, the remote asked.

    A busy server, and one whose reply was lost, gets the same push again: the lease lets it through once at the most.
    """
    for pause in (*_BACK_OFF, None):
        # It inherits `fds`, and so holds their locks as long as it runs.
        pushed = target.push(commit, target.ref, lease(target, base), pass_fds=fds)
        found = _settle(target, pushed, commit, base, _POLLS if pause else _LAST_POLLS)
        if pushed.code == 0 and found is Outcome.OPEN and _pushed_elsewhere(target, commit):
            found = Outcome.LANDED
        if found not in (Outcome.BUSY, Outcome.OPEN) or pause is None:
            break
        output.say(f"{target.remote} did not take it ({output.line(push_result.words(pushed.stderr))}); trying again")
        time.sleep(pause)
    return pushed, found


def lease(target: Target, base: str | None) -> str:
    """Return the option by which a push replaces the base and nothing else."""
    return f"--force-with-lease={target.ref}:{base or ''}"


def _settle(target: Target, pushed: Pushed, commit: str, base: str | None, pauses: tuple[float, ...]) -> Outcome:
    """Return what became of a push, asking the remote again after each pause while that is unknown."""
    found = push_result.classify(pushed, target.ref, look(target, commit, base))
    for pause in pauses:
        if found is not Outcome.OPEN:
            break
        time.sleep(pause)
        found = push_result.classify(pushed, target.ref, look(target, commit, base))
    return found


def look(target: Target, commit: str, base: str | None) -> Seen:
    """Ask the remote where the target is. Return what that means for a push of `commit` onto `base`."""
    try:
        tip = ask_remote(target.repository, target.remote, target.ref).get(target.ref)
        if tip not in (None, base, commit):
            tip = fetch_branch(target.repository, target.remote, target.branch)
    except (Unreachable, Failed):
        return Seen(False)
    contains = tip == commit or (tip is not None and target.repository.is_ancestor(commit, tip))
    return Seen(True, unmoved=tip == base, contains=contains)


def _pushed_elsewhere(target: Target, commit: str) -> bool:
    """Return whether the address that is pushed to has the commit, where fetching asks another, such as a mirror that lags."""
    address = target.repository.line("remote", "get-url", "--push", target.remote)
    try:
        return bool(address) and ask_remote(target.repository, str(address), target.ref).get(target.ref) == commit
    except (Unreachable, Failed):
        return False


def _landed(target: Target, landings: Sequence[Landing], pushed: Pushed) -> None:
    """Update refs and journal after a successful push. If the disk is full, the intent stays for the next landing."""
    tip, repository = landings[-1].commit, target.repository
    repository.run("update-ref", f"refs/homelab/seen/{target.name}", tip)
    if repository.oid(f"refs/remotes/{target.name}") == landings[0].base:
        repository.run("update-ref", f"refs/remotes/{target.name}", tip)
    if pushed.code:
        _tell_of_others(target, tip, pushed)
    bypass = push_result.bypassed(pushed.stderr)
    if bypass:
        output.warn(f"note: {bypass}")
    try:
        for landing in landings:
            now = clock.now()
            target.journal.close(landing._replace(status="landed", pushed=tip, finished=now, reason=bypass or landing.reason))
        receipts.collect(repository.state)
    except OSError as error:
        output.warn(f"note: it has landed, but the journal cannot be written: {(error.strerror or 'error').lower()}")


def _tell_of_others(target: Target, tip: str, pushed: Pushed) -> None:
    """Name every other address of the remote that did not take the push: it would stay behind for ever, as git goes on."""
    behind = push_result.declined_by(pushed, target.ref)
    for address, bracket in behind:
        command = f"git push {shlex.quote(address)} {tip}:{target.ref}"
        output.warn(f"note: {address} did not take the commit: {bracket}; `{command}` says why, or brings it up")
    if not behind:
        reason = push_result.words(pushed.stderr)
        output.warn(f"note: git ended with {pushed.code} ({output.line(reason)}), but {target.name} has the commit")


def _unreachable(target: Target, found: Outcome, pushed: Pushed) -> Unreachable:
    reason = output.line(push_result.words(pushed.stderr))
    if found is Outcome.OPEN:
        message = f"every push to {target.remote} was cut off, and {target.branch} there does not have the commit: {reason}"
    elif pushed.code == 0:
        message = f"git says that the push to {target.remote} went through, but the remote no longer answers"
    else:
        message = f"{target.remote} could not be pushed to: {reason}"
    return Unreachable(
        message,
        hint="run `homelab work land` again: it asks the remote first, and verifies nothing twice",
        next="homelab work land",
    )


def _not_landed(target: Target, landing: Landing, found: Outcome, pushed: Pushed) -> HomelabError:
    """Return what the outcome means for the person: a review, a refusal, or a failure."""
    # A local hook may speak on stdout, which git passes on; a server never does.
    said = f"{pushed.stderr}\n{pushed.stdout}" if found is Outcome.LOCAL else pushed.stderr
    reason = push_result.words(said)
    rows = push_result.server_words(said) or [row for row in said.split("\n") if row.strip()]
    output.quote("\n".join(rows[-_WORDS:]))
    if found is Outcome.DECLINED:
        return review.offer(target, landing._replace(status="review", reason=reason, finished=clock.now()), reason, said)
    status = "failed" if found is Outcome.BUSY else "refused"
    target.journal.close(landing._replace(status=status, reason=reason, finished=clock.now()))
    if found is Outcome.BUSY:
        return Failed(
            f"{target.remote} could not update {target.branch}, tried {len(_BACK_OFF) + 1} times: {reason}",
            hint="run `homelab work land` again; should it stay so, the server needs a look",
            next="homelab work land",
        )
    if found is Outcome.CHECKED_OUT:
        return _checked_out(target, reason)
    return _local(pushed, said, reason) if found is Outcome.LOCAL else _content(target, pushed, reason)


def _checked_out(target: Target, reason: str) -> Refused:
    return Refused(
        f"{target.remote} is a clone with a worktree in which {target.branch} is checked out, so nothing was pushed: {reason}",
        hint="there: `git switch --detach`, or `git config receive.denyCurrentBranch updateInstead`, or make it a bare "
        "repository",
    )


def _local(pushed: Pushed, said: str, reason: str) -> Refused:
    if "submodule paths contain changes" in said:
        paths = [output.line(row.strip()) for row in said.split("\n") if row.startswith("  ")]
        return Refused(
            f"the target would name commits of a submodule that no remote has: {', '.join(paths)}",
            hint="push them first: `git -C SUBMODULE push`",
        )
    if pushed.code != 1:
        return Refused(
            f"git cannot make the push: {reason}", hint="`git config --show-origin --get-regexp 'push|mirror'` shows why"
        )
    return Refused(
        f"a hook of this clone refused the push: {reason}",
        hint="repair what it names; `homelab hooks status` names the hooks",
        next="homelab hooks status",
    )


def _content(target: Target, pushed: Pushed, reason: str) -> Refused:
    if command := push_result.way_out(pushed.stderr, target.name):
        return Refused(
            f"{target.name} does not take these commits: {reason}",
            hint=f"`{command}`, then `homelab work land` again",
            next=command,
        )
    return Refused(
        f"{target.remote} does not take this content on any branch: {reason}",
        hint="take what it names out of the commits (`git rebase -i`), then `homelab work land` again",
    )
