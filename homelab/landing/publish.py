"""Publishing: the one push to the target there is, and how it is found out what became of it.

`publish` takes a `Verified`, pushes its one object id with a lease on the base it was verified on, and believes the remote
alone. What it is about to do is in the journal first, so that whoever comes after a kill can ask the same question.
"""

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from homelab import output
from homelab.errors import Failed, HomelabError, Refused, Review, Unreachable
from homelab.git.remotes import ask_remote, fetch_branch, remotes
from homelab.git.repository import Repository
from homelab.landing import journal, push_result
from homelab.landing.journal import Landing
from homelab.landing.push_result import Outcome, Pushed, Seen
from homelab.system import clock
from homelab.verify import receipts
from homelab.verify.verification import Verified

#: Seconds between pushes of the same commit, where the server was busy or its reply was lost.
_BACK_OFF = (0.1, 0.3, 1.0, 2.0, 4.0)
#: Seconds between questions, while a server that gave no reply may still be at it.
_POLLS = (0.1, 0.4, 1.0)
_LAST_POLLS = (2.0, 4.0)
_IN_FLIGHT = 30
#: Seconds that a push may take; git itself waits for ever when the hook's interpreter is missing.
_LONGEST = 3600
_WORDS = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A branch of a remote, seen from one clone."""

    repository: Repository
    remote: str
    branch: str
    #: Whether the branch that lands may be pushed for a review; not where it takes verified commits only, itself.
    reviewable: bool = True

    @property
    def ref(self) -> str:
        """Its full name on the remote."""
        return f"refs/heads/{self.branch}"


def publish(target: Target, verified: Verified, landings: Sequence[Landing]) -> bool:
    """Return whether the target on the remote has what was verified; False when others moved it meanwhile.

    The landings stand on one another, and what was verified is the last of them. Raises `Review` when a rule of the server
    protects the target, `Refused`, `Failed` or `Unreachable` for what else kept it away; of several, nobody is told but us.
    """
    fds = [journal.intend(target.repository, landing) for landing in landings]
    try:
        pushed, found = _push_until_known(target, verified.commit, landings[0].base, fds)
    finally:
        for fd in fds:
            os.close(fd)
    if found in (Outcome.OPEN, Outcome.UNREACHABLE):
        raise _unreachable(target, found, pushed)
    if found is Outcome.LANDED:
        _landed(target, [replace(landing, status="landed", finished=clock.now()) for landing in landings], pushed)
        return True
    if found is not Outcome.MOVED and len(landings) == 1:
        raise _not_landed(target, landings[0], found, pushed)
    for landing in landings:
        journal.drop(target.repository, landing.id)
    if found is Outcome.MOVED:
        return False
    raise Refused(f"{target.remote} refused a push of {len(landings)} landings", hint="each lands alone")


def _push_until_known(target: Target, commit: str, base: str | None, fds: Sequence[int]) -> tuple[Pushed, Outcome]:
    """Return how the last push ended and what became of it, the remote asked.

    A busy server, and one whose reply was lost, gets the same push again: the lease lets it through once at the most.
    """
    for pause in (*_BACK_OFF, None):
        pushed = push(target, commit, base, fds)
        found = _settle(target, pushed, commit, base, _POLLS if pause else _LAST_POLLS)
        if pushed.code == 0 and found is Outcome.OPEN and _pushed_elsewhere(target, commit):
            found = Outcome.LANDED
        if found not in (Outcome.BUSY, Outcome.OPEN) or pause is None:
            break
        output.say(f"{target.remote} did not take it ({output.line(push_result.words(pushed.stderr))}); trying again")
        time.sleep(pause)
    return pushed, found


def push(target: Target, commit: str, base: str | None, fds: Sequence[int] = ()) -> Pushed:
    """Return how one push of one object id ended; its lease names the base, so nothing else can be replaced.

    The push inherits `fds`, and so holds their locks as long as it runs.
    """
    done = target.repository.run(
        "push", "--porcelain", *_plainly(target, commit), f"--force-with-lease={target.ref}:{base or ''}",
        "--", target.remote, f"{commit}:{target.ref}", pass_fds=fds,
        timeout=_LONGEST,
    )  # fmt: skip
    return Pushed(done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace"))


def _plainly(target: Target, commit: str) -> list[str]:
    """Return what keeps the user's configuration from pushing more than one ref, or, with submodules `only`, nothing."""
    objects = target.repository.objects
    modules = objects.entry(objects.commit(commit).tree, ".gitmodules")
    return ["--no-follow-tags", f"--recurse-submodules={'check' if modules else 'no'}"]


def _settle(target: Target, pushed: Pushed, commit: str, base: str | None, pauses: tuple[float, ...]) -> Outcome:
    """Return what became of a push, asking the remote again after each pause while it cannot be told."""
    found = push_result.classify(pushed, target.ref, ask(target, commit, base))
    for pause in pauses:
        if found is not Outcome.OPEN:
            break
        time.sleep(pause)
        found = push_result.classify(pushed, target.ref, ask(target, commit, base))
    return found


def ask(target: Target, commit: str, base: str | None) -> Seen:
    """Return where the remote says the target is, seen from a push of `commit` onto `base`."""
    try:
        tip = ask_remote(target.repository, target.remote, target.ref).get(target.ref)
        if tip not in (None, base, commit):
            tip = fetch_branch(target.repository, target.remote, target.branch)
    except (Unreachable, Failed):
        return Seen(False)
    contains = tip == commit or (tip is not None and target.repository.is_ancestor(commit, tip))
    return Seen(True, unmoved=tip == base, contains=contains)


def _pushed_elsewhere(target: Target, commit: str) -> bool:
    """Tell whether the address that is pushed to has the commit, where fetching asks another, such as a mirror that lags."""
    address = target.repository.line("remote", "get-url", "--push", target.remote)
    try:
        return bool(address) and ask_remote(target.repository, str(address), target.ref).get(target.ref) == commit
    except (Unreachable, Failed):
        return False


def _landed(target: Target, landings: Sequence[Landing], pushed: Pushed) -> None:
    """The clone knows what landed; where its disk takes no more, the intent stays and the next landing settles it."""
    tip = landings[-1].commit
    target.repository.run("update-ref", f"refs/homelab/seen/{target.remote}/{target.branch}", tip)
    if target.repository.oid(f"refs/remotes/{target.remote}/{target.branch}") == landings[0].base:
        target.repository.run("update-ref", f"refs/remotes/{target.remote}/{target.branch}", tip)
    if pushed.code:
        output.warn(f"note: git ended with {pushed.code}, but {target.remote}/{target.branch} has the commit")
    if bypass := push_result.bypassed(pushed.stderr):
        output.warn(f"note: {bypass}")
        landings = [replace(landing, reason=bypass) for landing in landings]
    try:
        for landing in landings:
            journal.close(target.repository, landing)
        receipts.collect(target.repository)
    except OSError as error:
        output.warn(f"note: it has landed, but the journal cannot be written: {(error.strerror or 'error').lower()}")


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
        return _review(target, replace(landing, status="review", reason=reason, finished=clock.now()), reason)
    status = "failed" if found is Outcome.BUSY else "refused"
    journal.close(target.repository, replace(landing, status=status, reason=reason, finished=clock.now()))
    if found is Outcome.BUSY:
        return Failed(
            f"{target.remote} could not update {target.branch}, tried {len(_BACK_OFF) + 1} times: {reason}",
            hint="run `homelab work land` again; should it stay so, the server needs a look",
            next="homelab work land",
        )
    return _local(pushed, said, reason) if found is Outcome.LOCAL else _content(target, reason)


def _local(pushed: Pushed, said: str, reason: str) -> Refused:
    if "submodule paths contain changes" in said:
        paths = [output.line(row.strip()) for row in said.split("\n") if row.startswith("  ")]
        return Refused(
            f"the target would name commits of a submodule that no remote has: {', '.join(paths)}",
            hint="push them first: git -C SUBMODULE push",
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


def _content(target: Target, reason: str) -> Refused:
    return Refused(
        f"{target.remote} does not take this content on any branch: {reason}",
        hint="take what it names out of the commits (git rebase -i), then `homelab work land` again",
    )


def _review(target: Target, landing: Landing, reason: str) -> HomelabError:
    """The branch is on the remote for a review, never forced; returns `Review`, or `Refused` when that may not be either."""
    protected = f"{target.branch} is protected ({reason})"
    if not target.reviewable:
        journal.close(target.repository, replace(landing, status="refused"))
        return Refused(
            f"{protected}, and {landing.branch} itself takes verified commits only",
            hint="git switch -c TOPIC, then `homelab work land` again",
        )
    ref, options = f"refs/heads/{landing.branch}", _plainly(target, landing.head)
    done = target.repository.run("push", "--porcelain", *options, "--", target.remote, f"{landing.head}:{ref}")
    words = done.stderr.decode(errors="replace")
    if ask_remote(target.repository, target.remote, ref).get(ref) != landing.head:
        journal.close(target.repository, replace(landing, status="refused"))
        return _no_review(target, landing, protected, Pushed(done.returncode, os.fsdecode(done.stdout), words))
    journal.close(target.repository, landing)
    url = push_result.review_url(words)
    return Review(
        f"not landed: {protected}; {landing.branch} was pushed for review",
        hint=f"open the review: {url}" if url else f"open a review of {landing.branch} on {target.remote}",
        fields={"url": url, "pushed": landing.head},
    )


def _no_review(target: Target, landing: Landing, protected: str, pushed: Pushed) -> Refused:
    """Return why neither the target nor a review branch took the work, and how to go on."""
    if "\t[rejected]" in pushed.stdout:
        command = f"git fetch {shlex.quote(target.remote)} {shlex.quote(landing.branch)}"
        return Refused(
            f"{protected}, and {landing.branch} on {target.remote} has commits that this branch lacks; it is never forced",
            hint=f"{command}, merge or rebase onto FETCH_HEAD, then `homelab work land` again",
            next=command,
        )
    return Refused(
        f"{protected}, and {landing.branch} could not be pushed for review: {push_result.words(pushed.stderr)}",
        hint=f"git push {target.remote} HEAD shows the same; ask who owns the server",
    )


def settle_earlier(repository: Repository) -> None:
    """Every intent that a dead lander left is settled by asking the remote, its push having ended.

    One whose remote is gone or cannot be reached stays: it must not hold up what lands elsewhere.
    """
    for landing, lock in list(journal.open_intents(repository)):
        _wait_for(landing, lock)
        if landing.remote not in remotes(repository):
            journal.close(repository, replace(landing, status="unreachable", reason="the remote is gone", finished=clock.now()))
            continue
        try:
            tip = fetch_branch(repository, landing.remote, landing.target)
        except Unreachable:
            continue
        if tip is not None and repository.is_ancestor(landing.commit, tip):
            output.say(f"an earlier landing of {landing.branch} did reach {landing.target}")
            journal.close(repository, replace(landing, status="landed", finished=clock.now()))
        elif not journal.is_in_flight(lock):
            journal.drop(repository, landing.id)


def _wait_for(landing: Landing, lock: Path) -> None:
    """The push of a dead lander has ended, or had its time."""
    deadline = time.monotonic() + _IN_FLIGHT
    if journal.is_in_flight(lock):
        output.say(f"an earlier push of {landing.branch} is still under way; waiting for it")
    while journal.is_in_flight(lock) and time.monotonic() < deadline:
        time.sleep(0.1)
