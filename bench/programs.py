"""What the program costs to start, to ask, and to start work with."""

from pathlib import Path

from bench import repositories as make
from bench.timing import Case, Table
from tests.support.world import BIN, World

HOMELAB = BIN / "homelab"
FILES = 20_000


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    world = make.plain(root / "plain")
    make.verify(world)
    rounds = 7 if quick else 31
    many = make.worktrees(make.stacks(root / "many", 155), 50)
    return [_starting(world, many, rounds), _worktrees(root / "worktrees", 2 if quick else 5)]


def _starting(world: World, many: World, rounds: int) -> Table:
    def case(*argv: str | Path) -> Case:
        return Case(argv, world.clone, world.env)

    cases = {
        "python -c pass": case(BIN / "python", "-c", "pass"),
        "homelab --version": case(HOMELAB, "--version"),
        "homelab manifest": case(HOMELAB, "manifest"),
        "homelab work --help": case(HOMELAB, "work", "--help"),
        "homelab verify, verified": case(HOMELAB, "verify"),
        "homelab": case(HOMELAB),
        "homelab, 155 stacks and 50 worktrees": Case([HOMELAB], many.clone, many.env),
        "homelab work list": case(HOMELAB, "work", "list"),
        "homelab work list, 155 stacks and 50 worktrees": Case([HOMELAB, "work", "list"], many.clone, many.env),
    }
    return Table("The program", "Beside the interpreter that it runs in.").run(cases, rounds)


def _worktrees(root: Path, rounds: int) -> Table:
    """Return what a worktree costs; each has a name of its own, since a disk is slow for a while after a removal."""
    world = make.files(root, FILES)

    def case(command: str) -> Case:
        return Case(["sh", "-c", f"exec {command}"], world.clone, world.env)

    cases = {
        "git worktree add": case("git worktree add --quiet -b by-git-$$ ../by-git-$$ origin/master"),
        "homelab work start": case(f"'{HOMELAB}' work start topic-$$"),
    }
    return Table(
        f"A worktree of {FILES:,} files",
        "`work start` asks the remote as well. A disk that is new to its blocks decides the median: compare the least.",
    ).run(cases, rounds)
