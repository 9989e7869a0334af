"""The file store by itself: its folder, its records, its clocks; and where claims are kept when nothing says it."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import filelock
import pytest

import homelab
from homelab.claims import locate, renewal
from homelab.claims.model import Binding, Blocked
from homelab.claims.stores.base import Taken
from homelab.claims.stores.files import FileStore
from homelab.errors import Refused, Unreachable, Usage
from homelab.system import clock, file_systems
from homelab.system.clock import Deadline
from tests.support.claimants import Claimants, request
from tests.support.needs import needs_root
from tests.support.world import BIN, World


def records(on_files: Claimants) -> list[Path]:
    return sorted((on_files.root / "store/held").iterdir())


@pytest.mark.parametrize("binding", [Binding.LEASE, Binding.PROCESS])
def test_a_record_cut_anywhere_is_told_and_never_free(tmp_path: Path, binding: Binding) -> None:
    store = FileStore(tmp_path)
    assert isinstance(store.attempt(request(binding=binding)), Taken)
    assert isinstance(store.attempt(request("stack:other")), Taken)
    (path,) = (tmp_path / "held").glob("stack:a=*")
    whole = path.read_bytes()
    for end in range(len(whole) - 2):
        path.write_bytes(whole[:end])
        damaged, other = store.board()
        assert damaged.damaged and damaged.label == "stack:a" and other.damaged is None
        assert isinstance(store.attempt(request(session="b")), Blocked)
    path.write_bytes(whole)
    assert [claim.damaged for claim in store.board()] == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"v": None},
        {"v": 2},
        {"mode": "x"},
        {"holder": []},
        {"fence": "x"},
        {"deadline": None},
        {"label": "stack:b"},
        {"fence": []},
    ],
)
def test_a_hand_edited_record_never_ends_in_a_traceback(on_files: Claimants, change: dict[str, object]) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "x")
    (path,) = records(on_files)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for args in (["claims"], ["claims", "--json"], ["claims", "history"], ["release", "--all-mine"], ["claims", "renew"]):
        assert on_files.run(*args).returncode == 0
    assert on_files.held() == ["stack:a"]
    done = on_files.run("claim", "stack:a", "--purpose", "y")
    assert done.returncode == 3 and "steal" in done.stderr
    stolen = on_files.run("claims", "steal", "stack:a", "--reason", "damaged")
    assert stolen.returncode == (3 if change == {"v": 2} else 0)
    assert path.exists() == (change == {"v": 2})


def test_a_damaged_record_of_a_dead_command_is_free(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    taken = store.attempt(request(binding=Binding.PROCESS))
    assert isinstance(taken, Taken)
    (path,) = (tmp_path / "held").iterdir()
    path.write_text("{")
    for fd in store._fds.pop(taken.new[0].id):
        os.close(fd)
    assert store.board() == []
    assert isinstance(store.attempt(request(session="b")), Taken)


def test_a_store_of_a_newer_homelab_is_refused(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "x")
    (on_files.root / "store/VERSION").write_text('{"v":2}\n')
    assert on_files.run("claims").returncode == 3
    assert on_files.run("claim", "stack:b", "--purpose", "x").returncode == 3


def test_a_damaged_fence_is_refused_and_not_begun_again(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "x")
    on_files.ok("release", "stack:a")
    (on_files.root / "store/labels/stack:a.number").write_text("")
    assert on_files.run("claim", "stack:a", "--purpose", "x").returncode == 3
    assert on_files.board() == []


def test_half_of_a_lease_on_several_labels_never_stands(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    both = request()._replace(labels=("stack:a", "stack:b"))
    assert isinstance(store.attempt(both), Taken)
    assert [claim.label for claim in store.board()] == ["stack:a", "stack:b"]
    (tmp_path / "committed" / both.id).unlink()  # as when killed before the last of them
    assert store.board() == []
    assert isinstance(store.attempt(request("stack:b", session="b")), Taken)


def test_a_wall_clock_that_jumps_neither_ends_nor_revives_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline.after(900)
    real = time.time
    for jump in (7200, -7200):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        assert 899 < deadline.left() <= 900
        shown = datetime.fromisoformat(deadline.moment()).timestamp()
        assert abs(shown - real() - jump - 900) < 2
    monkeypatch.setattr(clock, "since_boot", lambda: deadline.boottime + 1)
    assert deadline.left() < 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare makes namespaces, and is not installed")
def test_another_clock_under_the_same_boot_ends_no_lease(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "x")
    other = ["unshare", "--time", "--boottime", "500000"]
    env = {**on_files.env, "HOMELAB_SESSION": "b"}
    if subprocess.run([*other, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no time namespace may be made here")
    claim = [*other, str(BIN / "homelab"), "claim", "stack:a", "--purpose", "y"]
    assert subprocess.run(claim, env=env, cwd=on_files.root, capture_output=True, check=False).returncode == 4
    on_files.ok("release", "stack:a")
    assert subprocess.run(claim, env=env, cwd=on_files.root, capture_output=True, check=False).returncode == 0
    assert on_files.run("claim", "stack:a", "--purpose", "z", session="c").returncode == 4


def test_after_a_reboot_a_lease_lives_by_the_wall_clock_and_a_commands_claim_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    assert isinstance(store.attempt(request()), Taken)
    taken = store.attempt(request("stack:b", binding=Binding.PROCESS))
    assert isinstance(taken, Taken)
    for fd in store._fds.pop(taken.new[0].id):
        os.close(fd)
    monkeypatch.setattr(clock, "boot", lambda: "another")
    monkeypatch.setattr(clock, "since_boot", lambda: 1.0)
    assert [claim.label for claim in store.board()] == ["stack:a"]
    assert isinstance(store.attempt(request("stack:b")), Taken)
    assert [event["event"] for event in store.events("stack:b")] == ["claimed", "abandoned", "claimed"]


def test_a_sticky_folder_and_a_folder_on_nfs_are_refused_with_the_reason(
    on_files: Claimants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (on_files.root / "store").mkdir()
    (on_files.root / "store").chmod(0o1777)
    done = on_files.run("claim", "stack:a", "--purpose", "x")
    assert done.returncode == 3 and "sticky" in done.stderr
    assert list((on_files.root / "store").iterdir()) == []
    for kind in ("nfs4", "fuse.sshfs", "cifs", "9p", "ceph", "virtiofs"):
        monkeypatch.setattr(file_systems, "kind", lambda _, kind=kind: kind)
        with pytest.raises(Refused, match=kind):
            FileStore(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_a_store_is_unreachable_and_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Refused, match="not a folder"):
        FileStore(file)
    store = FileStore(tmp_path / "store")
    (tmp_path / "store/held").rmdir()
    (tmp_path / "store/held").write_text("")
    with pytest.raises(Unreachable, match="store"):
        store.attempt(request())


@pytest.mark.parametrize("url", ["mysql://x/y", "file:relative", "file://host/x", "/just/a/path", "file:", "x"])
def test_a_url_that_names_no_store_is_wrong_usage(on_files: Claimants, url: str) -> None:
    with pytest.raises(Usage):
        locate.open(url)
    assert on_files.run("claims", env={"HOMELAB_CLAIMS": url}).returncode == 2


@pytest.mark.slow
def test_a_private_store_is_private_and_a_groups_store_is_the_groups(on_files: Claimants) -> None:
    shared = on_files.root / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    for name, folder, file in (("store", 0o700, 0o600), ("shared", 0o2770, 0o660)):
        env = {"HOMELAB_CLAIMS": f"file://{on_files.root}/{name}"}
        old = os.umask(0o077)
        try:
            on_files.ok("claim", "stack:a", "node:b", "--purpose", "x", env=env)
            on_files.ok("claim", "stack:c", "--purpose", "x", "--", "true", env=env)
        finally:
            os.umask(old)
        for path in (on_files.root / name).rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (folder if path.is_dir() else file), path


@pytest.mark.slow
@needs_root
def test_two_users_of_a_group_share_a_folder_whatever_their_umasks(tmp_path: Path) -> None:
    # The program itself is in a folder that other users cannot enter; the store's own code is what is tried.
    code = """
import filelock, fcntl, os, sys, tempfile
sys.path[:0] = sys.argv[5:]
from homelab.system import clock, file_systems
clock.boot()
from homelab.claims.stores.files import FileStore
from homelab.claims.model import *
from homelab.claims.stores.base import Taken
store = FileStore(__import__("pathlib").Path(sys.argv[1]))
os.setgroups([3000]); os.setgid(3000); os.setuid(int(sys.argv[2])); os.umask(int(sys.argv[3], 8))
holder = Holder(sys.argv[2], "vm", "s", os.getpid())
if sys.argv[4] == "release":
    store.drop_leases(["stack:a"], holder)
else:
    found = store.attempt(Request(sys.argv[2], ("stack:a",), Mode.EXCLUSIVE, Binding.LEASE, "x", holder))
    assert store.board() and store.events(None)
    sys.exit(0 if isinstance(found, Taken) else 4)
"""
    folder = Path("/var/tmp") / f"homelab-test-{os.getpid()}"
    folder.mkdir()
    try:
        os.chown(folder, 0, 3000)
        folder.chmod(0o2770)
        source = [str(Path(homelab.__file__).parent.parent), str(Path(filelock.__file__).parent.parent)]

        def act(user: int, umask: str, what: str) -> int:
            # Everything is imported before the user changes.
            argv = [sys.executable, "-c", code, str(folder), str(user), umask, what, *source]
            return subprocess.run(argv, check=False, cwd="/").returncode

        assert act(2001, "077", "claim") == 0
        assert act(2002, "022", "claim") == 4
        assert act(2001, "077", "release") == 0
        assert act(2002, "002", "claim") == 0
        assert act(2001, "077", "claim") == 4
    finally:
        shutil.rmtree(folder)


def test_without_a_name_the_store_is_in_the_users_state_and_inside_a_clone_too(world: World) -> None:
    assert world.homelab("claim", "stack:a", "--purpose", "x").returncode == 0
    assert world.homelab("claim", "stack:b", "--purpose", "x", cwd=world.root).returncode == 0
    held = Path(world.env["XDG_STATE_HOME"]) / "homelab/claims/held"
    assert len(list(held.iterdir())) == 2


def test_the_targets_configuration_names_the_store_and_a_local_file_does_not(world: World) -> None:
    where = world.root / "elsewhere"
    world.write({"homelab.toml": f'[claims]\nstore = "file://{where}"\n'})
    assert world.homelab("claim", "stack:a", "--purpose", "x").returncode == 0
    assert not where.exists()
    world.publish({"homelab.toml": f'[claims]\nstore = "file://{where}"\n'})
    world.git("fetch", "--quiet")
    assert world.homelab("claim", "stack:b", "--purpose", "x").returncode == 0
    assert len(list((where / "held").iterdir())) == 1
    other = {"HOMELAB_CLAIMS": f"file://{world.root}/third"}
    assert world.homelab("claim", "stack:c", "--purpose", "x", env=other).returncode == 0
    assert (world.root / "third").exists()


def test_a_thousand_claims_are_listed_by_reading_each_once(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    taken = store.attempt(request())
    assert isinstance(taken, Taken)
    (path,) = (tmp_path / "held").iterdir()
    record = json.loads(path.read_text())
    for number in range(1000):
        document = {**record, "label": f"node:n{number}", "id": f"{number:016x}"}
        (tmp_path / "held" / f"node:n{number}={number:016x}.json").write_text(json.dumps(document))
    opened = 0

    def count(event: str, _: object) -> None:
        nonlocal opened
        opened += event == "open"

    sys.addaudithook(count)
    assert len(store.board()) == 1001
    assert opened < 1100  # each record once, and what the store itself needs


@needs_root
def test_on_a_full_disk_nothing_starts_and_what_runs_ends_well(on_files: Claimants) -> None:
    store = on_files.root / "store"
    store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", store], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        store.chmod(0o700)
        script = on_files.script("cmd", "dd if=/dev/zero of=store/fill 2>/dev/null; exit 9")
        done = on_files.run("claim", "stack:a", "--purpose", "x", "--", script)
        assert done.returncode == 9
        refused = on_files.run("claim", "stack:b", "--purpose", "x", "--", "touch", "ran")
        assert refused.returncode == 7 and str(store) in refused.stderr
        assert not (on_files.root / "ran").exists()
        assert on_files.board() == []
        (store / "fill").unlink()
        on_files.ok("claim", "stack:a", "--purpose", "x", session="b")
    finally:
        subprocess.run(["umount", store], check=True)


def test_a_store_that_vanishes_under_a_command_is_told_and_its_exit_code_counts(on_files: Claimants) -> None:
    done = on_files.run("claim", "stack:a", "--purpose", "x", "--", on_files.script("cmd", "rm -rf store; exit 9"))
    assert done.returncode == 9 and "stack:a" in done.stderr


def test_what_the_killed_leave_behind_is_swept_once_a_day_and_nothing_else(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert isinstance(store.attempt(request()._replace(labels=("stack:b", "stack:c"))), Taken)
    held = store.attempt(request(binding=Binding.PROCESS))
    assert isinstance(held, Taken)
    junk = [tmp_path / "alive/0000", tmp_path / "alive/0000.home", tmp_path / "held/.temporary", tmp_path / "committed/0000"]
    for path in junk:
        path.touch()
    (tmp_path / "alive/new").touch()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in ("new", "VERSION"):
            os.utime(path, (1, 1))
    FileStore(tmp_path)
    assert [path for path in junk if path.exists()] == []
    assert (tmp_path / "alive/new").exists()
    assert [claim.label for claim in store.board()] == ["stack:a", "stack:b", "stack:c"]
    store.end(held.new[0].id, ["stack:a"])


def test_a_folder_of_any_bytes_is_a_store(on_files: Claimants) -> None:
    for folder in (b"B\xfcro", b"a b%2F\n\xff"):
        on_files.env["XDG_STATE_HOME"] = os.fsdecode(bytes(on_files.root) + b"/" + folder)
        on_files.ok(
            "claim", "stack:a", "--purpose", "x", "--", "test", "-d", on_files.env["XDG_STATE_HOME"], env={"HOMELAB_CLAIMS": ""}
        )
    named = locate.open(f"file://{on_files.root}/B%FCro/homelab/claims")
    assert isinstance(named, FileStore) and os.fsencode(named.folder).endswith(b"B\xfcro/homelab/claims")
    assert locate.open(named.url).name == named.name
    with pytest.raises(Usage, match="it is no UTF-8"):
        locate.open("postgresql://h/\udcff")


def test_who_cannot_renew_a_lease_does_not_try_again_so_soon(on_files: Claimants, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in on_files.env.items():
        monkeypatch.setenv(name, value)
    on_files.ok("claim", "stack:a", "--purpose", "x")
    tried = []

    def stuck(*args: object, fixed: bool) -> None:
        tried.append(args)
        raise Unreachable("somebody keeps its lock")

    monkeypatch.setattr(FileStore, "extend_leases", stuck)
    for _ in range(3):
        renewal.renew_in(locate.open(on_files.url))
    assert len(tried) == 1
