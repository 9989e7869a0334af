"""Plain `git push` through the installed gate: the remote's refs first, words second."""

from pathlib import Path

import pytest

from tests.support.world import SUITE, World


def push(world: World, *args: str, cwd: Path | None = None) -> int:
    return world.run("git", "push", "--quiet", *args, cwd=cwd, check=False).returncode


def refused(world: World, *args: str, cwd: Path | None = None) -> str:
    """Push, assert that nothing changed on the remote, and return what was said."""
    before = world.refs()
    done = world.run("git", "push", *args, cwd=cwd, check=False)
    assert done.returncode == 1 and world.refs() == before, (done, world.refs())
    assert "homelab: hint:" in done.stderr and "Traceback" not in done.stderr
    return done.stderr


def strict(world: World) -> World:
    """The policy refuses what is not verified instead of verifying it."""
    world.commit({"homelab.toml": '[gate]\nunverified = "refuse"\nprotect = ["release/*"]\n' + SUITE})
    assert push(world, "--no-verify", "origin", "master") == 0
    return world


def test_a_green_push_is_verified_on_the_spot_and_remembered(gated: World) -> None:
    head = gated.commit({"x": "1"})
    done = gated.run("git", "push", "origin", "master")
    assert gated.tip() == head and "✓ check" in done.stderr


def test_a_red_push_is_refused_with_the_log(gated: World) -> None:
    gated.commit({"bad": "1"})
    assert "red" in refused(gated, "origin", "master")


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["HEAD:master", "+HEAD:master", "@:master", "HEAD~0:refs/heads/master", "master", ":"])
def test_what_is_not_verified_is_refused_however_it_is_spelled(gated: World, spec: str) -> None:
    strict(gated).commit({"x": "1"})
    assert "not verified" in refused(gated, "origin", spec)
    assert gated.homelab("verify").returncode == 0
    assert push(gated, "origin", spec) == 0


@pytest.mark.slow
def test_an_odd_source_is_judged_like_any_other(gated: World) -> None:
    strict(gated).commit({"x": "1"}, "odd words here")
    refused(gated, "origin", ":/odd words:refs/heads/master")
    refused(gated, "origin", "master@{0 seconds ago}:refs/heads/master")
    refused(gated, "origin", gated.git("rev-parse", "HEAD") + ":refs/heads/master")


@pytest.mark.slow
def test_one_bad_ref_refuses_the_whole_push(gated: World) -> None:
    strict(gated).git("branch", "aaa")
    assert push(gated, "origin", "aaa") == 0
    gated.commit({"x": "1"})
    gated.git("branch", "-f", "aaa")
    refused(gated, "origin", "aaa", "master")
    refused(gated, "--all", "origin")
    refused(gated, "--mirror", "origin")


def test_other_branches_go_unasked(gated: World) -> None:
    strict(gated).commit({"bad": "1"})
    assert push(gated, "origin", "HEAD:refs/heads/feature") == 0
    assert push(gated, "origin", ":feature") == 0
    assert push(gated, "origin", "HEAD:refs/tags/v1") == 0
    assert push(gated, "origin", "HEAD:refs/heads/Master", "HEAD:refs/heads/heads/master") == 0


@pytest.mark.slow
def test_a_protected_branch_is_not_deleted_nor_laundered(gated: World) -> None:
    strict(gated).commit({"x": "1"})
    refused(gated, "origin", ":master")
    assert push(gated, "origin", "HEAD:refs/heads/tmp") == 0
    refused(gated, "origin", ":tmp", ":master")
    refused(gated, "origin", "HEAD:master")
    refused(gated, "origin", "HEAD:refs/heads/release/1")


def test_a_forced_push_does_not_drop_commits_even_when_green(gated: World) -> None:
    first = gated.git("rev-parse", "HEAD")
    gated.commit({"x": "1"})
    assert push(gated, "origin", "master") == 0
    assert "drops" in refused(gated, "--force", "origin", f"{first}:master")


def test_a_stale_clone_does_not_roll_back_what_it_has_not_seen(gated: World) -> None:
    gated.publish({"theirs": "1"})
    assert "not in this clone" in refused(gated, "--force", "origin", "master")


@pytest.mark.slow
def test_what_is_pushed_decides_not_what_is_checked_out(gated: World) -> None:
    strict(gated)
    good = gated.commit({"x": "1"})
    assert gated.homelab("verify").returncode == 0
    bad = gated.commit({"y": "1"})
    assert push(gated, "origin", f"{good}:master") == 0
    gated.git("checkout", "--quiet", good)
    refused(gated, "origin", f"{bad}:master")


@pytest.mark.slow
def test_a_linked_worktree_and_a_detached_one_are_gated(gated: World) -> None:
    strict(gated)
    linked = gated.root / "linked"
    gated.git("worktree", "add", "--quiet", "--detach", linked)
    gated.commit({"x": "1"}, cwd=linked)
    refused(gated, "origin", "HEAD:master", cwd=linked)
    assert gated.homelab("verify", cwd=linked).returncode == 0
    assert push(gated, "origin", "HEAD:master", cwd=linked) == 0


@pytest.mark.slow
def test_any_remote_or_url_is_gated_by_the_branchs_name(gated: World) -> None:
    strict(gated).commit({"x": "1"})
    gated.git("remote", "add", "backup", str(gated.remote))
    refused(gated, "backup", "master")
    refused(gated, str(gated.remote), "master")


@pytest.mark.slow
def test_a_remote_that_only_publishes_is_told_as_that_and_the_hint_leads_on(gated: World) -> None:
    world = gated
    pages = world.root / "pages.git"
    world.git("init", "--quiet", "--bare", pages)
    world.git("remote", "add", "pages", str(pages))
    world.git("switch", "--quiet", "--orphan", "site")
    world.commit({"index.html": "one"})
    for n, args in enumerate([("pages", "site:master"), ("pages", "site:main"), (str(pages), "site:master")]):
        said = refused(world, *args)
        assert "only publishes" in said and "homelab init" not in said, said
        assert push(world, "--no-verify", *args) == 0
        world.commit({"index.html": str(n)})
    world.git("commit", "--quiet", "--amend", "-m", "another")
    assert push(world, "--no-verify", "pages", "site:main") == 0
    world.git("commit", "--quiet", "--amend", "-m", "one more")
    assert "only publishes" in refused(world, "--force", "pages", "site:main")
    # What shares commits with the target is no page, and where work lands nothing is.
    world.git("switch", "--quiet", "-c", "red", "origin/master")
    world.commit({"bad": "1"})
    assert "--no-verify" not in refused(world, "pages", "red:refs/heads/master", "--force")
    said = refused(world, "origin", "site:main")
    assert "--no-verify" not in said and f"git checkout {world.tip()[:12]} -- :/homelab.toml" in said
    world.git("switch", "--quiet", "site")
    world.git("checkout", world.tip()[:12], "--", ":/homelab.toml")
    world.git("commit", "--quiet", "-m", "rules")
    assert push(world, "origin", "site:main") == 0


@pytest.mark.slow
def test_replaced_objects_and_grafts_change_nothing(gated: World) -> None:
    good = strict(gated).commit({"x": "1"})
    assert gated.homelab("verify").returncode == 0
    bad = gated.commit({"bad": "1"})
    gated.git("replace", bad, good)
    refused(gated, "origin", f"{bad}:master")
    orphan = gated.git("commit-tree", f"{good}^{{tree}}", "-m", "orphan")
    (gated.clone / ".git/info/grafts").write_text(f"{orphan} {good}\n")
    assert "drops" in refused(gated, "--force", "origin", f"{orphan}:master")


def test_a_tag_object_or_a_tree_is_no_commit_for_a_branch(gated: World) -> None:
    gated.git("tag", "-a", "-m", "t", "v1")
    assert push(gated, "origin", "v1") == 0
    before = gated.tip()
    assert push(gated, "origin", "HEAD^{tree}:refs/heads/master") != 0
    assert gated.tip() == before


def test_a_dirty_folder_counts_for_nothing(gated: World) -> None:
    gated.commit({"bad": "1"})
    (gated.clone / "bad").unlink()
    refused(gated, "origin", "master")
    assert gated.git("status", "--porcelain") == "D bad"


def test_the_first_branch_of_an_empty_remote_is_judged(gated: World) -> None:
    gated.git("init", "--quiet", "--bare", gated.root / "empty.git", cwd=gated.root)
    gated.git("remote", "add", "empty", str(gated.root / "empty.git"))
    gated.commit({"bad": "1"})
    assert push(gated, "empty", "master") == 1
    assert gated.git("for-each-ref", cwd=gated.root / "empty.git") == ""


@pytest.mark.slow
def test_a_memo_is_no_truth(gated: World) -> None:
    gated.commit({"x": "1"})
    assert gated.homelab("verify").returncode == 0
    before = gated.tip()
    assert push(gated, "origin", "master") == 0
    gated.git("update-ref", "refs/heads/master", before, cwd=gated.remote)
    for path in sorted((gated.clone / ".git/homelab/gate").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert push(gated, "origin", "master") == 0


@pytest.mark.slow
def test_the_second_push_of_a_verified_update_starts_no_python(gated: World) -> None:
    gated.commit({"x": "1"})
    before = gated.tip()
    assert push(gated, "origin", "master") == 0
    gated.git("update-ref", "refs/heads/master", before, cwd=gated.remote)
    gated.git("update-ref", "refs/remotes/origin/master", before)
    hook = gated.clone / ".git/hooks/pre-push"
    hook.write_text(hook.read_text().replace("python=", "python=/nowhere # ", 1))
    assert push(gated, "origin", "master") == 0
    gated.commit({"y": "1"})
    assert "gone" in refused(gated, "origin", "master")


def without_python(world: World) -> None:
    hook = world.clone / ".git/hooks/pre-push"
    hook.write_text(hook.read_text().replace("python=", "python=/nowhere # ", 1))


def test_what_verify_has_seen_is_pushed_without_python(gated: World) -> None:
    gated.commit({"x": "1"})
    head = gated.commit({"y": "1"})
    assert gated.homelab("verify").returncode == 0
    without_python(gated)
    assert push(gated, "origin", "master") == 0
    assert gated.tip() == head


@pytest.mark.slow
def test_what_verify_has_seen_passes_from_where_the_target_was_fetched_and_nowhere_else(gated: World) -> None:
    first = gated.git("rev-parse", "HEAD")
    gated.commit({"x": "1"})
    assert push(gated, "origin", "master") == 0
    gated.git("reset", "--quiet", "--hard", first)
    gated.commit({"y": "1"})
    assert gated.homelab("verify").returncode == 0
    without_python(gated)
    assert "gone" in refused(gated, "--force", "origin", "master")
    gated.git("rebase", "--quiet", "origin/master")
    assert "gone" in refused(gated, "origin", "master")


def test_what_another_file_verifies_is_judged_by_the_targets(gated: World) -> None:
    gated.commit({"bad": "1"})
    (gated.root / "lax.toml").write_text(SUITE.replace("test ! -e bad", "true"))
    assert gated.homelab("verify", env={"HOMELAB_CONFIG": str(gated.root / "lax.toml")}).returncode == 0
    without_python(gated)
    assert "gone" in refused(gated, "origin", "master")


def test_verify_leaves_nothing_for_a_hook_that_is_not_there(world: World) -> None:
    world.commit({"x": "1"})
    assert world.homelab("verify").returncode == 0
    assert world.git("for-each-ref", "refs/homelab") == "" and not (world.clone / ".git/homelab/gate").exists()


def test_a_rule_that_came_by_fetch_counts_from_the_next_push_on(gated: World) -> None:
    gated.publish({"homelab.toml": '[gate]\nunverified = "refuse"\nprotect = ["release/*"]\n' + SUITE})
    assert push(gated, "origin", "HEAD:refs/heads/other") == 0
    gated.git("fetch", "--quiet")
    gated.commit({"x": "1"})
    refused(gated, "origin", "HEAD:refs/heads/release/1")


@pytest.mark.slow
def test_rules_that_cannot_be_read_refuse_the_target_and_let_others_go(gated: World) -> None:
    gated.commit({"homelab.toml": "[gaet]\n"})
    assert "cannot be read" in refused(gated, "origin", "master")
    assert push(gated, "--no-verify", "origin", "master") == 0
    gated.commit({"x": "1"})
    refused(gated, "origin", "master")
    assert push(gated, "origin", "HEAD:refs/heads/feature") == 0


@pytest.mark.slow
def test_variables_that_turn_red_into_green_do_not_reach_a_suite(gated: World) -> None:
    gated.commit({"homelab.toml": '[[suite]]\nname = "e"\nrun = "test -z \\"$SKIP$MAKEFLAGS$GIT_DIR$PYTEST_ADDOPTS\\""\n'})
    done = gated.run(
        "git", "push", "origin", "master", env={"SKIP": "x", "MAKEFLAGS": "n", "PYTEST_ADDOPTS": "--co", "GIT_DIR": ".git"}
    )
    assert done.returncode == 0
    assert gated.tip() == gated.git("rev-parse", "HEAD")


@pytest.mark.slow
def test_a_server_asks_for_the_same(world: World) -> None:
    assert world.homelab("hooks", "install", "--server", str(world.remote)).returncode == 0
    world.commit({"bad": "1"})
    before = world.refs()
    assert push(world, "--no-verify", "origin", "master") == 1
    assert world.refs() == before
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    head = world.commit({"x": "1"})
    assert push(world, "origin", "master") == 0 and world.tip() == head
    assert push(world, "origin", ":master") == 1


@pytest.mark.slow
def test_where_claims_are_honoured_a_held_stack_is_not_pushed_by_others(gated: World) -> None:
    gated.commit({"homelab.toml": "[gate]\nclaims = true\n" + SUITE, "stacks/dns/main.tf": "1", "stacks/nas/main.tf": "1"})
    assert push(gated, "origin", "master") == 0
    others = {"HOMELAB_SESSION": "others"}
    assert gated.homelab("claim", "stack:dns", "--purpose", "moving ns1", env=others).returncode == 0
    gated.git("switch", "--quiet", "-c", "ada/x")
    gated.commit({"stacks/dns/main.tf": "2"})
    said = refused(gated, "origin", "HEAD:refs/heads/feature")
    assert "moving ns1" in said and "stack:dns" in said
    assert gated.homelab("work", "land").returncode == 3
    assert gated.json("work", "list")[0]["claims"] == ["stack:dns"]
    assert gated.run("git", "push", "-q", "origin", "HEAD:refs/heads/feature", env=others).returncode == 0
    gated.git("reset", "--quiet", "--hard", "master")
    gated.commit({"stacks/nas/main.tf": "2"})
    assert push(gated, "origin", "HEAD:refs/heads/other") == 0
    assert gated.homelab("work", "land").returncode == 0
    # An update that has passed once, and that the server did not take, passes no more once its stack is held.
    gated.commit({"stacks/nas/main.tf": "3"})
    gated.server_hook("pre-receive", "exit 1")
    assert push(gated, "origin", "HEAD:master") == 1
    (gated.remote / "hooks/pre-receive").unlink()
    assert gated.homelab("claim", "stack:nas", "--purpose", "new disks", env=others).returncode == 0
    assert "new disks" in refused(gated, "origin", "HEAD:master")


@pytest.mark.slow
def test_a_change_that_deletes_most_of_the_target_wants_a_word_of_its_own(gated: World) -> None:
    world = gated
    files = {f"stacks/s{n:02}/main.tf": f"{n}\n" for n in range(40)}
    world.commit(files)
    assert push(world, "origin", "HEAD:master") == 0
    base = world.git("rev-parse", "HEAD")
    world.git("rm", "-rq", "stacks")
    lost = world.commit({"x": "1"})
    said = refused(world, "origin", "HEAD:master")
    assert "40 of 42 files" in said and "--allow-deletions" in said
    assert world.homelab("verify").returncode == 0  # what is green deletes no less
    refused(world, "origin", "HEAD:master")
    assert push(world, "origin", "HEAD:feature") == 0  # no protected branch, and no count
    world.git("reset", "--quiet", "--hard", base)
    world.git("mv", "stacks", "moved")
    world.git("commit", "--quiet", "-m", "move")
    assert push(world, "origin", "HEAD:master") == 0
    assert world.tip() != lost


@pytest.mark.slow
def test_a_server_tells_of_a_mass_deletion_and_takes_it(world: World) -> None:
    assert world.homelab("hooks", "install", "--server", world.remote).returncode == 0
    world.commit({f"stacks/s{n:02}/main.tf": f"{n}\n" for n in range(40)})
    world.git("push", "--quiet", "origin", "HEAD:master")
    world.git("rm", "-rq", "stacks")
    lost = world.commit({"x": "1"})
    done = world.run("git", "push", "origin", "HEAD:master", check=False)
    assert world.tip() == lost and "40 of 42 files" in done.stderr


@pytest.mark.slow
def test_the_limit_of_the_target_counts_and_not_the_changes(gated: World) -> None:
    world = gated
    world.commit({f"f{n:02}": f"{n}\n" for n in range(40)} | {"homelab.toml": "[gate]\nmax_deleted = 10\n" + SUITE})
    assert push(world, "origin", "HEAD:master") == 0
    world.git("rm", "-q", *[f"f{n:02}" for n in range(10)])
    world.commit({"homelab.toml": "[gate]\nmax_deleted = 100\n" + SUITE})
    refused(world, "origin", "HEAD:master")


def test_a_token_in_the_address_that_is_pushed_to_is_in_no_word(gated: World) -> None:
    world = gated
    world.publish({"theirs": "1"})
    world.commit({"x": "1"})
    said = refused(world, f"file://ann:s3cr3t@localhost{world.remote}", "+HEAD:master")
    assert "s3cr3t" not in "".join(row for row in said.splitlines() if row.startswith("homelab:"))


def test_a_suite_is_not_bound_by_the_limit_that_our_program_starts_under(gated: World) -> None:
    gated.commit({"homelab.toml": SUITE + f"[[suite]]\nname = 'limit'\nrun = 'ulimit -S -t >{gated.root}/limit'\n"})
    assert push(gated, "origin", "master") == 0
    assert (gated.root / "limit").read_text() == gated.run("sh", "-c", "ulimit -S -t").stdout
