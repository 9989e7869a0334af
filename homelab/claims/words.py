"""Claims in words for people: who holds what, since when, until when, why, and what to do about it."""

from homelab import output
from homelab.claims.model import ORPHANED, PROCESS, Blocked, Claim, Ticket
from homelab.system import proc
from homelab.system.identity import host


def person(claim: Claim | Ticket) -> str:
    """Return who it is: ``ada on vm (session agent-1)``."""
    holder = claim.holder
    own = holder.session == f"{holder.user}@{holder.host}"
    return output.line(f"{holder.user} on {holder.host}" + ("" if own else f" (session {holder.session})"))


def until(claim: Claim) -> str:
    """Return when it ends."""
    if claim.damaged is not None:
        return "until somebody looks at it"
    if claim.binding == PROCESS:
        gone = f", whose homelab is gone{pids(claim)}" if claim.state == ORPHANED else ""
        return f"until its command ends{gone}"
    return f"for another {output.duration(claim.left or 0)}"


def held(claim: Claim) -> str:
    """Return one sentence: who holds what, since when, until when, why."""
    if claim.damaged is not None:
        return damage(claim)
    mode = " shared" if claim.mode == "shared" else ""
    since = output.ago(claim.claimed_at)
    purpose = output.line(claim.purpose)
    return f"{claim.label} is held{mode} by {person(claim)}, claimed {since}, {until(claim)}: {purpose}"


def pids(claim: Claim) -> str:
    """Return the surviving processes with their commands, where this machine shows them."""
    here = claim.holder.host == host()
    shown = [f"{pid} {output.line(proc.command(pid))[:60] if here else ''}".strip() for pid in claim.pids[:5]]
    more = f", and {len(claim.pids) - 5} more" if len(claim.pids) > 5 else ""
    return f" (pid {', '.join(shown)}{more})" if shown else ""


def damage(claim: Claim) -> str:
    """Return what is wrong with a damaged record."""
    return f"the record of {claim.label} cannot be trusted: {claim.damaged}"


def steal_hint(claim: Claim) -> str:
    """Return the hint that names the command to take a claim."""
    return f"`homelab claims steal {claim.label} --reason TEXT` takes it, and says so in the history"


def blocked(found: Blocked) -> str:
    """Return what is in the way, a sentence each."""
    lines = [held(claim) for claim in found.claims]
    lines += [f"{ticket.label} is waited for by {waiter(ticket)}" for ticket in found.tickets]
    return "\n".join(dict.fromkeys(lines))


def waiter(ticket: Ticket) -> str:
    """Return who waits, since when and why."""
    return f"{person(ticket)}, who came {output.ago(ticket.since)}: {output.line(ticket.purpose)}"
