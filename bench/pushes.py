"""What a hook adds to `git push` of one commit to a bare remote on the same disk."""

from pathlib import Path

from bench import repositories as make
from bench.timing import Case, Table
from tests.world import BIN, World

ZERO = "0" * 40


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    many = 100 if quick else 1000
    rounds = 5 if quick else 21
    plain = make.plain(root / "plain")
    few, lots = make.stacks(root / "few", 10), make.stacks(root / "lots", many)
    return [_hooks(plain, few, lots, rounds, many), _refs(plain, rounds, many), _decision(plain, few, lots, rounds, many)]


def _hooks(plain: World, few: World, lots: World, rounds: int, many: int) -> Table:
    where = plain.root.parent

    def at(name: str) -> World:
        return make.copy(plain, where / name)

    cases = {
        "no hook": _push(at("none")),
        "an empty sh hook": _push(make.sh(at("sh"))),
        "ours, no protected ref": _push(make.gate(at("other")), "HEAD:refs/heads/other"),
        "ours, verified": _push(_verified(at("marked")), verified=True),
        "prek, an empty hook": _push(make.framework(at("prek"), "prek")),
        "ours, judged by receipts": _push(_verified(at("receipts"))),
        "ours, judged by receipts, 10 stacks": _push(few),
        f"ours, judged by receipts, {many:,} stacks": _push(lots),
        "pre-commit, an empty hook": _push(make.framework(at("pre-commit"), "pre-commit")),
    }
    note = f"Over `git push` without a hook, {rounds} rounds."
    if program := make.npm_lefthook(BIN.parent / "bench"):
        cases["lefthook, an empty command"] = _push(make.lefthook(at("lefthook"), program))
    else:
        note += " lefthook was left out: npm is not here or could not fetch it."
    return Table("A push", note).run(cases, rounds)


def _verified(world: World) -> World:
    make.gate(world)
    make.verify(world)
    return world


def _push(world: World, refspec: str = "master", *, verified: bool = False) -> Case:
    def before() -> None:
        make.empty_commit(world)
        if verified:
            make.verify(world)

    return Case(["git", "push", "--quiet", "origin", refspec], world.clone, world.env, before)


def _refs(plain: World, rounds: int, many: int) -> Table:
    """Return what the hook itself needs for a push of many refs, none of them protected."""
    world = make.gate(make.copy(plain, plain.root.parent / "refs"))
    counts = [1, many, 3 * many]
    cases = {}
    for count in counts:
        lines = "".join(f"refs/heads/b{n} {n + 1:040x} refs/heads/b{n} {ZERO}\n" for n in range(count))
        cases[f"{count:,} refs"] = Case(
            [world.clone / ".git/hooks/pre-push", "origin", "url"], world.clone, world.env, input=lines.encode()
        )
    return Table("The hook alone, by the refs of a push", "None of them is protected.").run(cases, rounds)


def _decision(plain: World, few: World, lots: World, rounds: int, many: int) -> Table:
    """Return what Python needs to judge one update by receipts."""
    bare = Case([BIN / "python", "-I", "-c", "pass"], plain.clone, plain.env)
    cases = {
        "python -I -c pass": bare,
        "one suite, the tree is known": _judge(make.gate(make.copy(plain, plain.root.parent / "one"))),
        "10 stacks, the tree is known": _judge(few),
        f"{many:,} stacks, the tree is known": _judge(lots),
        f"{many:,} stacks, each is looked up": _judge(lots, whole=False),
    }
    return Table("The gate's decision by receipts", "Python alone, as the hook starts it.").run(cases, rounds)


def _judge(world: World, *, whole: bool = True) -> Case:
    make.verify(world)
    old, new = world.git("rev-parse", "origin/master"), world.git("rev-parse", "HEAD")
    if old == new:
        make.empty_commit(world)
        new = world.git("rev-parse", "HEAD")

    def forget() -> None:
        if not whole:
            for path in (world.clone / ".git/homelab/receipts").rglob("*.json"):
                if b'"name": "policy"' in path.read_bytes():
                    path.unlink()

    line = f"refs/heads/master {new} refs/heads/master {old}\n".encode()
    hook: list[str | Path] = [BIN / "python", "-I", "-m", "hooks.verified_push", "--native", "origin", "url"]
    return Case(hook, world.clone, world.env, forget, line)
