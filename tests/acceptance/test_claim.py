"""Leases, identity, refusals, history: the same on every store."""

import json
import os
import subprocess
import time

import pytest

from tests.support.claimants import Claimants
from tests.support.world import BIN

KEYS = {"label", "mode", "binding", "state", "purpose", "holder", "fence", "claimed_at", "expires_at", "waiting"}


def test_a_lease_is_on_the_board_in_the_shape_of_every_listing(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "rotate keys")
    (claim,) = claimants.board()
    assert set(claim) == KEYS
    assert set(claim["holder"]) == {"user", "host", "session", "pid"}
    assert (claim["label"], claim["mode"], claim["binding"], claim["state"]) == ("stack:vault", "exclusive", "lease", "held")
    assert (claim["holder"]["user"], claim["holder"]["session"], claim["purpose"]) == ("ada", "a", "rotate keys")
    assert claim["waiting"] == [] and isinstance(claim["fence"], int)


@pytest.mark.slow
def test_what_another_session_holds_is_busy_and_stays_as_it_was(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "rotate keys")
    before = claimants.board()
    done = claimants.run("claim", "stack:vault", "--purpose", "mine", session="b")
    assert claimants.board() == before
    assert done.returncode == 4 and done.stdout == ""
    for word in ("ada", "a", "rotate keys", "15 min", "--wait"):
        assert word in done.stderr


def test_busy_in_json_is_one_document_with_the_blockers(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "rotate keys")
    done = claimants.run("claim", "stack:vault", "--purpose", "mine", "--json", session="b")
    document = json.loads(done.stdout)
    assert done.returncode == 4
    assert (document["ok"], document["error"]["kind"]) == (False, "busy")
    assert document["blockers"][0]["purpose"] == "rotate keys"


@pytest.mark.slow
def test_claiming_again_renews_and_keeps_beginning_and_fence(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "one")
    (before,) = claimants.board()
    time.sleep(1.1)
    claimants.ok("claim", "stack:vault", "--purpose", "two")
    (after,) = claimants.board()
    assert (after["claimed_at"], after["fence"]) == (before["claimed_at"], before["fence"])
    assert after["purpose"] == "two" and after["expires_at"] > before["expires_at"]
    assert claimants.events("stack:vault") == ["claimed", "renewed"]


@pytest.mark.slow
def test_a_lease_fixed_by_for_is_neither_renewed_by_the_way_nor_shortened(claimants: Claimants) -> None:
    claimants.ok("claim", "node:n1", "--purpose", "one", "--for", "2h")
    (before,) = claimants.board()
    time.sleep(1.1)
    claimants.ok("manifest")
    claimants.ok("claim", "node:n1", "--purpose", "one")
    (after,) = claimants.board()
    assert after["expires_at"] == before["expires_at"]


@pytest.mark.slow
def test_an_expired_lease_is_not_listed_and_the_next_has_a_higher_fence(claimants: Claimants) -> None:
    before = json.loads(claimants.ok("claim", "node:n1", "--purpose", "one", "--for", "1s", "--json"))
    time.sleep(1.1)
    assert claimants.board() == []
    claimants.ok("claim", "node:n1", "--purpose", "two", session="b")
    (after,) = claimants.board()
    assert after["fence"] > before["fence"]
    assert claimants.run("release", "node:n1").returncode == 3
    assert claimants.run("claims", "renew", "node:n1").returncode == 4
    assert claimants.board() == [after]
    assert claimants.events("node:n1") == ["claimed", "expired", "claimed"]


@pytest.mark.slow
def test_release_frees_and_the_history_stays(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "one")
    claimants.ok("release", "stack:vault")
    assert claimants.board() == []
    again = claimants.run("release", "stack:vault")
    assert (again.returncode, claimants.events("stack:vault")) == (0, ["claimed", "released"])
    assert "not held" in again.stderr


@pytest.mark.slow
def test_release_of_someone_elses_is_refused_and_takes_nothing(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "mine", session="b")
    claimants.ok("claim", "stack:b", "--purpose", "theirs")
    assert claimants.run("release", "stack:a", "stack:b", session="b").returncode == 3
    assert claimants.held() == ["stack:a", "stack:b"]


def test_release_all_mine_leaves_other_sessions_alone(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "node:b", "--purpose", "mine")
    claimants.ok("claim", "stack:c", "--purpose", "theirs", session="b")
    claimants.ok("release", "--all-mine")
    assert claimants.held() == ["stack:c"]


@pytest.mark.slow
def test_shared_claims_stand_together_and_keep_an_exclusive_one_out(claimants: Claimants) -> None:
    claimants.ok("claim", "db:main", "--purpose", "read", "--shared")
    claimants.ok("claim", "db:main", "--purpose", "read too", "--shared", session="b")
    done = claimants.run("claim", "db:main", "--purpose", "write", session="c")
    assert done.returncode == 4 and "read too" in done.stderr and "read\n" in done.stderr
    assert [claim["mode"] for claim in claimants.board()] == ["shared", "shared"]
    assert claimants.run("claim", "db:main", "--purpose", "write").returncode == 4
    claimants.ok("release", "db:main", session="b")
    claimants.ok("claim", "db:main", "--purpose", "write")
    assert claimants.run("claim", "db:main", "--purpose", "read", "--shared", session="b").returncode == 4


@pytest.mark.slow
def test_several_labels_are_taken_together_or_not_at_all(claimants: Claimants) -> None:
    claimants.ok("claim", "node:b", "--purpose", "theirs", session="b")
    assert claimants.run("claim", "stack:a", "node:b", "db:c", "--purpose", "mine").returncode == 4
    assert claimants.held() == ["node:b"]
    claimants.ok("release", "node:b", session="b")
    claimants.ok("claim", "stack:a", "node:b", "db:c", "--purpose", "mine")
    assert claimants.held() == ["db:c", "node:b", "stack:a"]
    assert len({claim["fence"] for claim in claimants.board()}) == 1


@pytest.mark.parametrize(
    "label",
    [
        "disk:x",
        "stack:",
        ":x",
        "stack",
        "stack:a b",
        "stack:../../etc",
        f"stack:{'x' * 201}",
        "stack:a\x1b",
        "stack:a\n",
        "",
        "stack:a/",
        "stack:a//b",
        "stack:/a",
        "stack:a/./b",
        "stack:.",
        "stack:a/.",
    ],
)
def test_a_bad_label_is_wrong_usage_and_nothing_is_stored(claimants: Claimants, label: str) -> None:
    done = claimants.run("claim", label, "--purpose", "x")
    assert claimants.board() == []
    assert done.returncode == 2 and "\x1b" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("label", ["pvc:prometheus/prom-data", f"stack:{'a/' * 99}zz", "host:A.b_c@d-e"])
def test_a_name_of_all_that_is_allowed_round_trips(claimants: Claimants, label: str) -> None:
    claimants.ok("claim", label, "--purpose", "x")
    assert claimants.held() == [label]
    assert claimants.run("claim", label, "--purpose", "x", session="b").returncode == 4
    claimants.ok("release", label)
    assert claimants.held() == []


@pytest.mark.parametrize("args", [[], ["--purpose", ""], ["--purpose", " \t"]])
def test_without_a_purpose_nothing_is_claimed(claimants: Claimants, args: list[str]) -> None:
    assert claimants.run("claim", "stack:a", *args).returncode == 2
    assert claimants.board() == []


@pytest.mark.slow
def test_a_purpose_never_reaches_a_terminal_raw(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "red \x1b[31m\nsecond line")
    assert claimants.board()[0]["purpose"] == "red \x1b[31m\nsecond line"
    for done in (claimants.run("claims"), claimants.run("claims", "history"), claimants.run("release", "stack:a", session="b")):
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_neighbouring_label_is_another_one(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a.b", "--purpose", "x")
    claimants.ok("claim", "stack:a", "--purpose", "x", session="b")
    claimants.ok("claim", "stack:a/b", "--purpose", "x", session="c")
    assert claimants.held() == ["stack:a", "stack:a.b", "stack:a/b"]


@pytest.mark.slow
def test_stealing_wants_a_reason_and_is_told_to_the_history(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "mine")
    (before,) = claimants.board()
    assert claimants.run("claims", "steal", "stack:a", session="b").returncode == 2
    assert claimants.run("claims", "steal", "stack:a", "--reason", " ", session="b").returncode == 2
    assert claimants.board() == [before]
    claimants.ok("claims", "steal", "stack:a", "--reason", "on holiday", session="b")
    (after,) = claimants.board()
    assert after["holder"]["session"] == "b" and after["fence"] > before["fence"]
    events = json.loads(claimants.ok("claims", "history", "stack:a", "--json"))
    assert [(event["event"], event["reason"]) for event in events] == [
        ("claimed", None), ("stolen", "on holiday"), ("claimed", None),
    ]  # fmt: skip
    assert events[1]["by"]["session"] == "b" and events[1]["holder"]["session"] == "a"


@pytest.mark.slow
def test_renew_lengthens_a_fixed_lease_by_its_duration(claimants: Claimants) -> None:
    claimants.ok("claim", "node:n1", "--purpose", "one", "--for", "2h")
    (before,) = claimants.board()
    time.sleep(1.1)
    claimants.ok("claims", "renew")
    (after,) = claimants.board()
    assert after["expires_at"] > before["expires_at"] and after["fence"] == before["fence"]
    assert claimants.run("claims", "renew", "node:other").returncode == 3


@pytest.mark.slow
def test_an_advisory_claim_is_shown_keeps_nobody_out_and_tells_who_is_there(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "the work", session="b")
    done = claimants.run("claim", "stack:a", "--advisory", "--purpose", "looking", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["mode"] == "advisory" and "the work" in done.stderr
    assert [other["purpose"] for other in found["others"]] == ["the work"]
    assert claimants.held() == ["stack:a", "stack:a"]
    claimants.ok("release", "stack:a", session="b")
    claimants.ok("claim", "stack:a", "--purpose", "y", session="c")
    claimants.ok("claim", "stack:a", "--advisory", "--purpose", "looking on")
    assert claimants.run("claim", "stack:a", "--purpose", "z").returncode == 4
    claimants.ok("release", "stack:a")
    assert [claim["purpose"] for claim in claimants.board()] == ["y"]
    assert claimants.run("claim", "stack:a", "--advisory", "--shared", "--purpose", "x").returncode == 2
    claimants.ok("claim", "stack:b", "--advisory", "--purpose", "x", "--", "homelab", "claims", "--json")


@pytest.mark.slow
def test_the_board_of_some_labels_names_the_store(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "node:b", "--purpose", "x")
    assert [claim["label"] for claim in json.loads(claimants.ok("claims", "node:b", "stack:c", "--json"))] == ["node:b"]
    shown, empty = claimants.ok("claims", "stack:a"), claimants.ok("claims", "stack:c")
    name = str(claimants.root / "store") if claimants.url.startswith("file") else claimants.url.rpartition("/")[2]
    assert "stack:a" in shown and "node:b" not in shown and name in shown
    assert "nothing is claimed" in empty and name in empty
    assert name in json.loads(claimants.ok("claim", "stack:a", "--purpose", "y", "--json"))["store"]
    assert claimants.run("claims", "stack:a/").returncode == 2
    assert claimants.run("claims", "dns").returncode == 2


def test_an_unknown_kind_is_told_with_all_that_there_are(claimants: Claimants) -> None:
    done = claimants.run("claim", "router:pf", "--purpose", "x")
    assert done.returncode == 2 and "kind 'router'" in done.stderr
    assert all(kind in done.stderr for kind in ("node", "host", "stack", "service", "db", "pvc", "infra"))


def test_what_is_no_utf8_is_kept_and_shown_all_the_same(claimants: Claimants) -> None:
    done = subprocess.run(
        [os.fsencode(BIN / "homelab"), b"claim", b"stack:a", b"--purpose", b"caf\xe9"],
        cwd=claimants.root, env={**claimants.env, "HOMELAB_SESSION": "se\udce9"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert claimants.board()[0]["purpose"].startswith("caf")
