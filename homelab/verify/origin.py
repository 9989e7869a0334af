"""Who last changed what decides a run, up to a commit: asked of git's history once for any number of runs.

A red that is older than a change was brought by somebody, and the people who land beside it want to know whom to ask.
"""

import os
from collections.abc import Iterable

from homelab import output
from homelab.git.repository import LOG, Repository
from homelab.system import clock
from homelab.verify.suites import Run

#: How many commits that touch the paths are looked at: what is older has nobody who remembers it.
_MOST = 2000


def origins(repository: Repository, commit: str, runs: Iterable[Run]) -> dict[str, str]:
    """Return, by the run's key, the last commit that changed its inputs, as `a1b2c3d by Ada at MOMENT`.

    A run that depends on the whole tree has none, and neither has one whose inputs are older than git's history here.
    """
    left = {run.key: paths for run in runs if (paths := _paths(run))}
    found: dict[str, str] = {}
    if not left:
        return found
    # Read from stdin, since a list of arguments has an end; a path with a newline cannot be said there.
    named = sorted({f":(top,literal){path}\n" for paths in left.values() for path in paths if "\n" not in path})
    done = repository.run(
        *LOG, f"--max-count={_MOST}", "--no-renames", "--name-only", "--format=%x00%ct %h by %an", "--stdin",
        input=os.fsencode(f"{commit}\n--\n{''.join(named)}"),
    )  # fmt: skip
    log = os.fsdecode(done.stdout) if named and not done.returncode else ""
    for entry in log.split("\0"):
        head, _, files = entry.partition("\n")
        moment, _, who = head.partition(" ")
        for key in [key for key, paths in left.items() if any(_is_within(file, paths) for file in files.split("\n"))]:
            found[key] = f"{output.line(who)} at {clock.stamp(int(moment))}"
            del left[key]
    return found


def _paths(run: Run) -> tuple[str, ...]:
    if run.missing or (run.suite.inputs is None and run.suite.each is None):
        return ()
    return tuple({*(run.suite.inputs or ()), run.dir} - {"."})


def _is_within(file: str, paths: tuple[str, ...]) -> bool:
    return any(file == path or file.startswith(f"{path}/") for path in paths)
