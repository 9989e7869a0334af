"""Where CI is, from a remote's URL and from `[ci]`."""

from __future__ import annotations

import pytest

from homelab.ci.where import is_loopback, of_remote, place
from homelab.policy.config import Ci


@pytest.mark.parametrize(
    ("remote", "kind", "url", "repository"),
    [
        ("https://github.com/ada/infra.git", "github", "https://github.com", "ada/infra"),
        ("https://ada:t0ken@github.com/ada/infra", "github", "https://github.com", "ada/infra"),
        ("git@github.com:ada/infra.git", "github", "https://github.com", "ada/infra"),
        ("ssh://git@ssh.github.com:443/ada/infra.git", "github", "https://github.com", "ada/infra"),
        ("git@gitlab.com:group/sub/infra.git", "gitlab", "https://gitlab.com", "group/sub/infra"),
        ("https://codeberg.org/ada/infra", "forgejo", "https://codeberg.org", "ada/infra"),
        ("ssh://git@git.example:2222/ada/infra.git", None, "https://git.example", "ada/infra"),
        ("http://127.0.0.1:3000/ada/infra.git", None, "http://127.0.0.1:3000", "ada/infra"),
        ("https://git.example:8443/ada/infra.git/", None, "https://git.example:8443", "ada/infra"),
        ("ssh://git@[::1]:2222/ada/infra", None, "https://[::1]", "ada/infra"),
        ("git.example:ada/infra", None, "https://git.example", "ada/infra"),
        ("git@git.example:/ada/infra.git", None, "https://git.example", "ada/infra"),
        ("/srv/git/infra.git", None, None, None),
        ("../infra.git", None, None, None),
        ("file:///srv/git/infra.git", None, None, None),
        ("https://git.example/infra", None, None, None),
        ("https://git.example/../infra", None, None, None),
        ("https://git.example:port/ada/infra", None, None, None),
        ("ext::sh -c evil", None, None, None),
    ],
)
def test_a_remotes_url_tells_where_ci_is(remote: str, kind: str | None, url: str | None, repository: str | None) -> None:
    found = of_remote(remote)
    assert (found.kind, found.url, found.repository) == (kind, url, repository)


@pytest.mark.parametrize(
    ("ci", "remote", "api", "repository"),
    [
        (Ci(), "git@github.com:ada/infra.git", "https://api.github.com", "ada/infra"),
        (Ci(kind="github", url="https://api.github.com"), "/srv/x", "https://api.github.com", None),
        (Ci(kind="github"), "git@ghe.example:ada/infra.git", "https://ghe.example/api/v3", "ada/infra"),
        (Ci(kind="github", url="https://ghe.example/api/v3/"), "/srv/x", "https://ghe.example/api/v3", None),
        (Ci(kind="forgejo"), "https://host.example/git/ada/infra.git", "https://host.example/git", "ada/infra"),
        (Ci(kind="gitlab"), "https://host.example/a/b/c.git", "https://host.example", "a/b/c"),
        (Ci(kind="forgejo", url="https://git.example/api/v1"), "git@ssh.example:ada/infra", "https://git.example", "ada/infra"),
        (Ci(kind="woodpecker", url="https://ci.example"), "git@github.com:a/b", "https://ci.example", "a/b"),
        (Ci(kind="woodpecker", repository="x/y", url="https://ci.example"), "git@github.com:a/b", "https://ci.example", "x/y"),
    ],
)
def test_the_file_says_the_rest(ci: Ci, remote: str, api: str, repository: str | None) -> None:
    found = place(ci, remote)
    assert (found.api, found.repository) == (api, repository)


def test_woodpecker_is_never_at_the_forges_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WOODPECKER_SERVER", raising=False)
    assert place(Ci(kind="woodpecker"), "git@github.com:a/b").url is None
    monkeypatch.setenv("WOODPECKER_SERVER", "https://ci.example/")
    assert place(Ci(kind="woodpecker"), "git@github.com:a/b").url == "https://ci.example"


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("http://127.0.0.1:1", True),
        ("http://localhost", True),
        ("http://[::1]:3000", True),
        ("http://127.9.9.9/x", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://evil.example#127.0.0.1", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
    ],
)
def test_loopback_is_told_by_its_name_alone(url: str, is_it: bool) -> None:
    assert is_loopback(url) is is_it
