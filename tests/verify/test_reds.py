"""What is red is told with who and since when, in as many lines as one reads."""

from homelab.system import clock
from homelab.verify.reds import Told, words


def test_reds_of_one_commit_are_one_line_and_the_latest_commit_stands_first() -> None:
    now = clock.now()
    reds = [
        *(Told(f"stack ({n})", now, "a1b2c3d by Ada at 2020-01-01T00:00:00Z") for n in range(6)),
        Told("fmt", "2021-01-01T00:00:00Z", "b1b2c3d by Bob at Large at 2021-01-01T00:00:00Z"),
        Told("unit", now),
    ]
    latest, oldest, unknown = words(reds)
    assert latest.startswith("fmt; last changed in b1b2c3d by Bob at Large ") and " d ago, first seen red " in latest
    assert oldest.startswith("stack (0), stack (1), stack (2), stack (3) and 2 more; last changed in a1b2c3d by Ada ")
    assert unknown.startswith("unit; first seen red ") and unknown.endswith(" s ago")


def test_more_commits_than_one_reads_are_a_number() -> None:
    reds = [Told(str(n), clock.now(), f"{n} by Ada at 2020-01-0{n}T00:00:00Z") for n in range(1, 8)]
    assert [line[:2] for line in words(reds)] == ["7;", "6;", "5;", "4;", "3 "]
    assert words(reds)[-1] == "3 more"


def test_a_damaged_record_is_told_as_far_as_it_goes() -> None:
    assert words([Told("a\x1b[1m", "soon", "at 7")]) != []
    assert not any("\x1b" in line for line in words([Told("a\x1b", "\x1b", "x\x1b at y\x1b")]))
