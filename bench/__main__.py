"""``make bench``: every table from one run on one machine. ``--quick`` takes fewer rounds, ``--write`` keeps the tables."""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import claims, landings, objects, plot, programs, pushes, ways
from bench.timing import Rows, Table, machine

README = Path(__file__).with_name("README.md")
PARTS: dict[str, Callable[[Path, bool], Sequence[Table | Rows]]] = {
    "pushes": pushes.measure,
    "programs": programs.measure,
    "objects": objects.measure,
    "landings": landings.measure,
    "claims": claims.measure,
    "ways": ways.measure,
}


def main() -> None:
    """The tables are printed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, 100 stacks instead of 1,000")
    parser.add_argument("--write", action="store_true", help="keep the tables in bench/README.md")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    began = time.monotonic()
    made = [f"{machine()}.\n"]
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="homelab-bench-") as folder:
            for table in PARTS[name](Path(folder), options.quick):
                made.append(table.markdown())
                sys.stdout.write(f"\n{table.markdown()}")
                sys.stdout.flush()
                if options.write and isinstance(table, Rows) and table.title == landings.WAYS:
                    plot.draw(table)
    made.append(f"All of it took {time.monotonic() - began:.0f} s.\n")
    sys.stdout.write(f"\n{made[0]}{made[-1]}")
    if options.write:
        text = re.sub(r"(?<=<!-- tables -->\n).*", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
        README.write_text(text + "\n" + "\n".join(made), encoding="utf-8")


if __name__ == "__main__":
    main()
