"""The page as text: one template, everything from outside escaped and on one printable line.

Styles and script are files of their own, so that the policy of the served page allows nothing inline. A page that is written
to a file has no server to ask, so its style stands in it under its digest, and it has no script.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from homelab import __version__, output
from homelab.board import needs
from homelab.landing import queue
from homelab.system import clock

_HERE = Path(__file__).parent
#: What a file has to hold to be a page of ours.
MARK = '<meta name="generator" content="homelab board'
#: Rows of a table; what is more is counted.
_ROWS = {"claims": 100, "queue": 50, "landings": 30, "suites": 50}
_NEEDS, _FIRST = 30, 6
#: The plot of a suite's times, in units of its own.
_WIDTH, _HEIGHT = 160, 24


def asset(name: str) -> bytes:
    """Return the content of a file that the page names."""
    return (_HERE / name).read_bytes()


def policy(source: str) -> str:
    """Return the Content-Security-Policy for a page whose styles come from `source`."""
    script = "script-src 'self'; connect-src 'self'; " if source == "'self'" else ""
    inert = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; style-src {source}; {script}img-src data:; {inert}"


def render(found: Mapping[str, Any], *, claims_at: str | None = None, alone: bool = False) -> str:
    """Return the page for the document of `homelab status`; `claims_at` says how old its claims are, `alone` is for a file."""
    style = Markup(asset("board.css").decode()) if alone else None  # noqa: S704  # our own file
    digest = base64.b64encode(hashlib.sha256(str(style).encode()).digest()).decode() if style else None
    rows = {name: found[name] for name in _ROWS if found.get(name) is not None}
    cut = {name: rows[name][:most] if name in rows else None for name, most in _ROWS.items()}
    wanted = needs.needs(found)
    return _template().render(
        **{**found, **cut},
        more={name: len(rows.get(name, ())) - most for name, most in _ROWS.items()},
        needs=wanted[:_NEEDS],
        wanted=len(wanted),
        first=_FIRST,
        version=__version__,
        now=clock.now(),
        claims_at=claims_at,
        style=style,
        # A page in a file has nobody who sends a header for it; frame-ancestors counts in a header alone.
        policy=policy(f"'sha256-{digest}'").partition("; frame-ancestors")[0] if alone else None,
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, finalize=_finalize, loader=FileSystemLoader(_HERE), trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "ago": output.ago,
        "duration": output.duration,
        "queued": queue.state,
        "plot": _plot,
        "place": _place,
        "bad_first": _bad_first,
    }
    return environment.get_template("page.html")


def _finalize(value: Any) -> Any:
    if value is None:
        return ""
    return output.line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _place(session: str) -> str:
    """Return what people call a session: of a worktree's path its last part."""
    return session.rstrip("/").rpartition("/")[2] if session.startswith("/") else session


def _bad_first(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return runs with those in front that made the landing fail, and then those that take longest."""
    return sorted(runs, key=lambda run: (run["result"] not in ("failed", "timeout"), -(run.get("seconds") or 0)))


def _plot(times: list[float]) -> list[tuple[float, float, float]]:
    """Return left, top and height of a bar for each time, the longest as high as the plot."""
    longest, step = max(times) or 1, _WIDTH / max(len(times), 12)
    heights = [max(1.5, seconds / longest * _HEIGHT) for seconds in times]
    return [(round(n * step, 1), round(_HEIGHT - height, 1), round(height, 1)) for n, height in enumerate(heights)]
