"""Where the token comes from, in which order, and what a helper may not do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from homelab.ci import site
from homelab.ci.token import VARIABLES, secret
from homelab.ci.where import Place
from homelab.git.repository import discover
from tests.support.forge import KINDS
from tests.support.world import World


@pytest.fixture
def bare(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A clone of somebody who has no token anywhere."""
    for names in VARIABLES.values():
        for name in (*names, "HOMELAB_CI_TOKEN", "HOMELAB_CI_PACE"):
            monkeypatch.delenv(name, raising=False)
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_place_that_has_a_token_counts(
    bare: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = Place(kind, "https://git.example:8443", "ada/infra")
    repository = discover(bare.clone)

    def sent() -> str:
        return secret(repository, place).get("Authorization", "")

    assert sent() == ""
    with_user = kind in ("forgejo", "github")
    netrc = Path(bare.env["HOME"]) / ".netrc"
    netrc.write_text("machine git.example login ada password of-netrc\n")
    netrc.chmod(0o600)
    assert sent().split()[-1] == (base64.b64encode(b"ada:of-netrc").decode() if with_user else "of-netrc")
    helper = tmp_path / "helper"
    helper.write_text('#!/bin/sh\n[ "$1" = get ] && cat >"$0.asked" && echo username=ada && echo password=of-git\n')
    helper.chmod(0o755)
    bare.git("config", "credential.helper", str(helper))
    assert sent().split()[-1] == (base64.b64encode(b"ada:of-git").decode() if with_user else "of-git")
    assert "host=git.example:8443" in Path(f"{helper}.asked").read_text()
    for name in reversed(VARIABLES[kind]):
        monkeypatch.setenv(name, f"of {name}".replace(" ", "-"))
        assert sent().endswith(f" of-{name}")
    monkeypatch.setenv("HOMELAB_CI_TOKEN", " ours\n")
    assert sent() in ("Bearer ours", "token ours")


@pytest.mark.parametrize(("kind", "tool"), [("github", "gh"), ("gitlab", "glab")])
def test_the_forges_own_tool_is_asked_last(
    bare: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, tool: str
) -> None:
    program = tmp_path / tool
    program.write_text('#!/bin/sh\ncase "$*" in *git.example*) echo of-the-tool;; *) exit 1;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{bare.env['PATH']}")
    assert secret(discover(bare.clone), Place(kind, "https://git.example", "a/b"))["Authorization"] == "Bearer of-the-tool"
    assert secret(discover(bare.clone), Place(kind, "https://other.example", "a/b")) == {}


def test_nobody_is_asked_for_a_password(bare: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = tmp_path / "window"
    window.write_text('#!/bin/sh\ntouch "$0.opened"\necho typed\n')
    window.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(window))
    bare.git("config", "core.askPass", str(window))
    assert secret(discover(bare.clone), Place("forgejo", "https://git.example", "a/b")) == {}
    assert not Path(f"{window}.opened").exists()


@pytest.mark.parametrize(
    ("url", "said", "pace"),
    [
        ("http://127.0.0.1:1", "0.05", 0.05),
        ("http://[::1]:1", "1", 1.0),
        ("https://git.example", "0.05", 1.0),
        *(("http://127.0.0.1:1", said, 1.0) for said in ("0", "-1", "2", "nan", "inf", "x", "0.001", "")),
    ],
)
def test_pace_is_heeded_for_loopback_alone(
    bare: World, monkeypatch: pytest.MonkeyPatch, url: str, said: str, pace: float
) -> None:
    from homelab.policy.config import Ci

    monkeypatch.setenv("HOMELAB_CI_PACE", said)
    found = site.find(discover(bare.clone), "origin", "master", Ci("forgejo", url, "a/b"))
    assert found.clock.pace == pace
