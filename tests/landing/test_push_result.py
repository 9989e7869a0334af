"""What became of a push: every case made by a real server that says no, dies, races or lies; then git's and the forges' words.

A case makes its push and returns how it ended. The remote is asked as publishing asks it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from homelab.git.repository import discover
from homelab.landing import publish, target
from homelab.landing.push_result import Outcome, Pushed, Seen, classify, review_url, words
from homelab.landing.target import Target
from tests.support.smart_http import Faults, serving
from tests.support.world import World

OURS, SAME, THEIRS = "ours", "unchanged", "someone else's"


@dataclass
class Scene:
    """A clone whose branch has one commit more than the remote's master, to be pushed there."""

    world: World
    branch: str = "master"
    base: str | None = ""
    commit: str = ""
    http: Callable[[], tuple[str, Faults]] = field(default=lambda: ("", Faults()))

    @property
    def target(self) -> Target:
        """The branch as publishing sees it."""
        return Target(discover(self.world.clone), "origin", self.branch)

    def push(self) -> Pushed:
        """Push as publishing does."""
        return self.target.push(self.commit, self.target.ref, publish.lease(self.target, self.base))

    def git_push(self, *args: str) -> Pushed:
        """Push with other arguments than publishing's."""
        done = discover(self.world.clone).run("push", "--porcelain", *args)
        return Pushed(done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace"))

    def plain(self, *args: str) -> Pushed:
        """Push without a lease."""
        return self.git_push(*args, "--", "origin", f"{self.commit}:refs/heads/{self.branch}")

    def seen(self) -> Seen:
        """Return what the remote answers."""
        return publish.look(self.target, self.commit, self.base)

    def hook(self, name: str, body: str) -> Pushed:
        """Push to a server with this hook."""
        self.world.server_hook(name, body)
        return self.push()

    def proc_receive(self, reason: str, *said: str) -> Pushed:
        """Push to a server that answers in the bracket and in the words of a forge."""
        self.world.git("config", "receive.procReceiveRefs", "refs/heads", cwd=self.world.remote)
        script = self.world.root / "proc-receive.py"
        script.write_text(_PROC_RECEIVE.format(reason=reason, said="\n".join(said)))
        return self.hook("proc-receive", f"exec python3 {script}")

    def config(self, name: str, value: str) -> Pushed:
        """Push to a server that is configured so."""
        self.world.git("config", name, value, cwd=self.world.remote)
        return self.push()

    def url(self, address: str) -> Pushed:
        """Push to another address."""
        self.world.git("remote", "set-url", "origin", address)
        return self.push()


_PROC_RECEIVE = '''
import sys
i, o = sys.stdin.buffer, sys.stdout.buffer
def read():
    size = int(i.read(4) or b"0", 16)
    return i.read(size - 4) if size else None
def send(text):
    o.write(b"%04x" % (len(text) + 4) + text)
while read(): pass
send(b"version=1\\n"); o.write(b"0000"); o.flush()
refs = []
while row := read(): refs.append(row.split()[2])
sys.stderr.write("""{said}\\n"""); sys.stderr.flush()
for ref in refs: send(b"ng " + ref + b" {reason}\\n")
o.write(b"0000"); o.flush()
'''

Case = Callable[[Scene], Pushed]
CASES: dict[str, tuple[Outcome, str, Case]] = {}


def case(expected: Outcome, after: str = SAME) -> Callable[[Case], Case]:
    """Register a case, what it is to be judged as, and where the remote's branch is afterwards."""

    def register(function: Case) -> Case:
        CASES[function.__name__] = (expected, after, function)
        return function

    return register


@pytest.fixture
def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    base = world.tip()
    world.git("switch", "--quiet", "-c", "ada/x")
    opened = []

    def http() -> tuple[str, Faults]:
        server = serving(world.root, world.env)
        opened.append(server)
        address, faults = server.__enter__()
        world.git("config", "http.receivepack", "true", cwd=world.remote)
        world.git("remote", "set-url", "origin", f"{address}/remote.git")
        return address, faults

    made = Scene(world, base=base, commit=world.commit({"x": "1"}), http=http)
    yield made
    for server in opened:
        server.__exit__(None, None, None)


def place(scene: Scene) -> str:
    tip = scene.world.tip(f"refs/heads/{scene.branch}")
    return OURS if tip == scene.commit else SAME if tip == (scene.base or "") else THEIRS


# What gets through, and what others have moved.


@case(Outcome.LANDED, OURS)
def ok_fast_forward(s: Scene) -> Pushed:
    return s.plain()


@case(Outcome.LANDED, OURS)
def ok_up_to_date(s: Scene) -> Pushed:
    s.plain()
    return s.plain()


@case(Outcome.LANDED, OURS)
def ok_new_branch(s: Scene) -> Pushed:
    s.branch, s.base = "fresh", None
    return s.push()


@case(Outcome.LANDED, OURS)
def lease_ok_ff(s: Scene) -> Pushed:
    return s.push()


@case(Outcome.LANDED, THEIRS)
def landed_and_moved_on(s: Scene) -> Pushed:
    pushed = s.push()
    s.world.publish({"theirs": "1"})
    return pushed


@case(Outcome.MOVED, THEIRS)
def nonff_known_locally(s: Scene) -> Pushed:
    s.world.publish({"theirs": "1"})
    s.world.git("fetch", "--quiet")
    return s.plain()


@case(Outcome.MOVED, THEIRS)
def nonff_fetch_first(s: Scene) -> Pushed:
    s.world.publish({"theirs": "1"})
    return s.plain()


@case(Outcome.MOVED, THEIRS)
def lease_stale_info(s: Scene) -> Pushed:
    s.world.publish({"theirs": "1"})
    return s.push()


@case(Outcome.MOVED, THEIRS)
def lease_if_includes(s: Scene) -> Pushed:
    s.world.publish({"theirs": "1"})
    s.world.git("fetch", "--quiet")
    s.world.git("switch", "--quiet", "master")  # tracks origin/master, and its reflog has never seen theirs
    return s.plain("--force-with-lease=master", "--force-if-includes")


def _rolled_back(s: Scene) -> None:
    bad = s.world.publish({"leaked": "1"})
    s.world.git("fetch", "--quiet")
    s.world.git("reset", "--quiet", "--hard", bad)
    s.base, s.commit = bad, s.world.commit({"x": "1"})
    s.world.git("update-ref", "refs/heads/master", f"{bad}^", cwd=s.world.remote)


@case(Outcome.LANDED, OURS)
def rolledback_master_plain(s: Scene) -> Pushed:
    _rolled_back(s)
    return s.plain()


@case(Outcome.MOVED, THEIRS)
def rolledback_master_lease(s: Scene) -> Pushed:
    _rolled_back(s)
    return s.push()


# What a server's hooks and settings say.


@case(Outcome.DECLINED)
def pre_receive_declined(s: Scene) -> Pushed:
    return s.hook("pre-receive", "echo 'error: policy says no' >&2; exit 1")


@case(Outcome.DECLINED)
def pre_receive_gitlab_text(s: Scene) -> Pushed:
    return s.hook(
        "pre-receive", "echo 'GitLab: You are not allowed to push code to protected branches on this project.'; exit 1"
    )


@case(Outcome.DECLINED)
def pre_receive_gitea_text(s: Scene) -> Pushed:
    return s.hook("pre-receive", "echo 'Gitea: Not allowed to push to protected branch master' >&2; exit 1")


@case(Outcome.BUSY)
def pre_receive_gitlab_down(s: Scene) -> Pushed:
    return s.hook("pre-receive", "echo 'GitLab: Internal API error (502)' >&2; exit 1")


@case(Outcome.DECLINED)
def update_hook_declined(s: Scene) -> Pushed:
    return s.hook("update", "echo 'update says no' >&2; exit 1")


@case(Outcome.OPEN)
def reference_transaction_declined(s: Scene) -> Pushed:
    return s.hook("reference-transaction", 'echo "reftx says no" >&2; test "$1" != prepared')


@case(Outcome.DECLINED)
def github_protected_branch(s: Scene) -> Pushed:
    return s.proc_receive(
        "protected branch hook declined",
        "error: GH006: Protected branch update failed for refs/heads/master.",
        "error: Changes must be made through a pull request.",
    )


@case(Outcome.DECLINED)
def github_ruleset(s: Scene) -> Pushed:
    return s.proc_receive(
        "push declined due to repository rule violations",
        "error: GH013: Repository rule violations found for refs/heads/master.",
        "- Changes must be made through the merge queue",
    )


SECRET = (
    "error: GH013: Repository rule violations found for refs/heads/master.",
    "- GITHUB PUSH PROTECTION",
    "    - Push cannot contain secrets",
)


@case(Outcome.CONTENT)
def github_secret(s: Scene) -> Pushed:
    return s.proc_receive("push declined due to repository rule violations", *SECRET)


@case(Outcome.CONTENT)
def github_large_file(s: Scene) -> Pushed:
    return s.proc_receive("pre-receive hook declined", "error: GH001: Large files detected.")


@case(Outcome.BUSY)
def github_cannot_lock(s: Scene) -> Pushed:
    return s.proc_receive(f"cannot lock ref 'refs/heads/master': is at {s.base} but expected {s.base}")


@case(Outcome.BUSY)
def github_stumbles(s: Scene) -> Pushed:
    return s.proc_receive("Internal Server Error")


@case(Outcome.MOVED, THEIRS)
def race_same_time(s: Scene) -> Pushed:
    """The server's own hook lets somebody else in between the question and the update."""
    other = s.world.root / "theirs"
    s.world.git("clone", "--quiet", s.world.remote, other, cwd=s.world.root)
    theirs = s.world.commit({"theirs": "1"}, cwd=other)
    s.world.git("push", "--quiet", "origin", "HEAD:refs/heads/other", cwd=other)
    return s.hook("update", f"git update-ref refs/heads/master {theirs}")


@case(Outcome.BUSY)
def server_ref_locked(s: Scene) -> Pushed:
    (s.world.remote / "refs/heads/master.lock").touch()
    return s.push()


@case(Outcome.CHECKED_OUT)
def deny_current_branch(s: Scene) -> Pushed:
    return s.config("core.bare", "false")


@case(Outcome.DECLINED)
def hidden_ref(s: Scene) -> Pushed:
    s.base = None
    s.branch = "hidden"
    return s.config("receive.hideRefs", "refs/heads/hidden")


@case(Outcome.MOVED, THEIRS)
def deny_nonff_force(s: Scene) -> Pushed:
    s.world.git("config", "receive.denyNonFastForwards", "true", cwd=s.world.remote)
    theirs = s.world.publish({"theirs": "1"})
    return s.plain(f"--force-with-lease=refs/heads/master:{theirs}")


@case(Outcome.CONTENT)
def max_input_size(s: Scene) -> Pushed:
    s.commit = s.world.commit({"big": os.urandom(4000)})
    return s.config("receive.maxInputSize", "1000")


@case(Outcome.CONTENT)
def fsck_reject(s: Scene) -> Pushed:
    tree = s.world.git("rev-parse", "HEAD^{tree}")
    text = f"tree {tree}\nparent {s.base}\nauthor A <a@b> 99999999999999999999 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"
    s.commit = s.world.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", input=text)
    return s.config("receive.fsckObjects", "true")


@case(Outcome.DECLINED)
def atomic_one_rejected(s: Scene) -> Pushed:
    s.world.server_hook("update", 'test "$1" != refs/heads/master')
    return s.git_push("--atomic", "origin", f"{s.commit}:refs/heads/master", f"{s.commit}:refs/heads/free")


@case(Outcome.MOVED, THEIRS)
def atomic_nonff(s: Scene) -> Pushed:
    s.world.publish({"theirs": "1"})
    return s.git_push("--atomic", "origin", f"{s.commit}:refs/heads/master", f"{s.commit}:refs/heads/free")


@case(Outcome.CONTENT)
def branch_name_collides(s: Scene) -> Pushed:
    s.world.git("update-ref", "refs/heads/t", s.base or "", cwd=s.world.remote)
    s.branch, s.base = "t/feat", None
    return s.push()


# What does not reach the server, or is said by this clone.


@case(Outcome.UNREACHABLE)
def broken_server_repo(s: Scene) -> Pushed:
    (s.world.remote / "HEAD").rename(s.world.remote / "HEAD.away")
    pushed = s.push()
    assert s.seen() == Seen(False)
    (s.world.remote / "HEAD.away").rename(s.world.remote / "HEAD")
    return pushed


@case(Outcome.LOCAL)
def local_pre_push_hook(s: Scene) -> Pushed:
    hook = s.world.clone / ".git/hooks/pre-push"
    hook.write_text("#!/bin/sh\necho 'a test timed out, Broken pipe' >&2\necho said on stdout\nexit 1\n")
    hook.chmod(0o755)
    return s.push()


@case(Outcome.UNREACHABLE)
def no_such_remote_path(s: Scene) -> Pushed:
    return s.url(str(s.world.root / "nowhere.git"))


@case(Outcome.UNREACHABLE)
def no_such_remote_name(s: Scene) -> Pushed:
    s.world.git("remote", "remove", "origin")
    return s.push()


@case(Outcome.UNREACHABLE)
def host_unresolvable(s: Scene) -> Pushed:
    return s.url("https://no-such-host.invalid/x.git/")


@case(Outcome.UNREACHABLE)
def connection_refused(s: Scene) -> Pushed:
    return s.url("http://127.0.0.1:9/x.git/")


def _ssh(s: Scene, words: str) -> Pushed:
    program = s.world.root / "ssh"
    program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 255\n")
    program.chmod(0o755)
    s.world.git("config", "core.sshCommand", str(program))
    return s.url("git@host.invalid:x.git")


@case(Outcome.UNREACHABLE)
def ssh_refused(s: Scene) -> Pushed:
    return _ssh(s, "ssh: connect to host 127.0.0.1 port 9: Connection refused")


@case(Outcome.UNREACHABLE)
def ssh_auth(s: Scene) -> Pushed:
    return _ssh(s, "git@host: Permission denied (publickey).")


@case(Outcome.LOCAL)
def empty_head(s: Scene) -> Pushed:
    return s.git_push("origin", "nothing:refs/heads/master")


@case(Outcome.LOCAL)
def submodule_unpushed(s: Scene) -> Pushed:
    s.commit = unpushed_submodule(s.world)
    return s.push()


def unpushed_submodule(world: World) -> str:
    """Commit a submodule whose commit stands in no remote."""
    inner = world.root / "inner"
    world.git("clone", "--quiet", "--bare", world.remote, inner, cwd=world.root)
    world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub")
    world.git("-C", "sub", "commit", "--quiet", "--allow-empty", "-m", "only here")
    world.git("add", "sub")
    return world.commit({".gitmodules": (world.clone / ".gitmodules").read_text(), "y": "1"})


@case(Outcome.LOCAL)
def signed_push_unsupported(s: Scene) -> Pushed:
    s.world.git("config", "push.gpgSign", "true")
    return s.push()


@case(Outcome.LOCAL)
def push_options_unsupported(s: Scene) -> Pushed:
    s.world.git("config", "push.pushOption", "ci.skip")
    return s.config("receive.advertisePushOptions", "false")


# What is cut off.


@case(Outcome.LANDED, OURS)
def dies_after_update(s: Scene) -> Pushed:
    pushed = s.hook("post-receive", "kill -9 $PPID; sleep 0.05")
    assert s.world.tip() == s.commit
    return pushed


@case(Outcome.LANDED, OURS)
def dies_after_update_unsaid(s: Scene) -> Pushed:
    return s.hook("reference-transaction", 'test "$1" != committed || kill -9 $PPID')


@case(Outcome.OPEN)
def dies_before_update(s: Scene) -> Pushed:
    return s.hook("pre-receive", "kill -9 $PPID; sleep 0.05")


def _killed(s: Scene, hook: str) -> Pushed:
    """Kill the client while the server is in its hook, which goes on afterwards."""
    started, go = s.world.root / "started", s.world.root / "go"
    s.world.server_hook(hook, f"touch {started}; while test ! -e {go}; do sleep 0.02; done")
    client = subprocess.Popen(
        ["git", "push", "--porcelain", "origin", f"{s.commit}:refs/heads/master"], cwd=s.world.clone, env=s.world.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(started.exists)
    client.kill()
    client.wait()
    pushed = Pushed(-signal.SIGKILL, "", "")
    if hook == "pre-receive":
        assert classify(pushed, "refs/heads/master", s.seen()) is Outcome.OPEN
    go.touch()
    until(lambda: s.world.tip() == s.commit)
    return pushed


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@case(Outcome.LANDED, OURS)
def client_sigkill_after_accept(s: Scene) -> Pushed:
    return _killed(s, "post-receive")


@case(Outcome.LANDED, OURS)
def client_sigkill_before_accept(s: Scene) -> Pushed:
    return _killed(s, "pre-receive")


# Other clones and other doors.


@case(Outcome.LANDED, OURS)
def two_pushurls(s: Scene) -> Pushed:
    s.world.git("remote", "set-url", "--push", "origin", str(s.world.remote))
    s.world.git("remote", "set-url", "--push", "--add", "origin", str(s.world.root / "nowhere.git"))
    return s.push()


@case(Outcome.MOVED, THEIRS)
def german_locale(s: Scene) -> Pushed:
    os.environ.update(LANGUAGE="de", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    s.world.publish({"theirs": "1"})
    return s.plain()


@case(Outcome.LOCAL)
def german_submodule(s: Scene) -> Pushed:
    os.environ.update(LANGUAGE="de", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    return submodule_unpushed(s)


@case(Outcome.LANDED, OURS)
def shallow_client(s: Scene) -> Pushed:
    s.world.publish({"more": "1"})
    clone = s.world.root / "shallow"
    s.world.git("clone", "--quiet", "--depth=1", f"file://{s.world.remote}", clone, cwd=s.world.root)
    s.world.clone.rename(s.world.root / "deep")
    clone.rename(s.world.clone)
    s.base, s.commit = s.world.tip(), s.world.commit({"x": "1"})
    return s.push()


@case(Outcome.LANDED, OURS)
def http_ok(s: Scene) -> Pushed:
    s.http()
    return s.push()


def _http(s: Scene, code: int, *, after: bool = False, at_once: bool = False) -> Pushed:
    _, faults = s.http()
    faults.code, faults.after, faults.at_once = code, after, at_once
    return s.push()


@case(Outcome.UNREACHABLE)
def http_401(s: Scene) -> Pushed:
    return _http(s, 401, at_once=True)


@case(Outcome.UNREACHABLE)
def http_403(s: Scene) -> Pushed:
    return _http(s, 403, at_once=True)


@case(Outcome.OPEN)
def http_413(s: Scene) -> Pushed:
    return _http(s, 413)


@case(Outcome.OPEN)
def http_502_before(s: Scene) -> Pushed:
    return _http(s, 502)


@case(Outcome.LANDED, OURS)
def http_drop_after(s: Scene) -> Pushed:
    return _http(s, 0, after=True)


@case(Outcome.LANDED, OURS)
def http_504_after(s: Scene) -> Pushed:
    return _http(s, 504, after=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_push_is_judged_by_what_became_of_it(scene: Scene, name: str) -> None:
    expected, after, make = CASES[name]
    pushed = make(scene)
    seen = Seen(False) if name == "broken_server_repo" else scene.seen()
    print(pushed, seen)
    assert place(scene) == after
    assert classify(pushed, f"refs/heads/{scene.branch}", seen) is expected
    assert "failed to push some refs" not in words(pushed.stderr)


def refused(summary: str, *said: str) -> Pushed:
    rows = "".join(f"remote: {row}\n" for row in said)
    return Pushed(1, f"To origin\n!\tabc:refs/heads/master\t[remote rejected] ({summary})\nDone\n", rows)


@pytest.mark.parametrize(
    ("summary", "said", "expected"),
    [
        # git 2.55
        ("incorrect old value provided", "", Outcome.BUSY),
        ("reference already exists", "", Outcome.BUSY),
        ("refname conflict", "", Outcome.CONTENT),
        ("unable to migrate objects to permanent storage", "", Outcome.BUSY),
        ("missing necessary objects", "", Outcome.CONTENT),
        ("shallow update not allowed", "", Outcome.CONTENT),
        ("n/a (unpacker error)", "", Outcome.CONTENT),
        ("unpacker error", "error: insufficient permission for adding an object to repository database", Outcome.BUSY),
        ("proc-receive failed to report status", "", Outcome.OPEN),
        # the forges
        ("protected branch hook declined", "error: GH006: Cannot change this locked branch", Outcome.DECLINED),
        ("protected branch hook declined", 'error: Required status check "build" is expected.', Outcome.DECLINED),
        ("push declined due to email privacy restrictions", "error: GH007: Your push would publish a private", Outcome.CONTENT),
        ("Internal Server Error", "", Outcome.BUSY),
        ("pre-receive hook declined", "GitLab: You are not allowed to force push code to a protected branch", Outcome.DECLINED),
        ("pre-receive hook declined", "PUSH BLOCKED: Secrets detected in code changes", Outcome.CONTENT),
        (
            "pre-receive hook declined",
            "GitLab: You are attempting to check in one or more blobs which exceed the",
            Outcome.CONTENT,
        ),
        ("pre-receive hook declined", "Gitea: User permission denied for writing.", Outcome.DECLINED),
        ("pre-receive hook declined", "Forgejo: Internal Server Connection Error", Outcome.BUSY),
        ("pre-receive hook declined", "Permission denied to update branch master.", Outcome.DECLINED),
        ("prohibited by Gerrit: not permitted: update", "", Outcome.DECLINED),
    ],
)
def test_the_words_of_other_servers_are_understood(summary: str, said: str, expected: Outcome) -> None:
    assert classify(refused(summary, said), "refs/heads/master", Seen(True, unmoved=True)) is expected


def test_what_the_remote_answers_counts_more_than_any_words() -> None:
    ref = "refs/heads/master"
    assert classify(refused("pre-receive hook declined"), ref, Seen(True, contains=True)) is Outcome.LANDED
    assert classify(refused("pre-receive hook declined"), ref, Seen(True)) is Outcome.MOVED
    assert (
        classify(Pushed(0, "To x\n \tabc:refs/heads/master\ta..b\nDone\n", ""), ref, Seen(True, unmoved=True)) is Outcome.OPEN
    )
    assert classify(Pushed(0, "", ""), ref, Seen(False)) is Outcome.UNREACHABLE


def test_a_server_that_dies_without_a_report_leaves_it_open() -> None:
    text = "To x\n!\tabc:refs/heads/master\t[remote failure] (remote failed to report status)\n"
    assert classify(Pushed(1, text, ""), "refs/heads/master", Seen(True, unmoved=True)) is Outcome.OPEN


def test_the_aborted_transaction_of_a_newer_git_leaves_it_open() -> None:
    said = "fatal: in 'prepared' phase, update aborted by the reference-transaction hook\n"
    assert classify(Pushed(128, "", said), "refs/heads/master", Seen(True, unmoved=True)) is Outcome.OPEN


def test_the_review_address_is_the_one_for_opening_a_review() -> None:
    said = (
        "remote: Bypassed? see https://docs.example.org/rules\nremote: Create a pull request for 'x' by visiting:\n"
        "remote:      https://github.com/a/b/pull/new/ada/x\x1b[0m\nhttps://not.said.by/the/server/pull\n"
    )
    assert review_url(said) == "https://github.com/a/b/pull/new/ada/x"
    assert review_url("https://not.said.by/the/server/pull\n") is None


@pytest.mark.slow
@pytest.mark.parametrize("answers", [True, False])
def test_a_push_is_given_up_only_where_the_remote_answers_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(target, "_SILENCE", 0.6)
    script = scene.world.root / "ssh"
    silent = "sleep 3" if answers else "sleep 60"
    others = "eval" if answers else "sleep 60; eval"
    script.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncase $last in *receive*) {silent}; eval "$last";; *) {others} "$last";; esac\n'
    )
    script.chmod(0o755)
    scene.world.git("config", "core.sshCommand", str(script))
    scene.world.git("remote", "set-url", "origin", f"host:{scene.world.remote}")
    pushed = scene.push()
    assert (pushed.code == 0) is answers  # waited for to its end, the other would have gone well after a minute
    if not answers:
        assert classify(pushed, "refs/heads/master", Seen(False)) is Outcome.UNREACHABLE
        assert "said nothing more" in words(pushed.stderr)
