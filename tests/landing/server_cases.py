"""Cases: what a server answers that takes a push, has moved on, or says no."""

from __future__ import annotations

import os

from homelab.landing.push_result import Outcome, Pushed
from tests.support.push_scene import OURS, THEIRS, Scene, case


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


@case(Outcome.LANDED, OURS)
def shallow_client(s: Scene) -> Pushed:
    s.world.publish({"more": "1"})
    clone = s.world.root / "shallow"
    s.world.git("clone", "--quiet", "--depth=1", f"file://{s.world.remote}", clone, cwd=s.world.root)
    s.world.clone.rename(s.world.root / "deep")
    clone.rename(s.world.clone)
    s.base, s.commit = s.world.tip(), s.world.commit({"x": "1"})
    return s.push()
