"""Records and files of a claim store that somebody else has written: one entry is damaged, and nothing else stops."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from homelab.claims import locate, render
from homelab.claims.model import Blocked, Board
from homelab.claims.stores.base import Taken
from tests.support.claimants import Claimants, request
from tests.support.needs import needs_root
from tests.support.postgres import Server
from tests.support.waiting import eventually

HUGE = "9" * 5000

#: What a member of the group or a role of the database may write into the record of a claim.
CHANGES: list[dict[str, Any]] = [
    {"v": None},
    {"mode": "x"},
    {"mode": 1},
    {"binding": []},
    {"purpose": 5},
    {"purpose": None},
    {"holder": []},
    {"holder": "ada"},
    {"holder": {"user": 1, "host": "h", "session": "s", "pid": 1}},
    {"holder": {"user": "u", "host": "h", "session": "s", "pid": -1}},
    {"fence": "x"},
    {"fence": 2**64},
    {"fence": 1.5},
    {"fence": True},
    {"claimed_at": "x"},
    {"claimed_at": 7},
    {"claimed_at": "9999-12-31T23:59:59Z"},
    {"claimed_at": HUGE},
    {"duration": "long"},
    {"keeper": 7},
    {"keeper": {"pid": "x", "start": 0, "boot": ""}},
    {"outer": 5},
    {"outer": ["../../x"]},
]


def change(claimants: Claimants, server: Server | None, fields: dict[str, Any] | str) -> None:
    """Change the one record of the store, by fields or as a whole."""
    if server is None:
        (path,) = (claimants.root / "store/held").iterdir()
        path.write_text(fields if isinstance(fields, str) else json.dumps({**json.loads(path.read_text()), **fields}))
        return
    name = claimants.url.rpartition("/")[2]
    text = (fields if isinstance(fields, str) else json.dumps(fields)).replace("'", "''")
    server.execute(name, f"UPDATE homelab.claim SET record = record || '{text}'::jsonb")


@pytest.fixture
def altered(claimants: Claimants, request: pytest.FixtureRequest) -> Callable[[dict[str, Any] | str], None]:
    """Return what changes the record of the one claim in the store."""
    server = request.getfixturevalue("server") if claimants.url.startswith("postgres") else None
    return lambda fields: change(claimants, server, fields)


def test_no_field_of_a_record_stops_more_than_its_own_entry(
    claimants: Claimants, altered: Callable[[dict[str, Any] | str], None]
) -> None:
    # In this process: a program for each of some hundred questions takes a minute.
    with closing(locate.open(claimants.url)) as store:
        for fields in CHANGES:
            assert isinstance(store.attempt(request("stack:a")), Taken)
            altered(fields)
            (entry,) = store.board()
            assert entry.label == "stack:a" and entry.damaged, fields
            assert (
                json.dumps(entry.document())
                and "cannot be trusted" in render.held(entry)
                and render.table(Board((entry,)), "x")
            )
            assert isinstance(store.attempt(request("stack:a")), Blocked), fields
            assert isinstance(store.attempt(request("stack:b")), Taken), fields
            assert not isinstance(store.grant_instead(request("stack:a"), "damaged", force=False), Blocked), fields
            store.drop_leases(["stack:a", "stack:b"], request("stack:a").holder)
    for args in (["claims"], ["claims", "history"], ["claims", "history", "--since", "1h"], ["claims", "renew"]):
        claimants.ok(*args)


@pytest.mark.slow
def test_a_number_of_thousands_of_digits_is_one_damaged_entry(
    claimants: Claimants, altered: Callable[[dict[str, Any] | str], None]
) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "x")
    if claimants.url.startswith("file"):
        (path,) = (claimants.root / "store/held").iterdir()
        altered(path.read_text().replace('"fence": ', f'"fence": {HUGE}'))
    else:
        altered(f'{{"fence": {HUGE}, "pids": ["x", {HUGE}]}}')
    assert claimants.held() == ["stack:a"]
    claimants.ok("claim", "stack:b", "--purpose", "y", session="b")
    assert claimants.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 3
    claimants.ok("claims", "steal", "stack:a", "--reason", "damaged")


@pytest.mark.slow
def test_a_lease_past_the_calendar_is_damaged_and_one_of_more_than_a_year_is_never_taken(on_files: Claimants) -> None:
    for duration in ("366d", "9999999d", "999999999s", "٣d"):
        for args in (["claim", "stack:a", "--purpose", "x", "--for", duration], ["claims", "history", "--since", duration]):
            assert on_files.run(*args).returncode == 2
    assert on_files.board() == []
    on_files.ok("claim", "stack:a", "--purpose", "x", "--for", "365d")
    for wall, boottime in ((1e300, 1.0), (float("nan"), 1.0), (1.0, float("inf")), (1.0, 1e14), ("x", 1), (10**400, 1)):
        deadline = {"wall": wall, "boottime": boottime, "boot": "other"}
        change(on_files, None, {"deadline": deadline})
        assert "damaged" in on_files.board()[0]["purpose"], deadline
    on_files.ok("claim", "stack:b", "--purpose", "x")
    on_files.ok("claims", "steal", "stack:a", "--reason", "damaged")


@pytest.mark.slow
def test_history_of_anybodys_making_is_shown_line_by_line(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "x")
    (past,) = (on_files.root / "store/history").iterdir()
    lines = ['{"at":5,"label":[]}', "[]", "{", '{"at":"x","holder":"h","by":[1],"purpose":{"a":1}}', f'{{"fence":{HUGE}}}']
    past.write_text(past.read_text() + "\n".join([*lines, '{"event":"\\u001b[31m","at":"0001-01-01"}', ""]))
    assert "\x1b" not in on_files.ok("claims", "history")
    assert len(json.loads(on_files.ok("claims", "history", "--json"))) == 4
    assert on_files.events("stack:a") == ["claimed"]
    on_files.ok("claims", "history", "--since", "1h")


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "{}", "[]", '{"v":1,"number":"x"}', f'{{"v":1,"number":{HUGE}}}'])
def test_a_damaged_ticket_holds_up_nobody(on_files: Claimants, content: str) -> None:
    on_files.ok("claim", "stack:b", "--purpose", "x")
    (on_files.root / "store/queue/stack:a=000000000001=feed.json").write_text(content)
    on_files.ok("claims")
    on_files.ok("claim", "stack:a", "--purpose", "x", session="b")


PLANTED = ["history/MONTH.jsonl", "labels/stack:a.lock", "labels/stack:a.number", "labels/.swept", "VERSION", "held", "history"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "dangling link"])
@pytest.mark.parametrize("name", PLANTED)
def test_nothing_planted_in_a_shared_folder_reaches_a_file_of_ours(on_files: Claimants, name: str, kind: str) -> None:
    on_files.ok("claim", "stack:b", "--purpose", "first")
    store, victim = on_files.root / "store", on_files.root / "victim"
    victim.write_text("mine\n")
    victim.chmod(0o640)
    place = store / name.replace("MONTH", time.strftime("%Y-%m", time.gmtime()))
    aim = victim
    if place.is_dir():
        shutil.rmtree(place)
        aim = on_files.root / "folder"
        aim.mkdir()
    place.unlink(missing_ok=True)
    if kind == "hard link" and aim is victim:
        os.link(victim, place)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(on_files.root / "nowhere" if kind == "dangling link" else aim)
    done = on_files.run("claim", "stack:a", "--purpose", "$(touch x)", timeout=20)
    assert victim.read_text() == "mine\n" and victim.stat().st_mode & 0o777 == 0o640
    assert not (on_files.root / "nowhere").exists()
    assert not (on_files.root / "folder").exists() or not list((on_files.root / "folder").iterdir())
    assert done.returncode in (0, 7) and "Traceback" not in done.stderr
    if name == "labels/.swept":
        assert done.returncode == 0
    else:
        assert done.returncode == 7 and str(store) in done.stderr
        assert not (store / "held").is_dir() or not list((store / "held").glob("stack:a=*")), "claimed, and said it was not"


@pytest.mark.slow
def test_a_record_that_is_a_link_holds_its_label_and_no_other(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:b", "--purpose", "x")
    victim = on_files.root / "victim"
    victim.write_text("mine\n")
    (on_files.root / "store/held/stack:a=feed.json").symlink_to(victim)
    assert on_files.held() == ["stack:a", "stack:b"]
    assert on_files.run("claim", "stack:a", "--purpose", "x").returncode == 3
    on_files.ok("claims", "steal", "stack:a", "--reason", "a link")
    assert victim.read_text() == "mine\n"


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "code"), [(2001, 2001, 0o777, 3), (2001, 0, 0o2770, 0), (0, 2001, 0o777, 0)]
)
def test_a_folder_that_a_stranger_made_is_no_store(on_files: Claimants, owner: int, group: int, mode: int, code: int) -> None:
    store = on_files.root / "store"
    store.mkdir()
    os.chown(store, owner, group)
    store.chmod(mode)
    done = on_files.run("claim", "stack:a", "--purpose", "x")
    assert done.returncode == code
    assert (code == 0) == (store / "held").exists()


@pytest.mark.slow
def test_a_stopped_waiter_is_passed_over_and_named(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:a", "--purpose", "first")
    waiter = on_files.start("claim", "stack:a", "--purpose", "asleep", "--wait", "1h", session="b")
    eventually(lambda: on_files.board()[0]["waiting"])
    waiter.send_signal(signal.SIGSTOP)
    on_files.ok("release", "stack:a")
    done = on_files.run("claim", "stack:a", "--purpose", "c", session="c")
    assert done.returncode == 4 and f"pid {waiter.pid}" in done.stderr
    # As if it had been stopped for a while: it touches its file every second.
    (alive,) = (path for path in (on_files.root / "store/alive").iterdir() if path.name.endswith("w"))
    os.utime(alive, (1, 1))
    on_files.ok("claim", "stack:a", "--purpose", "c", session="c")
    waiter.send_signal(signal.SIGCONT)
    on_files.ok("release", "stack:a", session="c")
    assert waiter.wait(20) == 0
    assert on_files.board()[0]["holder"]["session"] == "b"


@pytest.mark.slow
def test_a_homelab_killed_at_any_moment_leaves_no_claim_of_nobody(claimants: Claimants) -> None:
    for number in range(24):
        child = claimants.start("claim", "stack:a", "--purpose", "x", "--", "sleep", "0.05")
        time.sleep(0.02 * number)
        child.kill()
        child.wait()
        # The keeper lives on for a moment only; a heartbeat that merely stayed away would hold it for half a minute.
        eventually(lambda: claimants.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 0, 8)
        claimants.ok("release", "stack:a", session="b")


def test_only_a_file_that_we_made_is_given_permissions(on_files: Claimants) -> None:
    on_files.ok("claim", "stack:b", "--purpose", "x")
    lock = on_files.root / "store/labels/stack:b.lock"
    (on_files.root / "store").chmod(0o2770)
    lock.chmod(0o600)
    on_files.ok("release", "stack:b")
    assert lock.stat().st_mode & 0o777 == 0o600
