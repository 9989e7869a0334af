"""The shell function `hw` and completion, in real shells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.terminal import terminal
from tests.support.world import World

SHELLS = [pytest.param(name, marks=needs(name)) for name in ("bash", "zsh", "fish")]


def shell(world: World, name: str, script: str) -> list[str]:
    """Run a script in a shell that has what shell-init prints, and return the lines of its stdout."""
    load = "homelab shell-init fish | source" if name == "fish" else 'eval "$(homelab shell-init)"'
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    done = world.run(shutil.which(name) or name, *options, "-c", f"{load}\n{script}", check=False)
    assert "rror" not in done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_hw_changes_into_a_started_worktree_and_leaves_a_cleaned_one(world: World, name: str) -> None:
    path = world.clone / ".worktrees/fix-dns"
    rows = shell(world, name, "hw fix-dns; pwd; hw; pwd; hw start fix-dns; pwd; hw clean; pwd; ls .worktrees 2>/dev/null")
    assert rows == [str(path), str(world.clone), str(path), f"removed {path}", str(world.clone)]
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_hw_goes_to_a_worktree_that_is_there_and_back(world: World, name: str) -> None:
    path = world.clone / ".worktrees/x"
    rows = shell(world, name, "hw x; hw; hw switch x; pwd; hw -; pwd; hw -; pwd; hw ls --json | head -1; hw rm; pwd")
    assert rows == [str(path), str(world.clone), str(path), "[", f"removed {path}", str(world.clone)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_hw_stays_where_it_is_when_something_is_refused(world: World, name: str) -> None:
    code = "echo $status" if name == "fish" else "echo $?"
    rows = shell(world, name, f"hw work; echo x > new; hw clean; {code}; pwd; hw ../x; {code}; pwd; hw list --json | head -1")
    path = str(world.clone / ".worktrees/work")
    assert rows == ["3", path, "2", path, "["]
    assert (Path(path) / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_other_words_are_those_of_homelab_work(world: World, name: str) -> None:
    head = world.git("rev-parse", "HEAD")
    rows = shell(world, name, "hw work; git commit -q --allow-empty -m x; hw land; hw clean work; pwd")
    assert rows[0].startswith("landed ") and "/work as " in rows[0] and rows[-1] == str(world.clone)
    assert world.tip() != head


def completed(world: World, words: str) -> list[str]:
    """Return what is offered for the last word, as bash asks for it."""
    env = {"_HOMELAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = world.run("homelab", env=env, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_commands_options_and_topics_are_offered(world: World) -> None:
    for name in ("one", "feat/two"):
        assert world.homelab("work", "start", name).returncode == 0
    assert "plain,land" in completed(world, "homelab work l")
    assert "plain,--no-verify" in completed(world, "homelab work land --")
    assert completed(world, "homelab work clean ") == ["plain,feat/two", "plain,one"]
    assert completed(world, "homelab work clean o") == ["plain,one"]
    (world.clone / "homelab.toml").write_text("broken")
    assert completed(world, "homelab work clean ") == ["plain,feat/two", "plain,one"]


def test_outside_of_a_repository_nothing_is_offered_and_nothing_breaks(world: World) -> None:
    env = {"_HOMELAB_COMPLETE": "bash_complete", "COMP_WORDS": "homelab work clean ", "COMP_CWORD": "3"}
    done = world.run("homelab", cwd=world.root, env=env)
    assert (done.stdout, done.stderr) == ("\n", "")


PROMPT = {"bash": ("--noprofile", "--norc", "-i"), "zsh": ("-f", "-i")}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS[:2])
def test_a_tab_completes_labels_with_a_colon_and_what_follows_hw(world: World, name: str) -> None:
    """What a person sees, in the shell itself: a shell that ends words at `:` must not lose the half of a label."""
    world.write({"stacks/dns/main.tf": "", "stacks/vault/main.tf": ""})
    for topic in ("one", "feat/two"):
        assert world.homelab("work", "start", topic).returncode == 0
    load = 'eval "$(homelab shell-init)"'
    with terminal(shutil.which(name) or name, *PROMPT[name], cwd=world.clone, env={**world.env, "PS1": "$ "}) as shown:
        shown.press(f"{load}; clear; echo rea''dy\n")
        shown.until(lambda lines: "ready" in lines)
        for typed, completed in (
            ("homelab claim stack:d", "homelab claim stack:dns"),
            ("homelab claim sta", "homelab claim stack:"),
            ("homelab claim stack:dns stack:v", "homelab claim stack:dns stack:vault"),
            ("homelab work clean fe", "homelab work clean feat/two"),
            ("hw fe", "hw feat/two"),
            ("hw cle", "hw clean"),
            ("hw clean o", "hw clean one"),
        ):
            shown.press(f"{typed}\t")
            shown.until(lambda lines, wanted=completed: any(line.endswith(wanted) for line in lines))  # type: ignore[misc]
            shown.press("\x15clear\n")
            shown.until(lambda lines: not any("homelab" in line or "hw" in line for line in lines))
        assert not any("homelab:" in line for line in shown.lines())


@needs("bash")
def test_bash_completes_from_what_shell_init_prints(world: World) -> None:
    world.homelab("work", "start", "one")
    script = (
        "complete -p homelab hw >/dev/null; COMP_WORDS=(homelab work clean o); COMP_LINE='homelab work clean o'; COMP_CWORD=3; "
        "_homelab_completion homelab; echo ${COMPREPLY[@]}"
    )
    assert shell(world, "bash", script) == ["one"]


@pytest.mark.slow
@needs("zsh")
def test_zsh_knows_the_completion(world: World) -> None:
    assert shell(world, "zsh", "echo $_comps[homelab]") == ["_homelab_completion"]


@pytest.mark.slow
@needs("fish")
def test_fish_completes_from_what_shell_init_prints(world: World) -> None:
    world.homelab("work", "start", "one")
    world.write({"stacks/dns/main.tf": ""})
    for line, offered in (("homelab work clean o", "one"), ("homelab claim stack:d", "stack:dns"), ("hw o", "one")):
        assert shell(world, "fish", f"complete -C'{line}'") == [offered]
