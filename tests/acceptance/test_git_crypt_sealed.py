"""Plaintext on a path of git-crypt is not pushed, by any ref and in any commit of the push."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.sealed import RULES, SEALED
from tests.support.world import SUITE, World

CONFIG = """\
repos:
- repo: local
  hooks:
  - id: git-crypt-sealed
    name: git-crypt-sealed
    entry: homelab-git-crypt-sealed
    language: system
    stages: [pre-commit, pre-push]
    always_run: true
    pass_filenames: false
"""


def push(world: World, *args: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return world.run("git", "push", *args, cwd=cwd, check=False)


def refused(world: World, *args: str | Path, path: str = "secrets/db", commit: str | None = None) -> str:
    """Push, assert that nothing changed on the remote, and return what was said."""
    before = world.refs()
    done = push(world, *args)
    assert done.returncode == 1 and world.refs() == before, done
    assert "homelab: hint:" in done.stderr and "Traceback" not in done.stderr
    assert path in done.stderr
    assert commit is None or commit[:12] in done.stderr
    return done.stderr


@pytest.mark.parametrize("spec", ["HEAD:refs/heads/feature", "HEAD:refs/tags/v1", "HEAD:refs/notes/x", "HEAD:master"])
def test_plaintext_leaves_by_no_ref(locked: World, spec: str) -> None:
    commit = locked.commit({"secrets/db": "password=hunter2"})
    assert "plaintext" in refused(locked, "origin", spec, commit=commit)


@pytest.mark.slow
@pytest.mark.parametrize("others", [(), ("origin/master:refs/heads/other",)])
@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("world_with", ["locked", "gated"])
def test_plaintext_leaves_by_no_tree_that_has_no_commit(
    request: pytest.FixtureRequest, world_with: str, tagged: bool, others: tuple[str, ...]
) -> None:
    world: World = request.getfixturevalue(world_with)
    world.commit({".gitattributes": RULES, "secrets/db": "password=hunter2"})
    tree = world.git("rev-parse", "HEAD^{tree}")
    world.git("tag", "-a", "-m", "a tree", "v1", tree)
    assert "plaintext" in refused(world, "origin", "v1" if tagged else f"{tree}:refs/tags/v1", *others, commit=tree)
    sealed = world.commit({"secrets/db": SEALED})
    assert push(world, "origin", f"{sealed}^{{tree}}:refs/tags/v2", *others).returncode == 0


def test_ciphertext_and_empty_files_and_other_paths_leave(locked: World) -> None:
    head = locked.commit({"secrets/db": SEALED + b"x", "secrets/empty": "", "open/db": "password=hunter2"})
    assert push(locked, "origin", "HEAD:feature").returncode == 0
    assert locked.tip("refs/heads/feature") == head


def test_a_commit_in_the_middle_is_seen_although_the_tip_is_sealed(locked: World) -> None:
    commit = locked.commit({"secrets/db": "password=hunter2"})
    locked.commit({"secrets/db": SEALED + b"x"})
    refused(locked, "origin", "HEAD:feature", commit=commit)


def test_a_deleted_secret_is_in_the_history_that_leaves(locked: World) -> None:
    commit = locked.commit({"secrets/new": "password=hunter2"})
    locked.git("rm", "--quiet", "secrets/new")
    locked.git("commit", "--quiet", "-m", "gone")
    refused(locked, "origin", "HEAD:feature", path="secrets/new", commit=commit)


def test_an_attribute_that_is_lifted_for_a_moment_lets_nothing_slip(locked: World) -> None:
    commit = locked.commit({".gitattributes": "", "secrets/db": "password=hunter2"})
    locked.commit({".gitattributes": RULES, "secrets/db": SEALED + b"x"})
    refused(locked, "origin", "HEAD:feature", commit=commit)


def test_a_secret_that_is_made_public_by_its_attributes_leaves(locked: World) -> None:
    head = locked.commit({".gitattributes": "secrets/** !filter !diff\n", "secrets/db": "no secret any more"})
    assert push(locked, "origin", "HEAD:feature").returncode == 0
    assert locked.tip("refs/heads/feature") == head


@pytest.mark.slow
def test_a_file_that_becomes_a_secret_has_to_be_sealed(gated: World) -> None:
    gated.commit({"secrets/db": "password=hunter2"})
    assert push(gated, "origin", "master").returncode == 0
    commit = gated.commit({".gitattributes": RULES})
    refused(gated, "origin", "HEAD:feature", commit=commit)


def test_plaintext_from_before_the_attributes_came_does_not_leave_with_its_history(gated: World) -> None:
    commit = gated.commit({"secrets/db": "password=hunter2"})
    gated.commit({".gitattributes": RULES, "secrets/db": SEALED})
    refused(gated, "origin", "HEAD:feature", commit=commit)


@pytest.mark.slow
def test_what_the_remote_has_already_is_not_held_against_a_push(locked: World) -> None:
    locked.publish({"secrets/old": "password=hunter2"})
    locked.git("pull", "--quiet")
    locked.commit({"x": "1"})
    assert push(locked, "origin", "HEAD:feature").returncode == 0
    locked.git("checkout", "--quiet", "-b", "side", "HEAD~2")
    locked.commit({"y": "1"})
    locked.git("merge", "--quiet", "--no-edit", "origin/master")
    assert push(locked, "origin", "side").returncode == 0


@pytest.mark.slow
def test_what_one_remote_has_leaves_to_no_other(locked: World) -> None:
    commit = locked.publish({"secrets/old": "password=hunter2"})
    locked.git("pull", "--quiet")
    locked.commit({"x": "1"})
    public = locked.root / "public.git"
    locked.git("init", "--quiet", "--bare", public)
    locked.git("remote", "add", "public", public)
    for remote in ("public", public):
        for spec in ("HEAD:refs/heads/feature", "HEAD:refs/tags/v1"):
            done = push(locked, remote, spec)
            assert done.returncode == 1 and commit[:12] in done.stderr, done.stderr
            assert locked.git("for-each-ref", cwd=public) == ""
    assert push(locked, "origin", "HEAD:refs/heads/feature").returncode == 0


def test_a_merge_that_brings_plaintext_of_its_own_is_seen(locked: World) -> None:
    locked.git("checkout", "--quiet", "-b", "side")
    locked.commit({"y": "1"})
    locked.git("checkout", "--quiet", "master")
    locked.commit({"x": "1"})
    locked.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
    commit = locked.commit({"secrets/db": "password=hunter2"})
    refused(locked, "origin", "HEAD:feature", commit=commit)


def test_plaintext_that_a_merge_takes_over_from_where_it_was_no_secret_is_seen(gated: World) -> None:
    gated.git("checkout", "--quiet", "-b", "plain")
    gated.commit({"secrets/db": "password=hunter2"})
    assert push(gated, "origin", "plain").returncode == 0
    gated.git("checkout", "--quiet", "master")
    gated.commit({".gitattributes": RULES})
    gated.git("merge", "--quiet", "--no-edit", "plain")
    refused(gated, "origin", "HEAD:feature", commit=gated.git("rev-parse", "HEAD"))


@pytest.mark.parametrize(
    ("files", "given"),
    [
        ({".gitattributes": "*.key filter=git-crypt\n*.pub.key !filter\n"}, {"a.key": True, "a.pub.key": False}),
        ({".gitattributes": "*.key filter=git-crypt\n*.pub.key -filter\n"}, {"a.key": True, "a.pub.key": False}),
        ({"deep/.gitattributes": "*.key filter=git-crypt-team\n"}, {"deep/er/a.key": True, "a.key": False}),
        ({".gitattributes": "*.key filter=git-crypt\n", "open/.gitattributes": "* !filter\n"}, {"open/a.key": False}),
        ({".gitattributes": "[attr]hidden filter=git-crypt diff=git-crypt\n*.key hidden\n"}, {"a.key": True}),
        ({".gitattributes": '"with space" filter=git-crypt\n'}, {"with space": True}),
        ({".gitattributes": "*.key filter=git-cryptic\n*.b filter=lfs\n"}, {"a.key": False, "a.b": False}),
        ({".gitattributes": "* filter=git-crypt\n"}, {".gitattributes": False, "x": True, "\xfcml\xe4ut\n": True}),
        ({".gitattributes": "*.key filter=git-crypt\r\n"}, {"a.key": True}),
    ],
)  # fmt: skip
def test_attributes_count_as_git_resolves_them(gated: World, files: dict[str, str], given: dict[str, bool]) -> None:
    sealed = {path: SEALED for path, secret in given.items() if secret}
    gated.commit({**files, **sealed, "homelab.toml": SEALED if sealed.get("x") else ""}, "rules")
    gated.git("rm", "--quiet", "README", "homelab.toml")
    gated.git("commit", "--quiet", "-m", "rules alone")
    assert push(gated, "--no-verify", "origin", "HEAD:feature").returncode == 0
    for number, (path, secret) in enumerate(given.items()):
        if path == ".gitattributes":
            continue
        gated.git("reset", "--quiet", "--hard", "origin/feature")
        gated.commit({path: "plain"})
        assert push(gated, "origin", f"HEAD:refs/heads/try-{number}").returncode == (1 if secret else 0), path


def test_a_local_attribute_does_not_unmake_a_secret(locked: World) -> None:
    (locked.clone / ".git/info/attributes").write_text("secrets/** !filter\n")
    commit = locked.commit({"secrets/db": "password=hunter2"})
    refused(locked, "origin", "HEAD:feature", commit=commit)


def test_a_link_and_a_folder_are_no_secrets(locked: World) -> None:
    (locked.clone / "secrets/link").symlink_to("db")
    locked.git("add", "secrets/link")
    locked.git("commit", "--quiet", "-m", "link")
    assert push(locked, "origin", "HEAD:feature").returncode == 0


@pytest.mark.slow
def test_the_first_git_crypt_of_a_repository_is_seen_when_it_comes_in_a_feature_branch(gated: World) -> None:
    assert push(gated, "origin", "HEAD:refs/heads/one").returncode == 0
    for where, name in (("deep/.gitattributes", "deep/secrets/db"), (".gitattributes", "secrets/db")):
        gated.git("checkout", "--quiet", "-B", "work", "origin/master")
        commit = gated.commit({where: RULES, name: "password=hunter2"})
        gated.commit({"other": "1"})
        refused(gated, "origin", "HEAD:feature", path=name, commit=commit)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LITERAL", "GLOB", "NOGLOB", "ICASE"])
def test_the_first_git_crypt_is_seen_however_paths_are_read(gated: World, kind: str) -> None:
    assert push(gated, "origin", "HEAD:refs/heads/one").returncode == 0
    commit = gated.commit({"deep/.gitattributes": RULES, "deep/secrets/db": "password=hunter2"})
    for specs in (("HEAD:feature",), ("HEAD:feature", "HEAD:refs/tags/v1"), ("HEAD:feature", "origin/master:refs/heads/other")):
        before = gated.refs()
        done = gated.run("git", "push", "origin", *specs, env={f"GIT_{kind}_PATHSPECS": "1"}, check=False)
        assert done.returncode == 1 and gated.refs() == before and commit[:12] in done.stderr, (specs, done.stderr)


@pytest.mark.slow
def test_the_first_git_crypt_is_seen_behind_a_replacement(gated: World) -> None:
    assert push(gated, "origin", "HEAD:refs/heads/one").returncode == 0
    bad = gated.commit({".gitattributes": RULES, "secrets/db": "password=hunter2"})
    harmless = gated.git("commit-tree", "origin/master^{tree}", "-p", "origin/master", "-m", "harmless")
    gated.git("replace", bad, harmless)
    for specs in ((f"{bad}:refs/heads/feature",), (f"{bad}:refs/heads/feature", "origin/master:refs/heads/other")):
        refused(gated, "origin", *specs, commit=bad)


def test_a_branch_off_somebodys_branch_with_git_crypt_is_seen(gated: World) -> None:
    assert push(gated, "origin", "HEAD:refs/heads/one").returncode == 0
    other = gated.root / "other"
    gated.git("clone", "--quiet", gated.remote, other, cwd=gated.root)
    gated.commit({"deep/.gitattributes": RULES}, cwd=other)
    gated.git("push", "--quiet", "origin", "HEAD:theirs", cwd=other)
    gated.git("fetch", "--quiet")
    gated.git("checkout", "--quiet", "-b", "mine", "origin/theirs")
    commit = gated.commit({"deep/secrets/db": "password=hunter2"})
    refused(gated, "origin", "mine", path="deep/secrets/db", commit=commit)


def test_a_target_that_begins_to_use_git_crypt_is_known_after_the_fetch(gated: World) -> None:
    assert push(gated, "origin", "HEAD:refs/heads/one").returncode == 0
    gated.publish({"deep/.gitattributes": RULES})
    gated.git("pull", "--quiet")
    commit = gated.commit({"deep/secrets/db": "password=hunter2"})
    refused(gated, "origin", "HEAD:feature", path="deep/secrets/db", commit=commit)


def test_one_plain_ref_refuses_all_of_a_push(locked: World) -> None:
    locked.git("branch", "good")
    commit = locked.commit({"secrets/db": "password=hunter2"})
    refused(locked, "origin", "good", "master", "HEAD:refs/heads/x", commit=commit)


def test_a_push_without_python_is_refused_where_git_crypt_is_used(locked: World) -> None:
    assert push(locked, "origin", "HEAD:feature").returncode == 0
    script = locked.clone / ".git/hooks/pre-push"
    script.write_text(script.read_text().replace("python=", "python=/nowhere # ", 1))
    locked.commit({"x": "1"})
    before = locked.refs()
    assert push(locked, "origin", "HEAD:feature").returncode == 1 and locked.refs() == before
    locked.publish({"homelab.toml": SUITE + "# of which nothing is remembered\n"})
    locked.git("fetch", "--quiet")
    before = locked.refs()
    assert push(locked, "origin", "HEAD:refs/tags/v1").returncode == 1 and locked.refs() == before


def test_a_repository_without_git_crypt_starts_no_python_for_a_feature_branch(gated: World) -> None:
    script = gated.clone / ".git/hooks/pre-push"
    script.write_text(script.read_text().replace("python=", "python=/nowhere # ", 1))
    head = gated.commit({"deep/x": "1"})
    assert push(gated, "origin", "HEAD:feature").returncode == 0 and gated.tip("refs/heads/feature") == head
    gated.commit({"deep/.gitattributes": "x text\n"})
    done = push(gated, "origin", "HEAD:feature")  # its program is gone, and nobody can say whether that names git-crypt
    assert done.returncode == 1 and "is gone" in done.stderr


def test_a_url_is_the_remote_that_it_is_the_url_of(locked: World) -> None:
    locked.publish({"secrets/old": "password=hunter2"})
    locked.git("pull", "--quiet")
    locked.commit({"x": "1"})
    assert push(locked, locked.remote, "HEAD:feature").returncode == 0


def test_a_remote_that_moved_unseen_hides_nothing(locked: World) -> None:
    locked.publish({"theirs": "1"})
    commit = locked.commit({"secrets/db": "password=hunter2"})
    refused(locked, "--force", "origin", "master", commit=commit)


@pytest.mark.slow
def test_a_bare_clone_and_a_linked_worktree_push_no_plaintext(locked: World) -> None:
    linked = locked.root / "linked"
    locked.git("worktree", "add", "--quiet", "-b", "linked", linked)
    locked.commit({"secrets/db": "password=hunter2"}, cwd=linked)
    bare = locked.root / "bare.git"
    locked.git("clone", "--quiet", "--bare", locked.clone, bare, cwd=locked.root)
    locked.git("remote", "set-url", "origin", locked.remote, cwd=bare)
    assert locked.homelab("hooks", "install", cwd=bare).returncode == 0
    before = locked.refs()
    for cwd, spec in ((linked, "HEAD:feature"), (bare, "linked:feature")):
        done = push(locked, "origin", spec, cwd=cwd)
        assert done.returncode == 1 and locked.refs() == before and "secrets/db" in done.stderr


@pytest.mark.slow
def test_a_file_that_is_moved_under_a_secret_path_as_it_is_is_seen(locked: World) -> None:
    locked.commit({"open": "password=hunter2"})
    assert push(locked, "origin", "HEAD:feature").returncode == 0
    locked.git("mv", "open", "secrets/moved")
    locked.git("commit", "--quiet", "-m", "move")
    refused(locked, "origin", "HEAD:feature", path="secrets/moved")


@pytest.mark.slow
def test_land_refuses_plaintext_also_where_no_hook_is_installed(locked: World) -> None:
    assert locked.homelab("hooks", "uninstall").returncode == 0
    locked.git("checkout", "--quiet", "-b", "work")
    commit = locked.commit({"secrets/db": "password=hunter2"})
    before = locked.refs()
    done = locked.homelab("work", "land")
    assert (done.returncode, locked.refs()) == (3, before)
    assert "secrets/db" in done.stderr and commit[:12] in done.stderr
    answer = locked.json("work", "land", "--no-verify")
    assert answer["status"] == "refused" and answer["exposed"][0]["path"] == "secrets/db"
    assert locked.refs() == before


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["master", "HEAD:refs/heads/feature", "HEAD:refs/tags/v1"])
def test_a_server_that_asks_takes_no_plaintext_on_any_ref(locked: World, spec: str) -> None:
    assert locked.homelab("hooks", "install", "--server", locked.remote).returncode == 0
    locked.commit({"secrets/db": "password=hunter2"})
    before = locked.refs()
    done = push(locked, "--no-verify", "origin", spec)
    assert done.returncode == 1 and locked.refs() == before and "secrets/db" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["pre-commit", "prek"])
def test_a_framework_runs_it_in_both_stages(world: World, framework: str) -> None:
    world.commit({".pre-commit-config.yaml": CONFIG, ".gitattributes": RULES})
    world.git("push", "--quiet", "origin", "master")
    world.run(framework, "install", "--hook-type", "pre-push", "--hook-type", "pre-commit")
    world.write({"secrets/db": "password=hunter2"})
    head = world.git("rev-parse", "HEAD")
    done = world.run("git", "commit", "-am", "x", check=False)
    world.git("add", "secrets/db")
    done = world.run("git", "commit", "-m", "x", check=False)
    assert done.returncode == 1 and world.git("rev-parse", "HEAD") == head and "secrets/db" in done.stdout + done.stderr
    done = world.run("git", "commit", "-m", "x", "secrets/db", check=False)  # an index of its own
    assert done.returncode == 1 and world.git("rev-parse", "HEAD") == head
    world.git("commit", "--quiet", "--no-verify", "-m", "x")
    world.commit({"secrets/db": SEALED}, "sealed again")
    before = world.refs()
    done = world.run("git", "push", "origin", "HEAD:feature", check=False)
    assert done.returncode == 1 and world.refs() == before and "secrets/db" in done.stdout + done.stderr


# -- at the commit, with the gate alone -------------------------------------------------------------------------------
