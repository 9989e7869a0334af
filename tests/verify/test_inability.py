"""What says that something is missing here is told from a red, in the words of the programs themselves."""

import time

import pytest

from homelab.verify.inability import inability

REGISTRY = """\
\x1b[31m\u2502\x1b[0m \x1b[0mFailed to retrieve available versions for module "project" (main.tf:47)
\x1b[31m\u2502\x1b[0m \x1b[0mfrom registry.terraform.io: failed to request discovery document: Get
\x1b[31m\u2502\x1b[0m \x1b[0m"https://registry.terraform.io/.well-known/terraform.json": dial tcp:
\x1b[31m\u2502\x1b[0m \x1b[0mlookup registry.terraform.io on 10.0.0.53:53: no such host.
"""
SPLIT = "\u2502 dial tcp: lookup registry.terraform.io on 10.0.0.53:53: no such\n\u2502 host\n"
COMPOSE = "unknown flag: --quiet\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n"
NETWORK = "the network is not there"


@pytest.mark.parametrize(
    ("log", "code", "missing"),
    [
        ("sh: 1: go: not found\n", 127, "go is not installed"),
        ("bash: line 1: go: command not found\n", 127, "go is not installed"),
        ("make: bats: No such file or directory\nmake: *** [Makefile:2: test] Error 127\n", 2, "bats is not installed"),
        # xargs ends with 123, and a script with what it likes.
        ("overlays/home: 1: kustomize: not found\n", 123, "kustomize is not installed"),
        ("./hyprland.test.sh: line 6: rg: command not found\nit must ignore focus\n", 1, "rg is not installed"),
        ("/usr/bin/python3: No module named pytest\n", 1, "pytest is not installed"),
        ("Traceback (most recent call last):\nModuleNotFoundError: No module named 'yaml'\n", 1, "yaml is not installed"),
        ("ModuleNotFoundError: No module named 'yaml'\nmake: *** [Makefile:2: test] Error 1\n", 2, "yaml is not installed"),
        (COMPOSE, 125, "docker compose is not installed"),
        ("unknown shorthand flag: 'q' in -q\nSee 'docker --help'.\n", 125, "docker compose is not installed"),
        ("docker: 'compose' is not a docker command.\nSee 'docker --help'\n", 1, "docker compose is not installed"),
        ("docker: unknown command: docker compose\n", 1, "docker compose is not installed"),
        ("error: no such command: `clippy`\n", 101, "cargo clippy is not installed"),
        ("error: 'cargo-fmt' is not installed for the toolchain 'stable'.\n", 1, "cargo fmt is not installed"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n", 1, "docker is not running"),
        (REGISTRY, 1, NETWORK),
        (SPLIT, 1, NETWORK),
        ("dial tcp: lookup proxy.golang.org: no such host\n", 1, NETWORK),
        ("fatal: unable to access 'https://x/': Could not resolve host: x\n", 128, NETWORK),
        ("npm error code EAI_AGAIN\nnpm error request failed, reason: getaddrinfo EAI_AGAIN x\n", 1, NETWORK),
        # What a commit can mend is no inability.
        ("2 failed, 3 passed in 1.2s\n", 1, ""),
        ("unknown flag: --frobnicate\n", 1, ""),
        ("docker compose: service web has neither an image nor a build context\n", 15, ""),
        ("tests/run.sh: line 3: ./missing: No such file or directory\n", 1, ""),
        ("page not found\n", 1, ""),
        ("ModuleNotFoundError: No module named 'ours.part'\n", 1, ""),
        ("E   ModuleNotFoundError: No module named 'yaml'\n1 error in 0.1s\n", 2, ""),
        ("ModuleNotFoundError: No module named 'yaml'\n\nFAILED (errors=1)\n", 1, ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(log: str, code: int, missing: str) -> None:
    assert inability(log, code) == missing


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "x: 1: ",
        "\u2502 ",
        "\n\u2502",
        "unknown flag: ",
        "lookup x on ",
        "\n",
        "ModuleNotFoundError: No module named 'x'\n",
    ],
)
def test_a_log_of_one_piece_takes_no_time(piece: str) -> None:
    began = time.process_time()
    inability(piece * ((1 << 16) // len(piece)), 1)
    assert time.process_time() - began < 0.5
