"""What only a server can do to claims: not answer, crash, freeze, fail over; and who may do what in it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from homelab.claims import heartbeat, locate
from homelab.claims.model import Binding
from homelab.claims.stores import postgres
from homelab.claims.stores.base import Taken
from homelab.errors import HomelabError
from tests.support.claimants import Claimants, claimants, request
from tests.support.postgres import Proxy, Server, database, discard, launch
from tests.support.waiting import eventually


@pytest.fixture
def on_server(server: Server, tmp_path: Path) -> Iterator[Claimants]:
    """Sessions that share a prepared database."""
    with claimants(tmp_path, database(server)) as made:
        made.ok("claims", "init-store")
        yield made


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[Server, Claimants]]:
    """A server for one test to maltreat, and sessions on it."""
    server = launch()
    try:
        with claimants(tmp_path, database(server)) as made:
            made.ok("claims", "init-store")
            yield server, made
    finally:
        discard(server)


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True])
def test_a_store_that_does_not_answer_is_told_in_five_seconds_and_nothing_starts(on_files: Claimants, silent: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not silent:
            listener.close()
        env = {"HOMELAB_CLAIMS": f"postgresql://ada:secret@127.0.0.1:{port}/none"}
        begun = time.monotonic()
        on_files.ok("claims")
        start = time.monotonic() - begun  # what the program takes here and now, which a busy machine makes many times as much
        for args in (["claim", "stack:a", "--purpose", "x", "--", "touch", "ran"], ["claims", "--json"]):
            begun = time.monotonic()
            done = on_files.run(*args, env=env)
            assert time.monotonic() - begun - start < 4.8  # with the start, less than the five seconds that are promised
            assert done.returncode == 7 and "secret" not in done.stderr + done.stdout
        assert json.loads(done.stdout)["error"]["kind"] == "unreachable"
    assert not (on_files.root / "ran").exists()


@pytest.mark.slow
def test_claims_exclude_whatever_encoding_the_client_asks_for(server: Server, on_server: Claimants) -> None:
    service = on_server.root / "service.conf"
    service.write_text("[other]\nclient_encoding=SQL_ASCII\n")
    askers: list[dict[str, str]] = [
        {"PGCLIENTENCODING": "SQL_ASCII"},
        {"HOMELAB_CLAIMS": f"{on_server.url}?client_encoding=SQL_ASCII"},
        {"HOMELAB_CLAIMS": f"{on_server.url}?options=-c%20client_encoding%3DSQL_ASCII"},
        {"HOMELAB_CLAIMS": f"{on_server.url}?service=other", "PGSERVICEFILE": str(service)},
        {"PGCLIENTENCODING": "LATIN1"},
    ]
    for number, env in enumerate(askers):
        label = f"stack:a{number}"
        on_server.ok("claim", label, "--purpose", "caf\u00e9", env=env)
        assert on_server.run("claim", label, "--purpose", "y", session="b", env=env).returncode == 4
        assert on_server.run("claim", label, "--purpose", "y", session="b").returncode == 4
    assert len(on_server.board()) == len(askers)


@pytest.mark.slow
def test_a_database_that_cannot_hold_every_purpose_is_refused(server: Server, on_files: Claimants) -> None:
    for encoding in ("SQL_ASCII", "LATIN1"):
        name = f"enc_{encoding.lower()}"
        server.execute(
            "postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        done = on_files.run("claims", "init-store", env={"HOMELAB_CLAIMS": server.url(name)})
        assert done.returncode == 3 and encoding in done.stderr
        assert not server.execute(name, "SELECT 1 FROM pg_namespace WHERE nspname = 'homelab'")


@pytest.mark.slow
def test_a_row_that_nobody_understands_closes_the_store(server: Server, on_server: Claimants) -> None:
    name = on_server.url.rpartition("/")[2]
    on_server.ok("claim", "stack:a", "--purpose", "x")
    source = server.execute(
        name, "SELECT pg_get_functiondef('homelab.board'::regproc), pg_get_functiondef('homelab.enter'::regproc)"
    )
    for definition in source[0]:
        server.execute(name, definition.replace("'claim', ", "'lease', "))
    assert on_server.run("claims").returncode == 7
    assert on_server.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 7


PASSWORDS = ["hunt@er2secret", "hunter2%secret", "hunter2 secret", "hunter2/secret", "hunter2:sec@ret", "hunter2?secret#x"]


@pytest.mark.parametrize(
    "form", ["postgresql://ann:{}@nohost.invalid/c", "mysql://ann:{}@db", "host=nohost.invalid password={}"]
)
@pytest.mark.parametrize("password", PASSWORDS)
def test_no_spelling_of_a_password_is_repeated(password: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: what is tried is what becomes of the words.
    with pytest.raises(HomelabError) as caught:
        locate.open(form.format(password))
    words = f"{caught.value.message} {caught.value.hint} {caught.value.fields}"
    for piece in ("hunter2", "secret", "er2", "ret"):
        assert piece not in words.replace("retry", ""), words


@pytest.mark.slow
def test_a_note_of_a_lease_keeps_no_password_and_still_renews(on_server: Claimants) -> None:
    env = {"HOMELAB_CLAIMS": on_server.url.replace("postgres@", "postgres:hunter2@")}
    on_server.ok("claim", "stack:vault", "--purpose", "one", env=env)
    (before,) = on_server.board()
    (note,) = (on_server.root / "home/.local/state/homelab/leases").iterdir()
    assert "hunter2" not in note.read_text()
    time.sleep(1.1)
    on_server.ok("manifest", env=env)
    assert on_server.board()[0]["expires_at"] > before["expires_at"]


@pytest.mark.slow
def test_a_schema_that_somebody_else_made_is_not_taken_over(server: Server, on_files: Claimants) -> None:
    url = database(server)
    name = url.rpartition("/")[2]
    server.execute(name, f"CREATE ROLE o{name}")
    server.execute(name, f"CREATE SCHEMA homelab AUTHORIZATION o{name}")
    done = on_files.run("claims", "init-store", env={"HOMELAB_CLAIMS": url})
    assert done.returncode == 3 and f"o{name}" in done.stderr
    assert not server.execute(name, "SELECT 1 FROM pg_proc WHERE pronamespace = 'homelab'::regnamespace")


@pytest.mark.slow
def test_what_the_database_says_is_unreachable_only_where_it_is(server: Server, on_server: Claimants) -> None:
    assert on_server.run("claims", "init-store", "--grant", "nosuchrole").returncode == 2
    name = on_server.url.rpartition("/")[2]
    server.execute(name, "CREATE OR REPLACE FUNCTION homelab.tell(the_event jsonb) RETURNS void LANGUAGE sql AS 'SELECT 1/0'")
    done = on_server.run("claim", "stack:a", "--purpose", "x")
    assert done.returncode == 3 and "division by zero" in done.stderr
    assert on_server.board() == []
    on_server.ok("claims", "init-store")
    on_server.ok("claim", "stack:a", "--purpose", "x")


@pytest.mark.slow
def test_a_claim_whose_heartbeat_stays_away_says_when_it_ends(server: Server, on_server: Claimants) -> None:
    with closing(locate.open(on_server.url)) as store:
        assert isinstance(store.attempt(request(binding=Binding.PROCESS)), Taken)
    assert on_server.board()[0]["state"] == "held"
    name = on_server.url.rpartition("/")[2]
    server.execute(name, "UPDATE homelab.claim SET expires_at = clock_timestamp() + interval '9 s'")
    (claim,) = on_server.board()
    assert claim["state"] == "orphaned" and claim["expires_at"]
    assert "if nobody answers for it" in on_server.ok("claims")


@pytest.mark.slow
def test_a_database_without_the_schema_names_the_command_that_makes_it(server: Server, tmp_path: Path) -> None:
    with claimants(tmp_path, database(server)) as made:
        done = made.run("claim", "stack:a", "--purpose", "x")
        assert done.returncode == 7 and "homelab claims init-store" in done.stderr
        for _ in range(2):
            made.ok("claims", "init-store")
        made.ok("claim", "stack:a", "--purpose", "x")
        made.ok("claims", "init-store")
        assert made.held() == ["stack:a"]


@pytest.mark.slow
def test_a_role_can_do_no_more_than_the_functions(server: Server, on_server: Claimants) -> None:
    name = on_server.url.rpartition("/")[2]
    role = f"r{name}"
    server.execute("postgres", f"CREATE ROLE {role} LOGIN")
    theirs = {"HOMELAB_CLAIMS": server.url(name, role)}
    assert on_server.run("claim", "stack:a", "--purpose", "x", env=theirs).returncode == 3
    on_server.ok("claims", "init-store", "--grant", role)
    on_server.ok("claim", "stack:a", "--purpose", "x", env=theirs)
    on_server.ok("claim", "stack:b", "--purpose", "x", "--", "true", env=theirs)
    on_server.ok("release", "stack:a", env=theirs)
    assert len(json.loads(on_server.ok("claims", "history", "--json", env=theirs))) == 4
    with psycopg.connect(server.url(name, role), autocommit=True) as connection:
        for query in ("DELETE FROM homelab.event", "SELECT * FROM homelab.claim", "SELECT nextval('homelab.number')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query.encode())


@pytest.mark.slow
def test_a_server_that_crashes_during_a_command_keeps_its_claim(own_server: tuple[Server, Claimants]) -> None:
    server, sessions = own_server
    script = sessions.script("cmd", "touch ready; while [ ! -e stop ]; do sleep 0.05; done; exit 7")
    child = sessions.start("claim", "stack:a", "--purpose", "x", "--", script)
    eventually((sessions.root / "ready").exists)
    fence = sessions.board()[0]["fence"]
    server.stop("immediate")
    assert sessions.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 7
    server.start()
    assert sessions.held() == ["stack:a"]
    assert sessions.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 4
    (sessions.root / "stop").touch()
    assert child.wait(20) == 7
    assert sessions.board() == []
    sessions.ok("claim", "stack:a", "--purpose", "y", session="b")
    assert sessions.board()[0]["fence"] > fence


@pytest.mark.slow
def test_the_holder_behind_a_frozen_connection_knows_of_its_loss_before_anyone_gets_the_claim(
    server: Server, on_server: Claimants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 5.0)
    proxy = Proxy(server.port)
    told: list[tuple[float, str]] = []
    try:
        url = on_server.url.replace(str(server.port), str(proxy.port))
        asked = request(binding=Binding.PROCESS)
        with closing(locate.open(url)) as store:
            assert isinstance(store.attempt(asked), Taken)
        beating = heartbeat.Heart(
            partial(locate.reopen, url), 5.0, asked.id, asked.labels, lambda words: told.append((time.monotonic(), words))
        )
        beating.start()
        time.sleep(6)
        assert on_server.held() == ["stack:a"] and told == []
        proxy.frozen = True
        with closing(locate.open(on_server.url)) as other:
            found = other.wait(request(session="b", binding=Binding.PROCESS), 20, lambda *_: None)
        granted = time.monotonic()
        assert isinstance(found, Taken)
        ((moment, words),) = told
        assert words == "silent stack:a" and moment < granted
        proxy.frozen = False
        eventually(lambda: len(told) == 2)
        assert told[1][1] == "gone stack:a"
        beating.stop()
        beating.join(20)
    finally:
        proxy.frozen = False
        proxy.close()


@pytest.mark.slow
def test_fences_grow_across_a_failover_that_loses_claims(own_server: tuple[Server, Claimants]) -> None:
    server, sessions = own_server
    sessions.ok("claim", "stack:a", "--purpose", "x", "--for", "1h")
    standby = Server(server.binaries, server.folder.parent / "standby", server.port + 1)
    server.run(
        "pg_basebackup", "-D", standby.folder, "-R", "-c", "fast", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"
    )
    sessions.ok("claim", "stack:c", "--purpose", "lost with the primary")
    highest = max(claim["fence"] for claim in sessions.board())
    server.stop("immediate")
    try:
        standby.start()
        standby.run("pg_ctl", "-D", standby.folder, "-w", "promote")
        name = sessions.url.rpartition("/")[2]
        both = {"HOMELAB_CLAIMS": f"postgresql://postgres@127.0.0.1:{server.port},127.0.0.1:{standby.port}/{name}"}
        assert [claim["label"] for claim in json.loads(sessions.ok("claims", "--json", env=both))] == ["stack:a"]
        sessions.ok("claim", "stack:c", "--purpose", "after", session="b", env=both)
        (after,) = [c for c in json.loads(sessions.ok("claims", "--json", env=both)) if c["label"] == "stack:c"]
        assert highest < after["fence"] < 2**53
    finally:
        standby.stop("immediate")


@pytest.mark.slow
def test_fences_grow_in_a_database_that_was_made_anew(on_server: Claimants, server: Server) -> None:
    name = on_server.url.rpartition("/")[2]
    fences = []
    for _ in range(3):
        fences += [
            json.loads(on_server.ok("claim", label, "--purpose", "x", "--json"))["fence"] for label in ("stack:a", "stack:b")
        ]
        server.execute("postgres", f"DROP DATABASE {name}")
        server.execute("postgres", f"CREATE DATABASE {name}")
        on_server.ok("claims", "init-store")
    assert fences == sorted(set(fences)) and fences[-1] < 2**53


@pytest.mark.slow
def test_when_homelab_is_killed_the_keeper_goes_on_renewing(
    on_server: Claimants, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = on_server.script("cmd", "touch ready; while [ ! -e stop ]; do sleep 0.05; done")
    child = on_server.start("claim", "stack:a", "--purpose", "x", "--", script)
    eventually((on_server.root / "ready").exists)
    name = on_server.url.rpartition("/")[2]
    time.sleep(2)
    child.send_signal(signal.SIGKILL)
    first = server.execute(name, "SELECT expires_at FROM homelab.claim")
    eventually(lambda: server.execute(name, "SELECT expires_at FROM homelab.claim") > first, 15)
    (on_server.root / "stop").touch()
    eventually(lambda: on_server.board() == [])
    assert on_server.events("stack:a") == ["claimed", "released"]


@pytest.mark.slow
def test_fifty_claimants_of_one_label_never_overlap_and_see_no_error(on_server: Claimants) -> None:
    inside, most, failures = 0, 0, []
    lock = threading.Lock()

    def claimant(number: int) -> None:
        nonlocal inside, most
        try:
            with closing(locate.open(on_server.url)) as store:
                for _ in range(3):
                    asked = request(session=f"s{number}", binding=Binding.PROCESS)
                    assert isinstance(store.wait(asked, 60, lambda *_: None), Taken)
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0.005)
                    with lock:
                        inside -= 1
                    assert store.end(asked.id, asked.labels) == []
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=claimant, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failures == [] and most == 1
    assert on_server.board() == []


@pytest.mark.slow
def test_a_lease_of_ours_in_a_store_that_went_away_does_not_make_anyone_wait_twice(
    on_server: Claimants, server: Server
) -> None:
    proxy = Proxy(server.port)
    env = {"HOMELAB_CLAIMS": on_server.url.replace(str(server.port), str(proxy.port))}
    on_server.ok("claim", "stack:a", "--purpose", "x", env=env)
    proxy.frozen = True
    try:
        for args in (["claim", "stack:b", "--purpose", "x"], ["claims"], ["manifest"]):
            asked = proxy.asked
            assert on_server.run(*args, env=env).returncode == (0 if args == ["manifest"] else 7)
            assert proxy.asked == asked + 1, args
        asked = proxy.asked
        on_server.ok("manifest", env=env)
        assert proxy.asked == asked, "nobody waits for it again so soon"
    finally:
        proxy.frozen = False
        proxy.close()


def test_a_url_that_libpq_does_not_understand_is_wrong_usage(on_files: Claimants) -> None:
    assert on_files.run("claims", env={"HOMELAB_CLAIMS": "postgresql://h/d?no_such_option=1"}).returncode == 2


@pytest.fixture
def pooled(server: Server, on_server: Claimants) -> Iterator[Claimants]:
    """The same sessions behind a pooler that gives every transaction another connection."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("pgbouncer is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hlpool"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
    )
    folder.chmod(0o755)
    other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    pooler = subprocess.Popen([program, "-q", folder / "ini"], stderr=subprocess.DEVNULL, **other)
    direct = on_server.env["HOMELAB_CLAIMS"]
    try:
        on_server.env["HOMELAB_CLAIMS"] = direct.replace(str(server.port), str(port))
        eventually(lambda: on_server.run("claims").returncode == 0)
        yield on_server
    finally:
        pooler.kill()
        pooler.wait()
        on_server.env["HOMELAB_CLAIMS"] = direct
        shutil.rmtree(folder)


@pytest.mark.slow
def test_behind_a_pooler_claims_exclude_and_waiters_get_their_turn(pooled: Claimants) -> None:
    pooled.ok("claim", "stack:a", "--purpose", "first")
    assert pooled.run("claim", "stack:a", "--purpose", "y", session="b").returncode == 4
    waiters = []
    script = pooled.script("cmd", "mkdir busy || exit 9; echo $HOMELAB_SESSION >> order; sleep 0.1; rmdir busy")
    for name in ("b", "c", "d"):
        waiters.append(pooled.start("claim", "stack:a", "--purpose", name, "--wait", "60s", "--", script, session=name))
        eventually(lambda: len(pooled.board()[0]["waiting"]) == len(waiters))
    pooled.ok("release", "stack:a")
    assert [waiter.wait(60) for waiter in waiters] == [0, 0, 0]
    assert (pooled.root / "order").read_text().split() == ["b", "c", "d"]
    assert pooled.board() == []
