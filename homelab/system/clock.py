"""The present moment for records, and the clock that leases are measured with: time since boot, sleep included.

A wall clock that somebody sets neither ends nor revives a lease. After a reboot, and for another machine that shares the
folder, the wall clock is all there is.
"""

import functools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

#: The last second of the year 9999.
_LAST = 253402300799


@functools.cache
def boot() -> str:
    """Return what names this boot of this machine, as this process sees it; empty where the system does not say."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    try:
        # `unshare -T --boottime` gives a process another clock under the same boot.
        return f"{name} {Path('/proc/self/ns/time').readlink()}"
    except OSError:  # no such namespaces before Linux 5.6
        return name


def since_boot() -> float:
    """Return the seconds since boot, those asleep included."""
    # CLOCK_MONOTONIC, which `time.monotonic` reads, stands still in suspend.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def now() -> str:
    """Return the present moment as ISO 8601 in UTC, to the second."""
    return stamp(time.time())


def stamp(seconds: float) -> str:
    """Return a wall clock moment as ISO 8601 in UTC, to the second; what no calendar has (a commit may) is its last."""
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Deadline(NamedTuple):
    """When a lease ends, on both clocks."""

    wall: float
    boottime: float
    boot: str

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that lies `seconds` ahead."""
        return cls(time.time() + seconds, since_boot() + seconds, boot())

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Deadline":
        """Return the deadline that `document` wrote. Raises `KeyError`, `TypeError`, `ValueError`."""
        return cls(float(document["wall"]), float(document["boottime"]), str(document["boot"]))

    def document(self) -> dict[str, Any]:
        """Return the deadline for a record."""
        return {"wall": self.wall, "boottime": self.boottime, "boot": self.boot}

    def left(self) -> float:
        """Return the seconds until the deadline, negative afterwards."""
        if self.boot and self.boot == boot():
            return self.boottime - since_boot()
        return self.wall - time.time()

    def moment(self) -> str:
        """Return the deadline as a moment of today's wall clock, which may have been set since."""
        shown = time.time() + self.left()
        return stamp(self.wall if abs(shown - self.wall) < 5 else shown)
