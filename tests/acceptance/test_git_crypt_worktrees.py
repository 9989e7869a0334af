"""Worktrees of a git-crypt repository, with the real git-crypt: plain git works in them and secrets stay ciphertext."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.worktrees import bare_layout
from tests.support.world import World

pytestmark = needs("git-crypt")

SECRETS = {"secrets/db.env": "password=hunter2\n", "deep/er/team.key": "team key\n", "empty.secret": ""}


@pytest.fixture
def unlocked(world: World) -> World:
    """A clone with the keys: a default one, a named one, and attributes in a sub-folder and by a macro."""
    world.git("crypt", "init")
    world.git("crypt", "init", "-k", "team")
    world.commit(
        {
            ".gitattributes": "[attr]hidden filter=git-crypt diff=git-crypt\nsecrets/** hidden\n*.secret hidden\n",
            "deep/.gitattributes": "*.key filter=git-crypt-team diff=git-crypt-team\n",
        },
        "rules",
    )
    world.commit(SECRETS, "secrets")
    world.git("push", "--quiet", "origin", "master")
    assert sealed(world, "HEAD")
    return world


def lock(world: World) -> Path:
    """Export the keys, lock the clone, and return the folder of the keys."""
    keys = world.root / "keys"
    keys.mkdir(exist_ok=True)
    world.git("crypt", "export-key", keys / "default")
    world.git("crypt", "export-key", "-k", "team", keys / "team")
    world.git("crypt", "lock", "--all")
    return keys


def unlock(world: World, keys: Path) -> None:
    world.git("crypt", "unlock", keys / "default", keys / "team")


def blob(world: World, revision: str, path: str, cwd: Path | None = None) -> bytes:
    done = world.run("git", "cat-file", "blob", f"{revision}:{path}", cwd=cwd)
    return done.stdout.encode(errors="surrogateescape")


def sealed(world: World, revision: str, cwd: Path | None = None) -> bool:
    """Tell whether every secret of a commit is ciphertext, or empty."""
    return all(not content or blob(world, revision, name, cwd).startswith(b"\0GITCRYPT\0") for name, content in SECRETS.items())


def started(world: World, topic: str = "work", cwd: Path | None = None) -> Path:
    done = world.homelab("work", "start", topic, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "encrypted" in done.stderr and done.stdout.count("\n") == 1
    return Path(done.stdout.strip())


def touch(path: Path) -> None:
    """Every secret has another modification time: git looks into it again."""
    for name in SECRETS:
        content = (path / name).read_bytes()
        (path / name).unlink()
        (path / name).write_bytes(content)


def fit(world: World, path: Path) -> None:
    """Plain git works in the worktree, its secrets are ciphertext, and plaintext does not go in."""
    assert all((path / name).read_bytes()[:10] == b"\0GITCRYPT\0" or not content for name, content in SECRETS.items())
    assert world.git("status", "--porcelain", cwd=path) == ""
    before = [blob(world, "HEAD", name, path) for name in SECRETS]
    touch(path)
    world.write({"README": f"{time.time_ns()}\n"}, path)
    world.git("commit", "--quiet", "-a", "-m", "readme", cwd=path)
    assert [blob(world, "HEAD", name, path) for name in SECRETS] == before
    for name in SECRETS:
        world.write({name: "leak"}, path)
        head = world.git("rev-parse", "HEAD", cwd=path)
        done = world.run("git", "commit", "--quiet", "-a", "-m", "leak", cwd=path, check=False)
        assert done.returncode == 128 and name in done.stderr and "main worktree" in done.stderr
        assert world.run("git", "add", "-A", cwd=path, check=False).returncode == 128
        assert world.git("rev-parse", "HEAD", cwd=path) == head
        world.git("checkout", "--", name, cwd=path)
    assert world.git("status", "--porcelain", cwd=path) == ""
    world.git("log", "-p", "--all", cwd=path)


@pytest.mark.slow
def test_a_worktree_of_an_unlocked_clone_is_fit_for_plain_git(unlocked: World) -> None:
    path = started(unlocked)
    fit(unlocked, path)
    assert unlocked.git("status", "--porcelain") == ""
    assert all((unlocked.clone / name).read_text() == content for name, content in SECRETS.items())
    unlocked.git("worktree", "remove", path)


def test_a_worktree_of_a_locked_clone_does_not_take_plaintext(unlocked: World) -> None:
    lock(unlocked)
    path = started(unlocked)
    fit(unlocked, path)


def test_a_clone_that_never_had_a_key_is_no_different(unlocked: World) -> None:
    fresh = unlocked.root / "fresh"
    unlocked.git("clone", "--quiet", unlocked.remote, fresh, cwd=unlocked.root)
    fit(unlocked, started(unlocked, cwd=fresh))


@pytest.mark.slow
def test_locking_and_unlocking_leaves_the_worktrees_fit(unlocked: World) -> None:
    first = started(unlocked, "one")
    keys = lock(unlocked)
    fit(unlocked, first)
    second = started(unlocked, "two")
    unlock(unlocked, keys)
    assert all((unlocked.clone / name).read_text() == content for name, content in SECRETS.items())
    assert unlocked.homelab("work", "start", "one").returncode == 0  # git-crypt has put its settings behind ours
    for path in (first, second, started(unlocked, "three")):
        fit(unlocked, path)
    assert unlocked.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_a_rotated_secret_is_merged_in_a_worktree(unlocked: World) -> None:
    path = started(unlocked)
    unlocked.commit({"secrets/db.env": "password=rotated\n"})
    unlocked.git("push", "--quiet", "origin", "master")
    unlocked.commit({"x": "1"}, cwd=path)
    unlocked.git("merge", "--quiet", "--no-edit", "origin/master", cwd=path)
    assert sealed(unlocked, "HEAD", path)
    assert unlocked.git("status", "--porcelain", cwd=path) == ""
    fit(unlocked, path)


@pytest.mark.slow
def test_the_way_of_work_goes_through_and_the_main_worktree_reads_what_landed(unlocked: World) -> None:
    assert unlocked.homelab("hooks", "install").returncode == 0
    path = started(unlocked)
    unlocked.commit({"x": "1"}, cwd=path)
    unlocked.publish({"y": "1"})
    done = unlocked.homelab("work", "land", cwd=path)
    assert done.returncode == 0, done.stderr
    assert sealed(unlocked, "origin/master")
    unlocked.git("pull", "--quiet")
    assert (unlocked.clone / "secrets/db.env").read_text() == SECRETS["secrets/db.env"]
    assert unlocked.json("work", "list")[1]["dirty"] is False
    assert unlocked.homelab("work", "clean", "work").returncode == 0
    assert not path.exists()


def test_a_secret_that_is_changed_in_the_main_worktree_passes_the_gate(unlocked: World) -> None:
    assert unlocked.homelab("hooks", "install").returncode == 0
    head = unlocked.commit({"secrets/db.env": "password=new\n"})
    unlocked.git("push", "--quiet", "origin", "master")
    assert unlocked.tip() == head and sealed(unlocked, "origin/master")


def test_the_flags_that_get_around_the_filter_do_not_get_through_the_gate(unlocked: World) -> None:
    assert unlocked.homelab("hooks", "install").returncode == 0
    path = started(unlocked)
    unlocked.write({"secrets/db.env": "leak"}, path)
    name = "filter.git-crypt"
    around = ("-c", f"{name}.process=", "-c", f"{name}.clean=cat", "-c", f"{name}.smudge=cat", "-c", f"{name}.required=false")
    unlocked.git(*around, "commit", "--quiet", "--no-verify", "-a", "-m", "leak", cwd=path)
    assert blob(unlocked, "HEAD", "secrets/db.env", path) == b"leak"
    before = unlocked.refs()
    done = unlocked.run("git", *around, "push", "origin", "HEAD:leak", cwd=path, check=False)
    assert done.returncode == 1 and unlocked.refs() == before and "secrets/db.env" in done.stderr


@pytest.mark.slow
def test_a_moved_clone_stays_fit(unlocked: World) -> None:
    started(unlocked)
    moved = unlocked.root / "mo ved"
    unlocked.clone.rename(moved)
    unlocked.git("worktree", "repair", moved / ".worktrees/work", cwd=moved)
    fit(unlocked, moved / ".worktrees/work")


@pytest.mark.slow
def test_taking_the_hooks_out_leaves_the_worktrees_fit_and_the_last_one_takes_it_along(unlocked: World) -> None:
    assert unlocked.homelab("hooks", "install").returncode == 0
    config = (unlocked.clone / ".git/config").read_text()
    path = started(unlocked)
    done = unlocked.homelab("hooks", "uninstall")
    assert done.returncode == 0 and "git-crypt" in done.stderr
    fit(unlocked, path)
    unlocked.git("worktree", "remove", "--force", path)
    assert unlocked.homelab("hooks", "uninstall").returncode == 0
    assert (unlocked.clone / ".git/config").read_text() == config
    assert not (unlocked.clone / ".git/homelab/ciphertext.py").exists()


@pytest.mark.slow
def test_without_the_python_that_it_was_installed_with_another_one_does(unlocked: World) -> None:
    path = started(unlocked)
    file = unlocked.clone / ".git/homelab/keyless.config"
    content = file.read_text()
    file.write_text(content.replace("for p in ", "for p in /nowhere/python #".replace("#", "")))
    fit(unlocked, path)


@pytest.mark.slow
def test_a_worktree_that_somebody_unlocked_for_himself_goes_on_decrypted(unlocked: World) -> None:
    path = started(unlocked)
    git_dir = Path(unlocked.git("rev-parse", "--git-dir", cwd=path))
    shutil.copytree(unlocked.clone / ".git/git-crypt", git_dir / "git-crypt")
    for name in SECRETS:
        (path / name).unlink()
    unlocked.git("checkout", "--", ".", cwd=path)
    assert all((path / name).read_text() == content for name, content in SECRETS.items())
    unlocked.write({"secrets/db.env": "password=other # git-crypt diff itself shows nothing of short files\n"}, path)
    assert "password=other" in unlocked.git("diff", cwd=path)
    unlocked.git("commit", "--quiet", "-a", "-m", "rotate", cwd=path)
    assert sealed(unlocked, "HEAD", path)
    fit(unlocked, started(unlocked, "beside"))


def test_what_stands_in_the_clones_configuration_is_left_there(unlocked: World) -> None:
    unlocked.git("config", "--add", "includeIf.gitdir:./worktrees/.path", "mine.config")
    (unlocked.clone / ".git/mine.config").write_text("[my]\n\tvalue = 1\n")
    path = started(unlocked)
    assert unlocked.git("config", "my.value", cwd=path) == "1"
    unlocked.git("worktree", "remove", path)
    assert unlocked.homelab("hooks", "uninstall").returncode == 0
    values = unlocked.git("config", "--get-all", "includeIf.gitdir:./worktrees/.path")
    assert values == "mine.config"


@pytest.mark.slow
def test_doctor_tells_of_worktrees_that_are_not_fit_and_install_mends_them(unlocked: World) -> None:
    assert unlocked.homelab("hooks", "install").returncode == 0
    keys = lock(unlocked)
    path = unlocked.root / "plain"
    unlocked.git("worktree", "add", "--quiet", "-b", "plain", path)
    unlock(unlocked, keys)

    def told() -> bool:
        return any(row["id"] == "git-crypt-worktrees" for row in unlocked.json("doctor")["findings"])

    assert told()
    assert unlocked.homelab("hooks", "install").returncode == 0
    assert not told()
    fit(unlocked, path)
    lock(unlocked)
    unlock(unlocked, keys)
    assert told()  # git-crypt has put its settings behind ours
    assert unlocked.homelab("hooks", "install").returncode == 0
    assert not told()
    program = unlocked.clone / ".git/homelab/ciphertext.py"
    for damage in (lambda: program.write_bytes(program.read_bytes()[:999]), program.unlink, lambda: os.mkfifo(program)):
        damage()
        assert told()
        assert damage == program.unlink or unlocked.homelab("hooks", "install").returncode == 0
    fit(unlocked, path)


@pytest.mark.slow
def test_a_locked_configuration_is_waited_for_and_nothing_is_left_behind(unlocked: World) -> None:
    lock = unlocked.clone / ".git/config.lock"
    lock.touch()
    done = unlocked.homelab("work", "start", "work")
    assert done.returncode == 1 and "config.lock" in done.stderr
    assert not (unlocked.clone / ".worktrees").exists() and unlocked.git("branch", "--list", "ada/*") == ""
    lock.unlink()
    fit(unlocked, started(unlocked))


@pytest.mark.slow
def test_many_starts_at_once_are_all_fit(unlocked: World) -> None:
    with ThreadPoolExecutor(12) as pool:
        paths = list(pool.map(lambda n: started(unlocked, f"work-{n}"), range(12)))
    assert len(set(paths)) == 12
    values = unlocked.git("config", "--get-all", "includeIf.gitdir:./worktrees/.path")
    assert values == "homelab/keyless.config"
    for path in paths:
        assert unlocked.git("status", "--porcelain", cwd=path) == ""


@pytest.mark.slow
def test_a_bare_layout_is_fit(unlocked: World) -> None:
    root = bare_layout(unlocked)
    fit(unlocked, started(unlocked, cwd=root))


@pytest.mark.slow
def test_large_secrets_and_many_of_them_go_through_whole(unlocked: World) -> None:
    big = b"".join(n.to_bytes(4, "big") for n in range(300_000))
    files: dict[str, str | bytes] = {f"secrets/{n}": str(n) for n in range(60)}
    unlocked.commit({**files, "secrets/big": big, "secrets/umlaut \xe4 \n": "x"})
    unlocked.git("push", "--quiet", "origin", "master")
    path = started(unlocked)
    unlocked.git("reset", "--quiet", "--hard", cwd=path)
    assert unlocked.git("hash-object", "--no-filters", "secrets/big", cwd=path) == unlocked.git("rev-parse", "HEAD:secrets/big")
    fit(unlocked, path)


def test_a_repository_without_git_crypt_has_nothing_of_it(world: World) -> None:
    before = (world.clone / ".git/config").read_text()
    done = world.homelab("work", "start", "work")
    assert "encrypted" not in done.stderr
    assert (world.clone / ".git/config").read_text() == before
    assert not (world.clone / ".git/homelab/keyless.config").exists()


@pytest.mark.slow
def test_suites_see_ciphertext_whatever_the_clone_is_unlocked_for(unlocked: World) -> None:
    suite = '[[suite]]\nname = "sealed"\nrun = "head -c 10 secrets/db.env | tr -d \'\\\\000\' | grep -qx GITCRYPT"\n'
    unlocked.commit({"homelab.toml": suite})
    assert unlocked.homelab("verify", "--fresh").returncode == 0
    keys = lock(unlocked)
    assert "cached" in unlocked.homelab("verify").stdout
    assert unlocked.homelab("verify", "--fresh").returncode == 0
    unlock(unlocked, keys)
    assert unlocked.homelab("verify", "--fresh", cwd=started(unlocked)).returncode == 0


@pytest.mark.slow
def test_plaintext_committed_past_the_filter_is_named_by_landing_with_the_way_back(unlocked: World) -> None:
    place = Path(unlocked.homelab("work", "start", "t").stdout.strip())
    past = [part for name in ("git-crypt", "git-crypt-team") for kind in ("smudge", "clean")
            for part in ("-c", f"filter.{name}.{kind}=cat", "-c", f"filter.{name}.required=false")]  # fmt: skip
    unlocked.write({"secrets/db.env": "password=new\n", "secrets/more.env": "x=1\n", "work": "1\n"}, cwd=place)
    unlocked.git(*past, "add", "--all", cwd=place)
    unlocked.git(*past, "commit", "--quiet", "--no-verify", "-m", "plain", cwd=place)
    plain = unlocked.git("rev-parse", "HEAD", cwd=place)
    unlocked.git(*past, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", "more", cwd=place)
    before = unlocked.refs()
    answer = unlocked.json("work", "land", "--verify-cmd", "true", cwd=place)
    assert answer["status"] == "refused" and plain[:12] in answer["error"]["next"] and unlocked.refs() == before
    assert {row["path"] for row in answer["exposed"]} == {"secrets/db.env", "secrets/more.env"}
    unlocked.run("sh", "-c", answer["error"]["next"], cwd=place)
    unlocked.git("commit", "--quiet", "-m", "work", cwd=place)
    assert unlocked.json("work", "land", cwd=place)["status"] == "landed"
    assert sealed(unlocked, unlocked.tip()) and (place / "secrets/more.env").read_text() == "x=1\n"
    assert unlocked.git("ls-tree", "-r", "--name-only", unlocked.tip(), "work", "secrets/more.env") == "work"


@pytest.mark.slow
def test_the_way_back_seals_the_secret_where_the_key_is_and_merges_where_the_target_made_it_one(unlocked: World) -> None:
    past = ("-c", "filter.git-crypt.clean=cat", "-c", "filter.git-crypt.required=false")
    unlocked.git("switch", "--quiet", "-c", "topic")
    unlocked.write({"secrets/db.env": "password=new\n", "secrets/gone": "x\n", "odd/my PATH.txt": "y\n"})
    unlocked.git(*past, "add", "--all")
    unlocked.git(*past, "commit", "--quiet", "--no-verify", "-m", "plain")
    # An empty secret that git-crypt 0.7 made a ciphertext of is always changed for `git stash create`, and git 2.39 then fails
    # a merge with "stash failed" every other time.
    unlocked.git("rm", "--quiet", "--force", "secrets/gone", "empty.secret")
    unlocked.git("commit", "--quiet", "--no-verify", "--all", "-m", "sealed again, but not in what came before")
    answer = unlocked.json("work", "land", "--verify-cmd", "true")
    unlocked.run("sh", "-c", answer["error"]["next"], cwd=unlocked.clone / "odd")
    unlocked.git("commit", "--quiet", "-m", "work")
    # Seen by the remote before the target's attributes make a secret of it: the merge alone is plaintext.
    unlocked.git("push", "--quiet", "origin", "topic")
    unlocked.publish({"odd/.gitattributes": "*.txt filter=git-crypt diff=git-crypt\n", "other": "theirs\n"})
    refused = unlocked.json("work", "land", "--verify-cmd", "true")
    assert refused["status"] == "refused" and refused["error"]["next"] is None
    assert "git merge --no-commit origin/master" in refused["error"]["hint"]
    unlocked.git("merge", "--quiet", "--no-commit", "origin/master")
    unlocked.git("add", "--renormalize", ".")
    unlocked.git("commit", "--quiet", "-m", "merge")
    assert unlocked.json("work", "land", "--verify-cmd", "true")["status"] == "landed"
    assert sealed(unlocked, unlocked.tip()) and (unlocked.clone / "secrets/db.env").read_text() == "password=new\n"
    assert blob(unlocked, unlocked.tip(), "odd/my PATH.txt").startswith(b"\0GITCRYPT")
    assert blob(unlocked, unlocked.tip(), "other") == b"theirs\n"


@pytest.mark.slow
def test_a_conflict_in_a_secret_names_what_can_be_done_without_the_key_and_with_it(unlocked: World) -> None:
    # With git-crypt 0.7 git takes an empty secret for changed wherever it is unlocked, and begins no merge.
    unlocked.git("rm", "--quiet", "--force", "empty.secret")
    unlocked.git("commit", "--quiet", "-m", "without it")
    unlocked.git("push", "--quiet", "--no-verify", "origin", "master")
    place = started(unlocked)
    mine = unlocked.commit({"secrets/db.env": "mine\n"})
    unlocked.git("reset", "--quiet", "--hard", mine, cwd=place)
    unlocked.git("reset", "--quiet", "--hard", "origin/master")
    unlocked.commit({"secrets/db.env": "theirs\n"})
    unlocked.git("push", "--quiet", "--no-verify", "origin", "master")
    for _ in range(2):
        done = unlocked.homelab("work", "land", cwd=place)
        assert done.returncode == 5 and "git checkout --ours -- secrets/db.env" in done.stderr
    assert "`git merge --abort`, `git-crypt unlock KEYFILE`" in done.stderr
    unlocked.git("crypt", "export-key", unlocked.root / "default")
    unlocked.git("crypt", "export-key", "-k", "team", unlocked.root / "team")
    unlocked.git("merge", "--abort", cwd=place)
    unlocked.git("crypt", "unlock", unlocked.root / "default", unlocked.root / "team", cwd=place)
    done = unlocked.homelab("work", "land", cwd=place)
    assert done.returncode == 5 and "git-crypt" not in done.stderr
    unlocked.commit({"secrets/db.env": "both\n"}, cwd=place)
    assert unlocked.json("work", "land", cwd=place)["status"] == "landed"
    assert blob(unlocked, unlocked.tip(), "secrets/db.env").startswith(b"\0GITCRYPT\0")
    unlocked.git("pull", "--quiet")
    assert (unlocked.clone / "secrets/db.env").read_text() == "both\n"
