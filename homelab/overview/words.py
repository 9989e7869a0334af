"""The document for people, line by line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from homelab import output, terminal
from homelab.landing import queue
from homelab.overview import trees
from homelab.overview.document import document
from homelab.terminal import Look

_GATES = {"whole": "whole", "framework": "the framework's hook only", "none": "none"}
_MOST = 12
#: Columns in front of what a section says.
_INDENT = 11


def show(*, as_json: bool) -> None:
    """Print where one stands."""
    found = document()
    if as_json:
        output.answer_json(found)
        return
    look = terminal.look(output.answers())
    for line in lines(found, look):
        for row in look.wrap(line, _INDENT if line.startswith("  ") else 2):
            output.answer(row)


def lines(found: Mapping[str, Any], look: Look) -> Iterator[str]:
    """Yield the document for people."""
    if found["repository"] is None:
        yield output.line("; ".join(found["problems"]) or "not in a git repository")
        yield from _claims(found["claims"], look)
        if found["hint"]:
            yield f"hint: {found['hint']}"
        return
    yield from _head(found, look)
    yield from _target(found, look)
    yield from _here(found["here"], look)
    yield from _queue(found["queue"], look)
    yield from _claims(found["claims"], look)
    yield from _others(found, look)
    for problem in found["problems"]:
        yield f"  {look.paint('unknown', 'yellow')}  {output.line(problem)}"
    yield ""
    yield f"next: {look.paint(output.line(found['next']), 'bold')}" if found["next"] else f"next: {output.line(found['hint'])}"


def _head(found: Mapping[str, Any], look: Look) -> Iterator[str]:
    here, target = found["here"], found["target"]
    nothing = "no commit yet" if here["path"] else "no worktree here"
    branch = here["branch"] or (f"detached at {here['head'][:7]}" if here["head"] else nothing)
    arrow = look.sign("→", "->")
    goal = f" {arrow} {target['remote']}/{target['branch']}" if target else ""
    gate = _GATES.get(found["gate"] or "", "unknown")
    dot = look.sign("·", "-")
    yield (
        output.line(f"{found['repository']} {dot} {branch}{goal}")
        + "   gate: "
        + look.paint(gate, "green" if gate == "whole" else "yellow")
    )


def _target(found: Mapping[str, Any], look: Look) -> Iterator[str]:
    target = found["target"]
    if target is None:
        known = found["next"] is None  # there is a command that makes it known, where it is not
        yield f"  target   {'none: there is no remote branch to land on' if known else 'not known'}"
        return
    verdict = {
        "green": look.paint("green", "green") + _since(target["since"]),
        "red": look.paint(f"red: {output.names(target.get('red', ()), 3)}", "red") + _since(target["since"]),
        "unverifiable": "nothing says how to verify it",
        "unknown": f"not verified here: {output.names(target.get('missing', ()), 3)}",
    }.get(target["verdict"] or "", "not fetched yet" if target["commit"] is None else "unknown")
    ci = f" {look.sign('·', '-')} CI {output.line(found['ci']['verdict'])}" if found["ci"] else ""
    yield f"  {_cell(target['branch'])} {verdict}{ci}"


def _here(here: Mapping[str, Any], look: Look) -> Iterator[str]:
    parts = []
    if here["operation"]:
        parts.append(f"git {here['operation']} is under way")
    if here["ahead"] is not None:
        parts.append(_count(here["ahead"], "commit") + " ahead" if here["ahead"] else "nothing ahead")
    if here["verified"] is not None and here["ahead"]:
        red = f"red: {output.names(here['red'], 3)}"
        judged = red if here["red"] else "verified" if here["verified"] else "not verified yet"
        parts.append(look.paint(output.line(judged), output.verdict_colour(judged)))
        if here["red_before"]:
            parts.append(f"{len(here['red_before'])} red before")
    if (changes := here["changes"]) is not None:
        words = [f"{count} {what}" for what, count in changes.items() if count]
        parts.append(", ".join(words) or "nothing uncommitted")
    if here["path"]:
        yield f"  here     {', '.join(parts)}"


def _queue(waiting: Any, look: Look) -> Iterator[str]:
    yield from _section("waiting", [_ticket(row) for row in waiting[:_MOST]] or [("nobody",)], look)
    if len(waiting) > _MOST:
        yield f"           and {len(waiting) - _MOST} more: `homelab work queue`"


def _ticket(row: Mapping[str, Any]) -> tuple[str, ...]:
    words = (row["branch"] or "(starting)", queue.state(row), output.ago(row["since"]), row["user"])
    return tuple(map(output.line, words))


def _claims(claims: Any, look: Look) -> Iterator[str]:
    yield from _section("claims", [_claim(row) for row in (claims or [])[:_MOST]], look)
    if claims and len(claims) > _MOST:
        yield f"           and {len(claims) - _MOST} more: `homelab claims`"


def _others(found: Mapping[str, Any], look: Look) -> Iterator[str]:
    """Yield the other worktrees: what lands first, then the latest commit first."""
    others = [row for row in found["worktrees"] if row["path"] != found["here"]["path"]]
    others.sort(key=lambda row: row["committed_at"] or "", reverse=True)
    others.sort(key=lambda row: row["landing"] is None)
    yield from _section("others", [_other(row) for row in others[:_MOST]], look, {1: output.verdict_colour})
    if len(others) > _MOST:
        yield f"           and {len(others) - _MOST} more: `homelab work list`"


def _section(
    name: str, rows: Sequence[Sequence[str]], look: Look, colours: Mapping[int, Callable[[str], str]] | None = None
) -> Iterator[str]:
    """Yield rows in columns, the first beside the section's name."""
    for number, text in enumerate(look.columns(rows, _INDENT, colours or {}) if rows else ()):
        yield f"  {'' if number else name:8} {text}"


def _claim(row: Mapping[str, Any]) -> tuple[str, ...]:
    until = "until its command ends" if row["binding"] == "process" else f"{output.duration(row['left'] or 0)} left"
    state = "orphaned" if row["state"] == "orphaned" else until
    return tuple(map(output.line, (row["label"], "you" if row["mine"] else row["holder"]["user"], state, row["purpose"])))


def _other(row: Mapping[str, Any]) -> tuple[str, ...]:
    name = row["topic"] or ("(main)" if row["main"] else row["path"])
    age = output.ago(row["committed_at"]).removesuffix(" ago") if row["committed_at"] else "-"
    return tuple(map(output.line, (name, trees.state(row), age, row["subject"] or "")))


def _cell(name: str) -> str:
    return output.line(name).ljust(8)


def _since(moment: str | None) -> str:
    return f", {output.ago(moment)}" if moment else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
