"""Review: the branch goes to the remote where a rule of the server protects the target."""

import shlex

from homelab.errors import HomelabError, Refused, Review
from homelab.git.remotes import ask_remote
from homelab.landing import push_result
from homelab.landing.journal import Landing
from homelab.landing.push_result import Pushed
from homelab.landing.target import Target


def offer(target: Target, landing: Landing, reason: str, said: str) -> HomelabError:
    """Push the branch for a review, never forced, since the server `said` no to the target.

    Return `Review`, or `Refused` where the branch cannot be pushed either.
    """
    protected = f"{target.branch} is protected ({reason})"
    if not target.reviewable:
        target.journal.close(landing._replace(status="refused"))
        return Refused(
            f"{protected}, and {landing.branch} itself takes verified commits only",
            hint=push_result.hint(said) or "`git switch -c TOPIC`, then `homelab work land` again",
        )
    ref = f"refs/heads/{landing.branch}"
    pushed = target.push(landing.head, ref)
    if ask_remote(target.repository, target.remote, ref).get(ref) != landing.head:
        target.journal.close(landing._replace(status="refused"))
        return _no_review(target, landing, protected, pushed)
    target.journal.close(landing)
    url = push_result.review_url(pushed.stderr)
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
            hint=f"`{command}`, merge or rebase onto FETCH_HEAD, then `homelab work land` again",
            next=command,
        )
    return Refused(
        f"{protected}, and {landing.branch} could not be pushed for review: {push_result.words(pushed.stderr)}",
        hint=push_result.hint(pushed.stderr) or f"`git push {target.remote} HEAD` shows the same; ask who owns the server",
    )
