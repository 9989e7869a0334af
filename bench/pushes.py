"""What a hook adds to `git push` of one commit to a bare remote on the same disk."""

from pathlib import Path

from bench import repositories as make
from bench.timing import Case, Table
from tests.support.world import BIN, World

ZERO = "0" * 40


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    many = 100 if quick else 1000
    rounds = 5 if quick else 21
    plain = make.plain(root / "plain")
    few, lots = make.stacks(root / "few", 10), make.stacks(root / "lots", many)
    return [
        _hooks(plain, few, lots, rounds, many),
        _sizes(plain, few, lots, 3 if quick else 9, many),
        _refs(plain, rounds, many),
        _decision(plain, few, lots, rounds, many),
    ]


def _hooks(plain: World, few: World, lots: World, rounds: int, many: int) -> Table:
    where = plain.root.parent

    def at(name: str) -> World:
        return make.copy(plain, where / name)

    cases = {
        # Verified as well, so that all three begin alike.
        "no hook": _push(at("none"), verified=True),
        "an empty sh hook": _push(make.sh(at("sh")), verified=True),
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


def _sizes(plain: World, few: World, lots: World, rounds: int, many: int) -> Table:
    """Return what a verified push costs over one without a hook, by what is in the repository and in the push."""
    root = plain.root.parent / "sizes"
    worlds = {"10 stacks": few, f"{many:,} stacks": lots}
    worlds |= {f"{count:,} files": make.gate(make.files(root / f"files-{count}", count)) for count in (100, 100 * many)}
    table = Table("A verified push, by size", f"Each over the same push without a hook, {rounds} rounds.")
    cases = dict[str, Case]()
    for name, world in worlds.items():
        cases |= _pair(name, world, make.ungated(make.copy(world, root / f"none-{len(cases)}")))
    for count in (1, 3 * many):
        gated, none = (make.copy(plain, root / f"refs-{count}-{kind}") for kind in ("ours", "none"))
        cases |= _pair(f"{count:,} refs", make.gate(gated), none, refs=count - 1)
    table.beside = {name: f"{name}, no hook" for name in cases if not name.endswith(", no hook")}
    return table.run(cases, rounds)


def _pair(name: str, gated: World, none: World, refs: int = 0) -> dict[str, Case]:
    """Return a push without a hook, and the same through our gate: master, verified, and so many other branches."""

    def case(world: World) -> Case:
        def before() -> None:
            make.empty_commit(world)
            make.branches(world, refs)
            make.verify(world)

        return Case(["git", "push", "--quiet", "--force", "origin", "refs/heads/*"], world.clone, world.env, before)

    return {f"{name}, no hook": case(none), name: case(gated)}


def _refs(plain: World, rounds: int, many: int) -> Table:
    """Return what the hook itself needs, as git starts it."""
    root = plain.root.parent
    world, none = _verified(make.copy(plain, root / "refs")), make.sh(make.copy(plain, root / "refs-sh"))
    old = world.git("rev-parse", "origin/master")
    make.empty_commit(world)
    make.verify(world)
    head, told = world.git("rev-parse", "HEAD"), {"GIT_EXEC_PATH": world.git("--exec-path")}

    def case(where: World, lines: str) -> Case:
        return Case([".git/hooks/pre-push", "origin", "url"], where.clone, {**where.env, **told}, input=lines.encode())

    verified = f"refs/heads/master {head} refs/heads/master {old}\n"
    cases = {"an empty sh hook": case(none, verified), "a verified update": case(world, verified)}
    for count in (1, many, 3 * many):
        others = "".join(f"refs/heads/b{n} {head} refs/heads/b{n} {ZERO}\n" for n in range(count))
        cases[f"and {count:,} other refs"] = case(world, verified + others)
    return Table("The hook alone", f"{rounds} rounds.").run(cases, rounds)


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
    hook: list[str | Path] = [BIN / "python", "-I", "-m", "homelab_hooks.verified_push", "--native", "origin", "url"]
    return Case(hook, world.clone, world.env, forget, line)
