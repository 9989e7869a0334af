"""Scratch checkouts have a bound on the whole, and those of clones that are gone go by themselves."""

import os
from pathlib import Path

import pytest

from homelab.system import files
from homelab.verify import cache, scratch
from tests.support.world import World

_SIZE = 1 << 20


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of every clone's scratch: three clones with a slot of a megabyte each, one of which is gone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = scratch.home_of(os.environ)
    for age, name in enumerate(("new", "old", "gone")):
        clone = tmp_path / name
        if name != "gone":
            clone.mkdir()
        slot = found / name / "0"
        (slot / "git").mkdir(parents=True)
        (slot / "big").write_bytes(os.urandom(_SIZE))
        (slot / "lock").write_bytes(b"")
        os.utime(slot / "git", (1e9 - age * 1000,) * 2)
        (found / name / "clone").write_bytes(os.fsencode(clone))
    return found


def test_what_is_gone_goes_and_then_the_least_recently_used_beyond_the_bound(base: Path) -> None:
    assert cache.tidy() == 0, "it is below the bound"
    assert not (base / "gone").exists() and (base / "old/0/big").exists()
    assert cache.tidy(bound=0) == 0 and (base / "old/0/big").exists(), "it was looked at today"
    assert cache.tidy(bound=_SIZE + _SIZE // 2, every=0) >= _SIZE
    assert (base / "new/0/big").exists() and not (base / "old/0/big").exists() and (base / "old/0/lock").exists()


def test_what_somebody_uses_stays_whatever_the_bound(base: Path) -> None:
    held = files.hold(base / "old/0/lock")
    orphaned = files.hold(base / "gone/0/lock")
    assert held is not None and orphaned is not None
    cache.tidy(bound=0)
    assert (base / "old/0/big").exists() and (base / "gone/0/big").exists() and not (base / "new/0/big").exists()
    os.close(orphaned)
    os.close(held)


@pytest.mark.slow
def test_what_a_kill_left_of_a_slot_that_was_emptied_is_filled_again_and_judged_rightly(world: World) -> None:
    world.commit({f"d{n}/f": f"{n}\n" for n in range(4)})
    suite = "test ! -e bad && cat d0/f d1/f d2/f d3/f"

    slots = world.root / "home/.cache/homelab/scratch"

    def verdict() -> int:
        return world.homelab("verify", "--fresh").returncode

    world.commit({"homelab.toml": f'[[suite]]\nname = "check"\nrun = "{suite}"\n'})
    assert verdict() == 0
    parts = sorted(path for path in slots.glob("*/*/**/*") if path.name != "lock")
    for gone in [parts[:1], parts[: len(parts) // 2], parts[len(parts) // 2 :], [p for p in parts if p.is_file()], parts]:
        for path in gone:
            files.remove(path)
        assert verdict() == 0, gone
        assert world.run("git", "status", "--porcelain").stdout == ""
    world.commit({"bad": ""})
    for index in slots.glob("*/*/git/index"):
        files.remove(index)
    assert verdict() == 1
