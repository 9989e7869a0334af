"""Cases: a push that never leaves, a server that cannot be reached, and a connection that ends in between."""

from __future__ import annotations

import os
import signal
import subprocess

from homelab.landing.push_result import Outcome, Pushed, Seen, classify
from tests.support.push_scene import OURS, Scene, case
from tests.support.waiting import eventually
from tests.support.world import World


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
    eventually(started.exists)
    client.kill()
    client.wait()
    pushed = Pushed(-signal.SIGKILL, "", "")
    if hook == "pre-receive":
        assert classify(pushed, "refs/heads/master", s.seen()) is Outcome.OPEN
    go.touch()
    eventually(lambda: s.world.tip() == s.commit)
    return pushed


@case(Outcome.LANDED, OURS)
def client_sigkill_after_accept(s: Scene) -> Pushed:
    return _killed(s, "post-receive")


@case(Outcome.LANDED, OURS)
def client_sigkill_before_accept(s: Scene) -> Pushed:
    return _killed(s, "pre-receive")


@case(Outcome.LOCAL)
def german_submodule(s: Scene) -> Pushed:
    os.environ.update(LANGUAGE="de", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    return submodule_unpushed(s)


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
