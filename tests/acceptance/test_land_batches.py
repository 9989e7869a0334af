"""Many land at once: how often something is verified, who lands, who is told what."""

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from homelab.git.repository import discover
from homelab.landing import batch, superseded
from homelab.landing.queue import Queue, Ticket
from homelab.landing.superseded import Reason
from homelab.landing.target import Target
from tests.support.landings import Crowd
from tests.support.waiting import eventually
from tests.support.world import World


@pytest.mark.slow
def test_eight_that_wait_land_with_one_verification(world: World) -> None:
    crowd = Crowd(world, [f"t{n}" for n in range(8)])
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    answers = crowd.land(queued=True)
    assert {answer["status"] for answer in answers.values()} == {"landed"}
    assert crowd.runs() == 1
    line = world.git("rev-list", "--first-parent", "master", cwd=world.remote).split()
    assert {answer["commit"] for answer in answers.values()} <= set(line)
    assert len(world.json("work", "log")) == 8
    assert not list((world.clone / ".git/homelab/queue").glob("*.lock"))


@pytest.mark.slow
def test_a_red_among_greens_is_found_and_the_others_land(world: World) -> None:
    crowd = Crowd(world, [f"t{n}" for n in range(5)])
    for name, path in crowd.places.items():
        world.commit({"bad" if name == "t2" else name: "1"}, cwd=path)
    answers = crowd.land()
    assert {name: answer["status"] for name, answer in answers.items()} == {
        name: "failed" if name == "t2" else "landed" for name in crowd.places
    }
    error = answers["t2"]["error"]
    assert isinstance(error, dict) and "is red" in error["message"]
    assert "it ended with 1" in (world.root / "t2.err").read_text()
    assert "bad" not in world.git("ls-tree", "--name-only", "master", cwd=world.remote).split()


@pytest.mark.slow
def test_greens_that_are_red_together_do_not_land_together(world: World) -> None:
    crowd = Crowd(world, ["a", "b"], "test ! -e a || test ! -e b")
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    assert sorted(str(answer["status"]) for answer in crowd.land().values()) == ["failed", "landed"]


@pytest.mark.parametrize(
    ("rules", "company"),
    [
        ({"Makefile": "check:\n\t@echo tested\n"}, 1),  # another suite is detected now
        ({"homelab.toml": '[[suite]]\nname = "s"\nrun = "true"\n'}, 1),
        ({"other": "1"}, 2),
    ],
)
def test_a_change_of_the_rules_configured_or_detected_lands_by_itself(
    world: World, rules: dict[str, str | bytes], company: int
) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    base = world.commit({"Makefile": "test:\n\t@echo tested\n"})
    first = world.commit(rules)
    world.git("checkout", "--quiet", base)
    second = world.commit({"b": "1"})
    repository = discover(world.clone)
    target = Target(repository, "origin", "master")
    # Whoever is in front, a change of the rules does not come along.
    for heads in ((first, second), (second, first)):
        with contextlib.ExitStack() as stack:
            places = [stack.enter_context(Queue(repository.state).drawn(repository.git_dir, "s")) for _ in heads]
            for place, head in zip(places, heads, strict=True):
                place.ready(head, head, alone=False)
            member = batch.bring(target, places[0].ticket, base, heads[0])
            assert len(batch.gather(target, member, lambda *_: None)) == company


def test_a_batch_waits_for_whoever_comes_and_for_what_they_bring(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = world.tip()
    heads = [world.commit({name: "1"}) for name in ("a", "b")]
    repository = discover(world.clone)
    target = Target(repository, "origin", "master")
    monkeypatch.setattr(batch, "size", lambda _: 2)
    for name in ("_LINGER", "_SLOWLY", "_PATIENCE"):
        monkeypatch.setattr(batch, name, 60.0)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Queue(repository.state).drawn(repository.git_dir, "s"))
        first.ready("a", heads[0], alone=False)

        def come() -> None:
            second = stack.enter_context(Queue(repository.state).drawn(repository.git_dir, "s"))
            time.sleep(0.1)
            second.ready("b", heads[1], alone=False)

        coming = threading.Timer(0.1, come)
        coming.start()
        members = batch.gather(target, batch.bring(target, first.ticket, base, heads[0]), lambda *_: None)
        coming.join()
    assert [member.merged.head for member in members] == heads


@pytest.mark.parametrize(("drawn", "seconds"), [([5.0], 0.12), ([5.0, 5.01], 0.12), ([5.0, 5.1, 5.4], 0.4), ([5.0, 9.0], 0.5)])
def test_a_batch_lingers_by_the_pace_of_its_tickets(drawn: list[float], seconds: float) -> None:
    assert batch._linger(drawn) == pytest.approx(seconds)


def test_a_red_that_was_taken_out_does_not_make_batches_smaller() -> None:
    greens = [{"status": "landed"}] * 5
    assert batch.size([*greens, {"status": "failed"}]) == batch.size(greens)
    assert batch.size([*greens, {"status": "failed"}, *greens]) < batch.size([*greens, *greens])


@pytest.mark.slow
def test_a_conflict_leaves_the_batch_and_the_others_go_on(world: World) -> None:
    crowd = Crowd(world, ["a", "b", "c"])
    for name, path in crowd.places.items():
        world.commit({"README" if name != "c" else "c": name}, cwd=path)
    answers = crowd.land()
    statuses = sorted(str(answer["status"]) for answer in answers.values())
    assert statuses == ["conflict", "landed", "landed"] and answers["c"]["status"] == "landed"
    loser = next(name for name, answer in answers.items() if answer["status"] == "conflict")
    assert world.git("diff", "--name-only", "--diff-filter=U", cwd=crowd.places[loser]) == "README"


@pytest.mark.slow
def test_stacks_are_verified_once_each(world: World) -> None:
    names = [f"t{n}" for n in range(4)]
    crowd = Crowd(world, names)
    world.publish({
        "homelab.toml": f'[[suite]]\nname = "s"\neach = "stacks/*"\nrun = "echo $PWD >> {crowd.count}; sleep 0.5"\n',
        **{f"stacks/{name}/f": "0" for name in names},
    })  # fmt: skip
    world.git("fetch", "--quiet")
    for name, path in crowd.places.items():
        world.git("reset", "--quiet", "--hard", "origin/master", cwd=path)
        world.commit({f"stacks/{name}/f": "1"}, cwd=path)
    assert world.homelab("verify", "origin/master").returncode == 0
    crowd.count.write_text("")
    assert {answer["status"] for answer in crowd.land(queued=True).values()} == {"landed"}
    assert sorted(Path(row).name for row in crowd.count.read_text().split()) == names


@pytest.mark.slow
def test_ones_own_way_of_verifying_lands_alone(world: World) -> None:
    crowd = Crowd(world, ["a", "b", "c"])
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    children = [crowd.start("a"), crowd.start("b", "--verify-cmd", "test ! -e never"), crowd.start("c", "--no-verify")]
    answers = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    assert [answer["status"] for answer in answers] == ["landed"] * 3
    verified = {entry["branch"]: entry["verified"] for entry in world.json("work", "log")}
    assert verified == {"ada/a": True, "ada/b": True, "ada/c": False}


@pytest.mark.slow
def test_each_commit_lands_one_by_one(world: World) -> None:
    crowd = Crowd(world, ["a", "b", "c"], extra="[land]\neach_commit = true")
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    assert {answer["status"] for answer in crowd.land().values()} == {"landed"}
    assert crowd.runs() == 3


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_leader_or_member_loses_nobody_else_a_place(world: World, victim: int) -> None:
    crowd = Crowd(world, ["a", "b", "c", "d"], nap=4)
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    children = []
    for name in crowd.places:
        children.append(crowd.start(name))
        deadline = time.monotonic() + 20
        while len(world.json("work", "queue")) < len(children) and children[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    os.kill(children[victim].pid, signal.SIGKILL)
    answers = [json.loads(child.communicate(timeout=60)[0] or b"{}") for child in children]
    assert [answer.get("status") for n, answer in enumerate(answers) if n != victim] == ["landed"] * 3
    name = list(crowd.places)[victim]
    assert world.homelab("work", "land", cwd=crowd.places[name]).returncode == 0
    files = world.git("ls-tree", "--name-only", "master", cwd=world.remote).split()
    assert {"a", "b", "c", "d"} <= set(files)
    assert world.json("work", "queue") == [] and not world.git("for-each-ref", "refs/homelab/landing/")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_one_that_is_gone_when_its_answer_comes_leaves_nothing_behind(world: World, how: signal.Signals) -> None:
    crowd = Crowd(world, ["a", "b"], nap=2)
    for name, path in crowd.places.items():
        world.commit({"bad" if name == "b" else name: "1"}, cwd=path)
    leader = crowd.start("a")
    eventually(lambda: world.json("work", "queue"))
    member = crowd.start("b")
    eventually(lambda: crowd.runs() >= 2)
    member.send_signal(how)
    member.communicate(timeout=60)
    assert json.loads(leader.communicate(timeout=60)[0])["status"] == "landed"
    assert [row["status"] for row in world.json("work", "log")] == ["failed", "landed"]
    for _ in range(2):
        assert world.homelab("work", "land", cwd=crowd.places["b"]).returncode == 1
    left = {path.name for path in (world.clone / ".git/homelab/queue").iterdir()}
    assert left <= {"last", "batch", "now"}  # numbers of tickets, which nobody has any more


def test_an_answer_to_an_earlier_ticket_of_the_same_number_is_not_ours(world: World) -> None:
    repository = discover(world.clone)
    with Queue(repository.state).drawn(repository.git_dir, "s") as place:
        place.queue.answer(place.ticket, {"status": "landed"})
        left = place.ticket.number
    place.queue.answer(place.ticket, {"status": "landed"})
    (repository.state / "queue/last").write_text(str(left - 1))  # as after a loss of power
    with Queue(repository.state).drawn(repository.git_dir, "s") as place:
        assert place.ticket.number == left and place.wait(lambda _: None) is None


@pytest.mark.slow
def test_the_queue_shows_who_waits_and_what_runs(world: World) -> None:
    crowd = Crowd(world, ["a", "b"], "sleep 5", extra="[land]\neach_commit = true")
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    children = [crowd.start(name) for name in crowd.places]
    deadline = time.monotonic() + 20
    rows: list[dict[str, object]] = []
    while (len(rows) < 2 or not all(row["branch"] for row in rows)) and time.monotonic() < deadline:
        rows = world.json("work", "queue")
    assert {row["branch"] for row in rows} == {"ada/a", "ada/b"} and [row["position"] for row in rows] == [0, 1]
    eventually(lambda: [row["running"] for row in world.json("work", "queue")] == [["s"], []])
    page = world.root / "page.html"
    for told in (["work", "queue"], ["status"], ["board", "--once", str(page)]):
        done = world.homelab(*told)
        assert "runs s" in done.stdout + (page.read_text() if page.exists() else ""), told
    for child in children:
        child.communicate(timeout=60)


@pytest.mark.slow
def test_hosts_that_share_a_claim_store_take_turns(world: World) -> None:
    crowd = Crowd(world, ["a"], extra="[land]\nmutex = true")
    world.commit({"a": "1"}, cwd=crowd.places["a"])
    elsewhere = {"HOMELAB_SESSION": "another-host"}
    claim = ["claim", "infra:land/origin/master", "--purpose", "landing there", "--for", "1h"]
    assert world.homelab(*claim, env=elsewhere).returncode == 0
    child = crowd.start("a")
    time.sleep(2)
    assert child.poll() is None and crowd.runs() == 0
    assert world.homelab("release", "infra:land/origin/master", env=elsewhere).returncode == 0
    assert json.loads(child.communicate(timeout=60)[0])["status"] == "landed"
    assert world.json("claims") == []


@pytest.mark.parametrize(
    ("pushed", "why"),
    [
        ({"stacks/c/f": "1"}, None),  # nothing that is being verified reads it
        ({"stacks/a/other": "1"}, Reason.MOVED),
        ({"stacks/a/f": "theirs"}, Reason.MOVED),  # a conflict: the run is for nothing
    ],
)
def test_a_run_is_given_up_when_its_inputs_have_moved(
    world: World, monkeypatch: pytest.MonkeyPatch, pushed: dict[str, str | bytes], why: Reason | None
) -> None:
    world.publish(
        {"homelab.toml": '[[suite]]\nname = "s"\neach = "stacks/*"\nrun = "true"\n', "stacks/a/f": "0", "stacks/b/f": "0"}
    )
    base = world.tip()
    world.git("fetch", "--quiet")
    repository = discover(world.clone)
    target = Target(repository, "origin", "master")
    members: list[batch.Member] = []
    for number, name in enumerate(("a", "b")):
        world.git("checkout", "--quiet", base)
        head = world.commit({f"stacks/{name}/f": "1"})
        on = members[-1].commit if members else base
        members.append(batch.bring(target, Ticket(number, "ada", "here", "s", 1, "now", "w", name, head), on, head))
    seen = superseded.Watch(target, members, 0, may_grow=False)
    seen.begin(members[-1].commit, members[-1].demand)
    monkeypatch.setattr(superseded, "_REMOTE", -1.0)
    assert not seen()
    world.publish(pushed)
    assert (seen(), seen.why) == (why is not None, why)


@pytest.mark.slow
def test_only_a_moved_target_counts_as_an_attempt_in_vain(world: World) -> None:
    crowd = Crowd(world, ["a", "b"], extra="[land]\nattempts = 1", nap=2)
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    leader = crowd.start("a")
    eventually(lambda: crowd.runs() >= 1)
    member = crowd.start("b")  # the queue has grown: all begins anew
    eventually(lambda: crowd.runs() >= 2)
    member.send_signal(signal.SIGINT)  # it has left: all begins anew
    member.communicate(timeout=60)
    assert json.loads(leader.communicate(timeout=60)[0])["status"] == "landed"


@pytest.mark.slow
def test_what_is_red_before_holds_up_no_batch_and_stands_in_no_trailer(world: World) -> None:
    crowd = Crowd(world, ["a", "b"])
    suite = '[[suite]]\nname = "s"\neach = "stacks/*"\nrun = "test ! -e red"\n'
    world.publish({"homelab.toml": suite, "stacks/old/red": "", "stacks/new/f": ""})
    for name, path in crowd.places.items():
        world.commit({f"stacks/{name}/f": "1"}, cwd=path)
    answers = crowd.land(queued=True)
    assert {answer["status"] for answer in answers.values()} == {"landed"}
    for answer in answers.values():
        assert isinstance(answer["suites"], list)
        assert {row["dir"]: row["result"] for row in answer["suites"]}["stacks/old"] == "red-before"
    assert "looking for what is red" not in "".join((world.root / f"{name}.err").read_text() for name in crowd.places)
    messages = world.git("log", "--format=%B", "-3", "master", cwd=world.remote)
    assert "Homelab-Verified: s (stacks/a)" in messages and "stacks/old" not in messages
    assert all(row["counts"]["red-before"] == 1 for row in world.json("work", "log"))
    assert "1 red before" in world.homelab("work", "log").stdout


@pytest.mark.slow
def test_what_cannot_run_here_ends_a_batch_without_a_search(world: World) -> None:
    crowd = Crowd(world, ["a", "b"])
    world.publish({"homelab.toml": '[[suite]]\nname = "s"\nrun = "nothere-cmd"\n'})
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    before = world.tip()
    answers = crowd.land(queued=True)
    assert {answer["status"] for answer in answers.values()} == {"refused"} and world.tip() == before
    said = "".join((world.root / f"{name}.err").read_text() for name in crowd.places)
    assert "something cannot run here; landing alone" in said and "looking for what is red" not in said


@pytest.mark.slow
def test_who_leads_lands_nobody_elses_change_of_a_stack_that_it_holds(world: World) -> None:
    crowd = Crowd(world, ["holder", "other", "third"], extra="[gate]\nclaims = true")
    claim = ["claim", "stack:dns", "--purpose", "apply", "--for", "1h"]
    assert world.homelab(*claim, cwd=crowd.places["holder"]).returncode == 0
    world.commit({"stacks/dns/own.tf": "1"}, cwd=crowd.places["holder"])
    world.commit({"stacks/dns/theirs.tf": "1"}, cwd=crowd.places["other"])
    world.commit({"stacks/web/main.tf": "1"}, cwd=crowd.places["third"])
    repository = discover(world.clone)
    queue, children = Queue(repository.state), {}
    with queue.drawn(repository.git_dir, "ahead"):
        for name in crowd.places:  # in this order, so that who holds the stack leads
            children[name] = crowd.start(name)
            eventually(lambda: sum(ticket.head is not None for ticket in queue.waiting()) == len(children))
    answers = {name: json.loads(child.communicate(timeout=60)[0])["status"] for name, child in children.items()}
    assert answers == {"holder": "landed", "other": "refused", "third": "landed"}
    there = world.git("ls-tree", "-r", "--name-only", "master", "stacks", cwd=world.remote).split()
    assert there == ["stacks/dns/own.tf", "stacks/web/main.tf"]
