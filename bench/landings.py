"""What landing costs beyond the suite, and what several landings at once cost one another."""

import subprocess
import time
from pathlib import Path

from bench import repositories as make
from bench.timing import Table, progress
from tests.world import BIN, World

HOMELAB = BIN / "homelab"


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    table = Table(
        "Landings at once, a suite of one second",
        "From the first start to the last end. In brackets: how often the suite ran, in each repetition.",
    )
    seen: dict[str, list[float]] = {"the suite alone": [_suite_alone() for _ in range(3)]}
    for count in (1, 4) if quick else (1, 4, 8):
        runs = []
        times = []
        for number in range(1 if quick else 3):
            progress(f"{count} landings: {number + 1}")
            took, ran = _at_once(root / f"{count}-{number}", count)
            times.append(took)
            runs.append(ran)
        seen[f"{count} at once ({', '.join(map(str, runs))} runs)"] = times
    least = min(map(len, seen.values()))
    table.times = {name: times[:least] for name, times in seen.items()}
    return [table]


def _suite_alone() -> float:
    began = time.perf_counter()
    subprocess.run(["sh", "-c", "sleep 1"], check=True)
    return (time.perf_counter() - began) * 1e3


def _at_once(root: Path, count: int) -> tuple[float, int]:
    """Return the milliseconds until all have landed, and how often the suite ran."""
    world = make.plain(root)
    ran = world.root / "ran"
    make.publish(world, {"homelab.toml": f'[[suite]]\nname = "check"\nrun = "echo >>{ran}; sleep 1"\n'})
    make.gate(world)
    folders = [_work(world, number) for number in range(count)]
    began = time.perf_counter()
    landing = [
        subprocess.Popen([HOMELAB, "work", "land"], cwd=folder, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for folder in folders
    ]
    for child in landing:
        _, words = child.communicate()
        if child.returncode:
            raise SystemExit(f"work land ended with {child.returncode}:\n{words.decode(errors='replace')}")
    return (time.perf_counter() - began) * 1e3, ran.read_text().count("\n")


def _work(world: World, number: int) -> Path:
    """Return a worktree with one commit of its own."""
    folder = Path(world.run(HOMELAB, "work", "start", f"t{number}").stdout.strip())
    world.commit({f"file-{number}": "new\n"}, cwd=folder)
    return folder
