"""What landing costs beyond the suite, and what several landings at once cost one another."""

import math
import statistics
import subprocess
import time
from pathlib import Path

from bench import repositories as make
from bench.timing import Rows, progress
from tests.support import layouts
from tests.support.world import BIN, World

HOMELAB = BIN / "homelab"


#: How many land at once, how many of them are red, and the number of verifications that is held to, where one is.
_CASES = (
    (1, 0, 1), (1, 1, 1), (4, 0, None), (4, 1, None), (4, 3, None), (8, 0, 1), (8, 1, 5), (8, 3, None),
    (16, 0, 2), (16, 1, 6), (16, 3, 16),
)  # fmt: skip
_STACKS = 12

#: The table that is drawn, and the ways in it.
WAYS = "Greens at once, landed in three ways"
OURS, SERIAL, LOOP = "homelab", "one after another", "a loop that verifies again"
#: Each landing is a stack of its own.
STACKS = "stacks"

# What many a team has: fetch, merge, verify, push, and again from the start when somebody was faster.
_SCRIPT = """\
until git fetch --quiet origin && git merge --quiet --no-edit origin/master && sh suite &&
  git push --quiet --no-verify origin HEAD:master; do :; done
"""


def measure(root: Path, quick: bool) -> list[Rows]:
    """Return the tables of this part."""
    table = Rows(
        "Landings at once, a suite of one second",
        "From the first start to the last end. The least is what tells the reds apart if each verification answers one bit.",
        ("landings", "red", "seconds", "verifications", "held to", "the least"),
    )
    for count, red, bound in _CASES[:4] if quick else _CASES:
        progress(f"{count} landings, {red} red")
        took, ran = _at_once(root / f"{count}-{red}", count, red)
        least = max(1, math.ceil(math.log2(math.comb(count, red))))
        table.rows.append((count, red, f"{took / 1e3:.2f}", ran, bound or "", least))
    stacks = 4 if quick else _STACKS
    progress(f"{stacks} stacks")
    took, ran = _at_once(root / "stacks", stacks, 0, STACKS)
    table.rows.append((f"{stacks}, each a stack of its own", 0, f"{took / 1e3:.2f}", ran, stacks, stacks))
    return [table, _one_of_many(root / "owner", 3 if quick else 9), _ways(root, (1, 4) if quick else (1, 4, 8, 16))]


def _one_of_many(root: Path, rounds: int) -> Rows:
    """Return what it takes to land a change of one stack among as many as the first user has."""
    table = Rows(
        f"A change of one of {layouts.STACKS} stacks, landed",
        f"`homelab work land` as a whole program: one ran, the others are remembered, {layouts.UNFORMATTED} as red before. "
        "Held to two seconds.",
        ("seconds, median", "least", "most"),
    )
    progress(table.title)
    world = make.stacks(root, layouts.STACKS, layouts.UNFORMATTED)
    folder = Path(world.run(HOMELAB, "work", "start", "topic").stdout.strip())
    took = []
    for number in range(rounds):
        world.commit({f"stacks/s{layouts.STACKS - 1:04}/main.tf": f"# {number}\n"}, cwd=folder)
        began = time.perf_counter()
        world.run(HOMELAB, "work", "land", cwd=folder)
        took.append(time.perf_counter() - began)
    table.rows.append(tuple(f"{each:.2f}" for each in (statistics.median(took), min(took), max(took))))
    return table


def _ways(root: Path, counts: tuple[int, ...]) -> Rows:
    """Return greens at once, landed in three ways."""
    table = Rows(
        WAYS,
        "A suite of one second. `landings.png` draws them.",
        ("way", "landings", "seconds", "verifications"),
    )
    for number, way in enumerate((OURS, SERIAL, LOOP)):
        for count in counts:
            progress(f"{count} landings, {way}")
            took, ran = _at_once(root / f"way-{number}-{count}", count, 0, way)
            table.rows.append((way, count, f"{took / 1e3:.2f}", ran))
    return table


def _at_once(root: Path, count: int, red: int, way: str = OURS) -> tuple[float, int]:
    """Return the milliseconds until all have been told what became of theirs, and how often the suite ran."""
    world = make.plain(root)
    ran = world.root / "ran"
    alone = "[land]\neach_commit = true\n" if way == SERIAL else ""
    each = 'each = "stacks/*"\n' if way == STACKS else ""
    rules = f'{alone}[[suite]]\nname = "check"\n{each}run = "sh {"../../" if each else ""}suite"\n'
    make.publish(world, {"homelab.toml": rules, "suite": f"echo >>{ran}; sleep 1; test ! -e bad\n"})
    make.gate(world)
    reds = {(2 * number + 1) * count // (2 * red) for number in range(red)}
    names = [f"stacks/s{n}/main.tf" if each else "bad" if n in reds else f"file-{n}" for n in range(count)]
    folders = [_work(world, number, name) for number, name in enumerate(names)]
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
