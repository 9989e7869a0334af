"""What landing costs beyond the suite, and what several landings at once cost one another."""

import subprocess
import time
from pathlib import Path

from bench import repositories as make
from bench.plot import draw
from bench.timing import Table, progress
from tests.world import BIN, World

HOMELAB = BIN / "homelab"


#: How many land at once, how many of them are red, and how many verifications that may take at the most.
_CASES = ((1, 0, 1), (4, 0, 2), (8, 0, 2), (8, 1, 5), (16, 0, 4), (16, 1, 10), (16, 3, 16))


#: The ways that are drawn side by side.
OURS, SERIAL, LOOP = "homelab", "one after another", "a loop that verifies again"

# What many a team has: fetch, merge, verify, push, and again from the start when somebody was faster.
_SCRIPT = """\
until git fetch --quiet origin && git merge --quiet --no-edit origin/master && sh suite &&
  git push --quiet --no-verify origin HEAD:master; do :; done
"""


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    table = Table(
        "Landings at once, a suite of one second",
        "From the first start to the last end, by how many are red. In brackets: how often the suite ran, and the bound.",
    )
    table.times = {"the suite alone": [_suite_alone()]}
    for count, red, bound in _CASES[:4] if quick else _CASES:
        progress(f"{count} landings, {red} red")
        took, ran = _at_once(root / f"{count}-{red}", count, red)
        table.times[f"{count} at once, {red} red ({ran} of {bound})"] = [took]
    return [table, _ways(root, (1, 4) if quick else (1, 4, 8, 16))]


def _ways(root: Path, counts: tuple[int, ...]) -> Table:
    """Return greens at once, landed in three ways."""
    table = Table(
        "Greens at once, landed in three ways",
        "In brackets: how often the suite of one second ran. `landings.png` draws them.",
    )
    seen: dict[str, list[tuple[int, float, int]]] = {}
    for number, way in enumerate((OURS, SERIAL, LOOP)):
        for count in counts:
            progress(f"{count} landings, {way}")
            took, ran = _at_once(root / f"way-{number}-{count}", count, 0, way)
            table.times[f"{count}, {way} ({ran})"] = [took]
            seen.setdefault(way, []).append((count, took / 1e3, ran))
    draw(seen)
    return table


def _suite_alone() -> float:
    began = time.perf_counter()
    subprocess.run(["sh", "-c", "sleep 1"], check=True)
    return (time.perf_counter() - began) * 1e3


def _at_once(root: Path, count: int, red: int, way: str = OURS) -> tuple[float, int]:
    """Return the milliseconds until all have been told what became of theirs, and how often the suite ran."""
    world = make.plain(root)
    ran = world.root / "ran"
    alone = "[land]\neach_commit = true\n" if way == SERIAL else ""
    rules = f'{alone}[[suite]]\nname = "check"\nrun = "sh suite"\n'
    make.publish(world, {"homelab.toml": rules, "suite": f"echo >>{ran}; sleep 1; test ! -e bad\n"})
    make.gate(world)
    reds = {(2 * number + 1) * count // (2 * red) for number in range(red)}
    folders = [_work(world, number, "bad" if number in reds else f"file-{number}") for number in range(count)]
    began = time.perf_counter()
    landing = [
        subprocess.Popen(
            ["sh", "-c", _SCRIPT] if way == LOOP else [HOMELAB, "work", "land"],
            cwd=folder,
            env=world.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for folder in folders
    ]
    for number, child in enumerate(landing):
        _, words = child.communicate()
        if child.returncode != (number in reds):
            raise SystemExit(f"work land ended with {child.returncode}:\n{words.decode(errors='replace')}")
    return (time.perf_counter() - began) * 1e3, ran.read_text().count("\n")


def _work(world: World, number: int, name: str) -> Path:
    """Return a worktree with one commit of its own."""
    folder = Path(world.run(HOMELAB, "work", "start", f"t{number}").stdout.strip())
    world.commit({name: "new\n"}, cwd=folder)
    return folder
