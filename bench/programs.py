"""What the program costs to start, to ask, and to start work with."""

from pathlib import Path

from bench import repositories as make
from bench.timing import Case, Table
from tests.world import BIN, World

HOMELAB = BIN / "homelab"
FILES = 20_000


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    world = make.plain(root / "plain")
    make.verify(world)
    rounds = 7 if quick else 31
    return [_starting(world, rounds), _worktrees(root / "worktrees", 2 if quick else 5)]


def _starting(world: World, rounds: int) -> Table:
    def case(*argv: str | Path) -> Case:
        return Case(argv, world.clone, world.env)

    cases = {
        "python -c pass": case(BIN / "python", "-c", "pass"),
        "homelab --version": case(HOMELAB, "--version"),
        "homelab manifest": case(HOMELAB, "manifest"),
        "homelab work --help": case(HOMELAB, "work", "--help"),
        "homelab verify, verified": case(HOMELAB, "verify"),
        "homelab work list": case(HOMELAB, "work", "list"),
    }
    return Table("The program", "Beside the interpreter that it runs in.").run(cases, rounds)


def _worktrees(root: Path, rounds: int) -> Table:
    """Return what a worktree costs, each one removed again before the next."""
    world = make.plain(root)
    world.write({f"d{n % 100:02}/f{n:05}": f"{n}\n" * 20 for n in range(FILES)})
    world.git("add", "--all")
    world.git("commit", "--quiet", "-m", "files")
    world.git("push", "--quiet", "origin", "master")

    def drop(path: Path, branch: str) -> None:
        world.git("worktree", "remove", "--force", path, check=False)
        world.git("branch", "-D", branch, check=False)

    plain, ours = world.root / "by-git", world.clone / ".worktrees/topic"
    add: list[str | Path] = ["git", "worktree", "add", "--quiet", "-b", "by-git", plain, "origin/master"]
    cases = {
        "git worktree add": Case(add, world.clone, world.env, lambda: drop(plain, "by-git")),
        "homelab work start": Case(
            [HOMELAB, "work", "start", "topic"], world.clone, world.env, lambda: drop(ours, "ada/topic")
        ),
    }
    return Table(f"A worktree of {FILES:,} files", "`work start` asks the remote as well.").run(cases, rounds)
