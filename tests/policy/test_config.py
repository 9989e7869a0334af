"""homelab.toml: what may be written in it, and a sentence for what may not."""

from __future__ import annotations

import pytest

from homelab.errors import Usage
from homelab.policy import config_file
from homelab.policy.config import SECTIONS, Config, Gate, Suite, Verify, Work

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
        ("[gtae]\n", "did you mean `[gate]`?"),
        *((text, 'write it with two brackets: `[[suite]]`, and below it `name =') for text in (
            "[suite]", '[suite.x]\nrun = "x"', 'suite = "x"', 'suite = ["x"]'
        )),
        *((text, "did you mean `[[suite]]`, and below it `name =") for text in ("[suites.x]", "[[suites]]", "[suits]")),
        *((text, "as a table of its own") for text in ("[verify.suites.x]", "[verify.suite]", "[[land.suite]]", "[work.gate]")),
        ('run = "x"', 'write `run = "TEXT"` below `[[suite]]`'),
        (SUITE + 'run = "x"\njobs = 3', "write `jobs = 1` below `[verify]`"),
        (SUITE + 'run = "x"\ntimeuot = "3m"', 'did you mean `timeout = "15m"`?'),
        ("[gate]\nmax_delete = 3", "did you mean `max_deleted = 50`?"),
        ("[gate]\nprotects = []", 'did you mean `protect = ["release/*"]`?'),
        ('[gate]\nred_befor = "x"', 'did you mean `red_before = "tell"`?'),
        ("[land]\nhld = true", "did you mean `hold = true`?"),
        ("[elsewhere]", "known are: [gate], [verify], [work], [land], [claims], [ci], [[suite]]"),
        ("[land]\nxyz = 1", "known are: each_commit, attempts"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_wrong_usage_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(Usage) as caught:
        read(text)
    assert words in f"{caught.value.message} {caught.value.hint}" and len(caught.value.message) < 400


def test_every_key_and_table_has_an_example_that_can_be_read() -> None:
    for level in ("", *SECTIONS, "suite"):
        for name in config_file._keys(level):
            example = config_file._written(name, level).replace("`", "").replace(", and below it ", "\n").replace(" and ", "\n")
            table = SUITE.replace('name = "a"\n', "") if level == "suite" else f"[{level}]\n" if level else ""
            more = {"name": 'run = "x"', "run": 'name = "x"', "ci": 'name = "x"'}.get(name, 'name = "x"\nrun = "x"')
            read(f"{table}{example}\n" + (more if level == "suite" else ""))


def test_a_duration_is_a_year_at_most() -> None:
    assert config_file.duration("365d") == 365 * 86400
    with pytest.raises(Usage, match="longer than a year"):
        config_file.duration("8761h")
