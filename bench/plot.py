"""Draws how landings at once grow with their number, where matplotlib is installed."""

from pathlib import Path

from bench.timing import Rows

PICTURE = Path(__file__).with_name("landings.png")


def draw(ways: Rows) -> None:
    """The picture shows wall time and verifications against the number of landings, a line for each way."""
    try:
        from matplotlib import pyplot
    except ImportError:
        return
    figure, (wall, runs) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for way in dict.fromkeys(row[0] for row in ways.rows):
        counts, seconds, ran = zip(*(row[1:] for row in ways.rows if row[0] == way), strict=True)
        wall.plot(counts, [float(value) for value in seconds], marker="o", label=way)
        runs.plot(counts, ran, marker="o", label=way)
    for axes, title in ((wall, "seconds until all have landed"), (runs, "verifications")):
        axes.set_title(title)
        axes.set_xlabel("landings at once, a suite of one second")
        axes.set_xticks(counts)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    wall.legend()
    figure.savefig(PICTURE, dpi=110)
