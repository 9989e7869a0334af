"""A suite that CI decides: verified on a try branch, landed by its receipt, refused without, and nothing of it stays."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forge import WORKFLOW, Answer, Forge, Run, serving, tries
from tests.support.world import BIN, World

SUITE = '[[suite]]\nname = "elsewhere"\nci = "ci/*"\ninputs = ["src"]\n'
ENV = {"HOMELAB_CI_PACE": "0.01", "HOMELAB_CI_TOKEN": "s3cret"}


@pytest.fixture
def forge(gated: World) -> Iterator[Forge]:
    """A stand-in that is green for what a try branch has, and red where the commit has a file called `src/bad`."""
    world = gated
    with serving("forgejo") as made:
        world.publish({"homelab.toml": made.config() + SUITE, ".forgejo/workflows/test.yml": WORKFLOW, "src/a": "1\n"})
        world.git("pull", "--quiet", "origin", "master")
        landed: set[str] = set()

        def says(commit: str) -> list[Run]:
            there = [row.split()[0] for row in world.refs().splitlines() if row.endswith(commit)]
            if "refs/heads/master" in there or commit in landed:
                landed.add(commit)
                return [Run("ci/test", "success"), Run("ci/test", "success")]  # tried, and then for the target
            if not any("homelab/try/" in name for name in there):
                return []
            bad = world.run("git", "cat-file", "-e", f"{commit}:src/bad", cwd=world.remote, check=False).returncode == 0
            return [Run("ci/test", "failure" if bad else "success", "boom")]

        made.runs = says  # type: ignore[method-assign]
        yield made


def topic(world: World, name: str, files: dict[str, str]) -> None:
    world.git("switch", "--quiet", "-c", name, "origin/master")
    world.commit(files, name)


@pytest.mark.slow
def test_a_green_at_ci_lands_and_is_remembered_by_its_inputs(forge: Forge, gated: World) -> None:
    topic(gated, "t", {"src/a": "2\n"})
    done = gated.homelab("work", "land", "--json", env=ENV)
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "landed"), done.stderr
    (suite,) = document["suites"]
    assert (suite["name"], suite["result"]) == ("elsewhere", "passed") and suite["url"].startswith(forge.url)
    assert gated.tip() == document["pushed"] and tries(gated) == []
    topic(gated, "docs", {"README": "again\n"})
    asked = len(forge.requests)
    document = gated.json("work", "land", "--no-watch", env=ENV)
    assert (document["status"], document["suites"][0]["result"]) == ("landed", "cached")
    assert len(forge.requests) == asked and document["suites"][0]["url"] == suite["url"]


@pytest.mark.slow
def test_a_red_at_ci_is_red_and_shows_what_ci_said(forge: Forge, gated: World) -> None:
    before = gated.tip()
    topic(gated, "t", {"src/bad": "1\n"})
    done = gated.homelab("work", "land", "--json", env=ENV)
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"], document["suites"][0]["result"]) == (1, "failed", "failed")
    assert "ci/test" in document["suites"][0]["reason"]
    assert (gated.tip(), tries(gated)) == (before, [])


@pytest.mark.slow
def test_a_plain_push_without_a_receipt_is_refused_and_names_the_landing(forge: Forge, gated: World) -> None:
    before = gated.tip()
    topic(gated, "t", {"src/a": "3\n"})
    done = gated.run("git", "push", "origin", "HEAD:master", check=False, env=ENV)
    assert done.returncode and "homelab work land" in done.stderr
    assert gated.tip() == before and forge.requests == []
    assert gated.homelab("verify", env=ENV).returncode == 0
    assert gated.run("git", "push", "origin", "HEAD:master", check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [([], 3, "refused"), (Answer(502), 7, "unreachable"), ([Run("ci/test", "skipped")], 3, "refused")],
)
def test_silence_is_unable_and_a_ci_that_is_away_unreachable(
    forge: Forge, gated: World, answer: Answer | list[Run], code: int, kind: str
) -> None:
    def says(_: str) -> list[Run]:
        if isinstance(answer, Answer):
            forge.instead["/statuses"] = lambda _: answer
            return []
        return answer

    topic(gated, "t", {"src/a": "4\n"})
    forge.runs = says  # type: ignore[method-assign,assignment]
    document = gated.json("verify", env=ENV)
    assert (document["ok"], document["error"]["kind"]) == (False, kind), document
    assert tries(gated) == []


@pytest.mark.slow
def test_a_change_of_cis_own_files_is_refused_and_lands_otherwise(forge: Forge, gated: World) -> None:
    before = gated.tip()
    topic(gated, "t", {".forgejo/workflows/test.yml": WORKFLOW.replace("make test", "true")})
    done = gated.homelab("work", "land", env=ENV)
    assert done.returncode == 3 and "CI's own files" in done.stderr and "--no-verify" in done.stderr
    assert "hint: land it by a review" in done.stderr, "the refusal's own way out, not what every suite of CI needs"
    assert gated.tip() == before and tries(gated) == []
    assert gated.homelab("work", "land", "--no-verify", "--no-watch", env=ENV).returncode == 0
    assert gated.tip() != before


def test_a_secret_in_plaintext_is_on_no_try_branch(forge: Forge, gated: World) -> None:
    gated.publish({".gitattributes": "secrets/** filter=git-crypt diff=git-crypt\n"})
    gated.git("fetch", "--quiet", "origin")
    topic(gated, "t", {"src/a": "5\n", "secrets/key": "plain\n"})
    done = gated.homelab("verify", env=ENV)
    assert done.returncode == 3 and "secrets/key" in done.stderr
    assert forge.requests == [] and tries(gated) == []


def test_where_nothing_tells_which_ci_it_is_there_is_no_verdict(forge: Forge, gated: World) -> None:
    gated.publish({"homelab.toml": SUITE})
    gated.git("fetch", "--quiet", "origin")
    topic(gated, "t", {"src/a": "6\n"})
    document = gated.json("verify", env=ENV)
    assert document["error"]["kind"] == "refused" and "nothing known follows CI" in document["error"]["message"]


def test_a_server_that_takes_no_try_branch_gives_no_verdict(forge: Forge, gated: World) -> None:
    gated.server_hook("update", 'case "$1" in refs/heads/homelab/*) echo "no such branches here" >&2; exit 1;; esac')
    topic(gated, "t", {"src/a": "7\n"})
    document = gated.json("verify", env=ENV)
    assert document["error"]["kind"] == "refused" and "cannot be pushed" in document["error"]["message"]


@pytest.mark.slow
def test_of_many_that_land_by_ci_the_red_one_alone_stays_behind(forge: Forge, gated: World) -> None:
    children = {}
    for name in ("a", "bad", "c"):
        path = gated.homelab("work", "start", name).stdout.strip()
        gated.commit({f"src/{name}": "1\n"}, name, cwd=Path(path))
        children[name] = subprocess.Popen(
            [BIN / "homelab", "work", "land", "--no-watch"], cwd=path, env={**gated.env, **ENV}, stderr=subprocess.DEVNULL
        )
    assert {name: child.wait(120) for name, child in children.items()} == {"a": 0, "bad": 1, "c": 0}
    there = gated.git("ls-tree", "--name-only", "master", "src/", cwd=gated.remote).split()
    assert set(there) == {"src/a", "src/c"}
    assert tries(gated) == []
