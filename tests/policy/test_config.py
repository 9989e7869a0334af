"""homelab.toml: what may be written in it, and a sentence for what may not."""

from __future__ import annotations

import pytest

from homelab.errors import Usage
from homelab.policy import config_file
from homelab.policy.config import Config, Gate, Suite, Verify, Work

SUITE = '[[suite]]\nname = "a"\n'


def read(text: str) -> Config:
    return config_file.parse(text.encode())


def test_every_setting_is_read() -> None:
    assert read('[gate]\nred_before = "refuse"\nmax_deleted = 10').gate == Gate(red_before="refuse", max_deleted=10)
    assert read('[verify]\ntools = ["terraform version"]').verify == Verify(tools=("terraform version",))
    assert read('[work]\ndirectory = "wt"').work == Work(directory="wt")
    assert read(SUITE + 'run = "x"\nsecrets = true').suites == (Suite("a", "x", secrets=True),)
    assert read(SUITE + 'ci = "ci/*"\ninputs = ["x"]\ntimeout = "1h"').suites == (
        Suite("a", ci="ci/*", inputs=("x",), timeout=3600),
    )


@pytest.mark.parametrize(
    "text, words",
    [
        ('[gate]\nred_before = "block"', 'it has to be "tell" or "refuse"'),
        ("[gate]\nmax_deleted = 101", "percentage"),
        ('[verify]\ntools = [" "]', "it has to be a command"),
        ('[verify]\ntools = "terraform"', "a list of strings"),
        ("[verify]\njobs = " + "1" * 5000, "is not TOML"),
        ("[verify]\njobs = " + "1" * 4000, "smaller number"),
        ("[verify]\njobs = -" + "1" * 4000, "a number of at least 1"),
        ("[verify]\nprepare = " + "1" * 4000, "a string"),
        ("[gate]\ntarget = 1979-05-27", "a string"),
        (SUITE, "write the command that decides"),
        (SUITE + 'run = "x"\nsecrets = "yes"', "true or false"),
        (SUITE + 'ci = " "', "name the checks that decide"),
        *((SUITE + f'ci = "c/*"\n{other}', "remove ") for other in (
            'run = "x"', 'each = "a/*"', 'dir = "x"', 'env = ["A"]', "retries = 1", "secrets = true"
        )),
        (SUITE + 'run = "x"\ntimeout = "366d"', "at most 365d"),
        (SUITE + 'run = "x"\ntimeout = "999999999d"', "at most 365d"),
        (SUITE + 'run = "x"\ntimeout = "٣m"', "90s, 15m, 2h or 7d"),
        ('[land]\ndeadline = "' + "9" * 5000 + 'm"', "90s, 15m, 2h or 7d"),
        ('[work]\ndirectory = "~/wt"', "write it from the root"),
        ('[work]\ndirectory = "/wt"', "write it from the root"),
        ('[work]\nbranch = "x"', "{topic}"),
        ("[ci]\nurl = \"https://me:token@git.example\"", "without a name or password"),
        ("[gtae]\n", "did you mean `gate`?"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_wrong_usage_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(Usage) as caught:
        read(text)
    assert words in f"{caught.value.message} {caught.value.hint}" and len(caught.value.message) < 400


def test_a_duration_is_a_year_at_most() -> None:
    assert config_file.duration("365d") == 365 * 86400
    with pytest.raises(Usage, match="longer than a year"):
        config_file.duration("8761h")
