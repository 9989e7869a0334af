"""The document for people, line by line."""

from collections.abc import Iterator, Mapping
from typing import Any

from homelab import output, terminal
from homelab.overview import trees
from homelab.overview.document import document
from homelab.terminal import Look

_GATES = {"whole": "whole", "framework": "the framework's hook only", "none": "none"}
_MOST = 12


def show(*, as_json: bool) -> None:
    """Print where one stands."""
    found = document()
    if as_json:
        output.answer_json(found)
        return
    look = terminal.look(output.answers())
    for line in lines(found, look):
        # A command that is cut cannot be copied.
        output.answer(line if line.startswith("next: ") else look.cut(line))


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
    branch = here["branch"] or (f"detached at {here['head'][:7]}" if here["head"] else "no commit yet")
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
        parts.append(f"a {here['operation']} is under way")
    if here["ahead"] is not None:
        parts.append(_count(here["ahead"], "commit") + " ahead" if here["ahead"] else "nothing ahead")
    if here["verified"] is not None and here["ahead"]:
        red = f"red: {output.names(here['red'], 3)}"
        parts.append(red if here["red"] else "verified" if here["verified"] else "not verified yet")
        if here["red_before"]:
            parts.append(f"{len(here['red_before'])} red before")
    if (changes := here["changes"]) is not None:
        words = [f"{count} {what}" for what, count in changes.items() if count]
        parts.append(", ".join(words) or "nothing uncommitted")
    if here["path"]:
        yield f"  here     {', '.join(parts)}"


def _queue(queue: Any, look: Look) -> Iterator[str]:
    if not queue:
        yield "  waiting  nobody"
    for number, row in enumerate(queue):
        state = "landing" if row["position"] == 0 else f"{row['position']} ahead"
        words = f"{row['branch'] or '(starting)'} {state}, since {output.ago(row['since'])}, {row['user']}"
        yield f"  {'waiting' if number == 0 else '       '}  {output.line(words)}"


def _claims(claims: Any, look: Look) -> Iterator[str]:
    for number, row in enumerate((claims or [])[:_MOST]):
        who = "you" if row["mine"] else row["holder"]["user"]
        until = "until the command ends" if row["binding"] == "process" else f"{output.duration(row['left'] or 0)} left"
        words = f"{row['label']}  {who}, {until}: {row['purpose']}"
        yield f"  {'claims ' if number == 0 else '       '}  {output.line(words)}"
    if claims and len(claims) > _MOST:
        yield f"           and {len(claims) - _MOST} more: `homelab claims`"


def _others(found: Mapping[str, Any], look: Look) -> Iterator[str]:
    """Yield the other worktrees: what lands first, then the latest commit first."""
    others = [row for row in found["worktrees"] if row["path"] != found["here"]["path"]]
    others.sort(key=lambda row: row["committed_at"] or "", reverse=True)
    others.sort(key=lambda row: row["landing"] is None)
    cells = [_other(row) for row in others[:_MOST]]
    widths = [max(map(terminal.columns_of, column)) for column in zip(*cells, strict=True)]
    for number, (*row, subject) in enumerate(cells):
        padded = (cell + " " * (width - terminal.columns_of(cell)) for cell, width in zip(row, widths, strict=False))
        yield f"  {'others ' if number == 0 else '       '}  {'  '.join((*padded, subject))}".rstrip()
    if len(others) > _MOST:
        yield f"           and {len(others) - _MOST} more: `homelab work list`"


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
