"""The verbs: every command of the program, what it may do, and how it may end.

One row a verb: the group that runs it, its help, the manifest, what agents may run unasked and docs/reference.md all read this
table. A row with an option (``doctor --attack``) says that the verb without it is of another tier.
"""

from typing import Literal, NamedTuple

#: click's own variable, set by a shell that completes.
COMPLETE = "_HOMELAB_COMPLETE"


class Verb(NamedTuple):
    """A command of the program, or a command with the option that makes it write."""

    #: Where its click command is: ``module:name`` below `homelab.commands`.
    place: str
    tier: Literal["read", "write"]
    #: What it does, in one line without a full stop.
    summary: str
    #: The exit codes that it may end with besides 0, 2 and 70.
    exits: tuple[int, ...] = ()
    #: It starts a program that the tree brings (a suite, `scripts/tg`): no agent may run it unasked.
    runs: bool = False
    #: It hands on the exit code of what it runs.
    ends_like_child: bool = False
    #: Command lines to copy, shown by ``--help``; the first is the plainest.
    examples: tuple[str, ...] = ()


VERBS: dict[str, Verb] = {
    "agent-hook": Verb(
        "agents:hook", "write", "answer a coding agent's hook, as `init --agents` sets it up", (1, 3, 7), runs=True
    ),
    "board": Verb(
        "board:board", "read", "show the status as a page on 127.0.0.1", (3,),
        examples=("homelab board", "homelab board --port 8080 --open", "homelab board --once board.html"),
    ),
    "ci status": Verb(
        "ci:status", "read", "ask CI once what it says of a commit", (1, 3, 7, 8, 9),
        examples=("homelab ci status", "homelab ci status HEAD --json"),
    ),
    "ci watch": Verb(
        "ci:watch", "read", "wait until what CI says of a commit stands", (1, 3, 7, 8, 9),
        examples=("homelab ci watch", "homelab ci watch HEAD --timeout 15m"),
    ),
    "cache": Verb(
        "cache:cache", "read", "show what scratch checkouts, logs and receipts take", (1,),
        examples=("homelab cache", "homelab cache --prune"),
    ),
    "cache --prune": Verb("cache:cache", "write", "take back idle scratch checkouts and old logs", (1,)),
    "claim": Verb(
        "claim:claim", "write", "claim resources, for a time or for as long as a command runs", (1, 3, 4, 7),
        ends_like_child=True,
        examples=(
            "homelab claim host:nas --purpose 'new disks' --for 2h",
            "homelab claim stack:dns --purpose 'move ns1' -- ./migrate.sh",
            "homelab claim stack:dns stack:vault --purpose 'rotate keys' --wait 10m",
        ),
    ),
    "claims": Verb(
        "claim:claims", "read", "show who holds what", (3, 7), examples=("homelab claims", "homelab claims --watch")
    ),
    "claims history": Verb(
        "claim:history", "read", "show what became of claims", (3, 7),
        examples=("homelab claims history stack:dns", "homelab claims history --since 2d"),
    ),
    "claims init-store": Verb(
        "claim:init_store", "write", "prepare a claim store", (3, 7),
        examples=("HOMELAB_CLAIMS=postgresql://db/claims homelab claims init-store",),
    ),
    "claims renew": Verb(
        "claim:renew", "write", "renew the leases of this session", (3, 4, 7), examples=("homelab claims renew",)
    ),
    "claims steal": Verb(
        "claim:steal", "write", "take a claim from its holder, with a reason", (3, 4, 7),
        examples=("homelab claims steal stack:dns --reason 'its host is gone'",),
    ),
    "doctor": Verb(
        "doctor:doctor", "read", "say whether the gate holds here, and how to repair it", (1,), examples=("homelab doctor",)
    ),
    "doctor --attack": Verb(
        "doctor:doctor", "write", "push throwaway commits at the gate and report what leaks", (1,), runs=True
    ),
    "hooks install": Verb(
        "hooks:install", "write", "put the gate in front of every push", (1, 3),
        examples=("homelab hooks install", "homelab hooks install --server /srv/git/infra.git"),
    ),
    "hooks status": Verb(
        "hooks:status", "read", "say which gate this clone has", (1,), examples=("homelab hooks status",)
    ),
    "hooks uninstall": Verb(
        "hooks:uninstall", "write", "take the gate out and restore what was there", (1, 3),
        examples=("homelab hooks uninstall",),
    ),
    "init": Verb(
        "init:init", "write", "write homelab.toml from what is found, tried, and install the hooks", (1, 3), runs=True,
        examples=("homelab init", "homelab init --yes", "homelab init --verify-cmd 'make check'"),
    ),
    "init --agents": Verb("init:init", "write", "give coding agents what they need to use this", (1, 3)),
    "log": Verb(
        "log:log", "read", "print the whole log of a suite's last run", (1,),
        examples=("homelab log", "homelab log stack:vault"),
    ),
    "manifest": Verb("manifest:manifest", "read", "list every verb with its tier", examples=("homelab manifest --json",)),
    "release": Verb(
        "claim:release", "write", "release claims", (3, 7),
        examples=("homelab release stack:dns", "homelab release --all-mine"),
    ),
    "shell-init": Verb(
        "shell:shell_init", "read", "print the shell function hw and completion",
        examples=('eval "$(homelab shell-init)"', "homelab shell-init fish | source"),
    ),
    "status": Verb(
        "status:status", "read", "say where I stand, and the next command", (1,),
        examples=("homelab status", "homelab status --json"),
    ),
    "tf apply": Verb(
        "tf:apply", "write", "apply a stack under its claim", (1, 3, 4, 7), runs=True, ends_like_child=True,
        examples=("homelab tf apply dns", "homelab tf apply --wait 10m dns -target=module.zone"),
    ),
    "tf fmt": Verb(
        "tf:fmt", "write", "format a stack", (1,), runs=True, ends_like_child=True, examples=("homelab tf fmt dns",)
    ),
    "tf force-unlock": Verb(
        "tf:force_unlock", "write", "free a stack's state lock", (1, 3, 4, 7), runs=True, ends_like_child=True,
        examples=("homelab tf force-unlock dns 6f1f3c9e-1c3a-4c5b-9a51-0f2b6f0c1f4e",),
    ),
    "tf plan": Verb(
        "tf:plan", "read", "plan a stack", (1, 3), runs=True, ends_like_child=True, examples=("homelab tf plan dns",)
    ),
    "tf validate": Verb(
        "tf:validate", "read", "validate a stack", (1,), runs=True, ends_like_child=True,
        examples=("homelab tf validate dns",),
    ),
    "verify": Verb(
        "verify:verify", "write", "run what the gate would demand of a commit", (1, 3, 7), runs=True,
        examples=("homelab verify", "homelab verify -v", "homelab verify HEAD~1 --fresh"),
    ),
    "version": Verb("manifest:version", "read", "print the version"),
    "work clean": Verb(
        "work:clean", "write", "remove worktrees and branches whose work is on the target", (1, 3, 7),
        examples=("homelab work clean fix-dns", "homelab work clean --landed"),
    ),
    "work land": Verb(
        "land:work_land", "write", "merge the target in, verify, and push exactly that", (1, 3, 4, 5, 6, 7, 8, 9), runs=True,
        examples=("homelab work land", "homelab work land fix-dns --no-watch"),
    ),
    "work list": Verb("work:list_", "read", "list the worktrees", (1,), examples=("homelab work list",)),
    "work log": Verb("land:log", "read", "show the journal of landings", (1,), examples=("homelab work log",)),
    "work queue": Verb(
        "land:queue_", "read", "show who waits to land", (1,), examples=("homelab work queue --watch",)
    ),
    "work start": Verb(
        "work:start", "write", "make a worktree and a branch off the target, and print the path", (1, 3, 7), runs=True,
        examples=('cd "$(homelab work start fix-dns)"', "homelab work start hotfix --from v1.4"),
    ),
    "work switch": Verb(
        "work:switch", "read", "print the path of a topic's worktree", (1,), examples=('cd "$(homelab work switch fix-dns)"',)
    ),
}  # fmt: skip

#: Shorter names, as shells have them.
ALIASES = {
    ("ls",): ("work", "list"),
    ("rm",): ("work", "clean"),
    ("work", "ls"): ("work", "list"),
    ("work", "rm"): ("work", "clean"),
}

#: What the words that only lead to verbs are about.
GROUPS = {
    "ci": "CI: what it says of what landed.",
    "work": "Worktrees: start one, land what it holds, clean it away.",
    "hooks": "The gate in front of every push.",
    "tf": "Terraform stacks, applied under their claim.",
    "claims": "The board: who holds what, since when and why.",
}


def following(prefix: str) -> list[str]:
    """Return the words that may follow `prefix` (``""`` or ``"work"``)."""
    start = f"{prefix} " if prefix else ""
    rest = (verb.removeprefix(start) for verb in VERBS if verb.startswith(start) and "--" not in verb)
    return sorted({word.split(" ")[0] for word in rest})


def allowed_unasked() -> list[str]:
    """Return the command lines that a coding agent may run unasked; one that ends in ``:*`` stands for all that begin so.

    They read, and start no program of the tree: whoever writes that program would have a shell. A verb with an option
    that writes is allowed as it stands and no longer line, since a prefix would take in the option.
    """
    lines = []
    for name, verb in VERBS.items():
        if verb.tier != "read" or verb.runs:
            continue
        if any(other.startswith(f"{name} ") and VERBS[other].tier == "write" for other in VERBS):
            lines += [f"homelab {name}", f"homelab {name} --json"]
        else:
            lines.append(f"homelab {name}:*")
    return lines
