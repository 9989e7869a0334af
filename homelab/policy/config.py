"""``homelab.toml`` as named tuples: its settings and their defaults.

Each field carries its own documentation, from which the reference is made. How a file is read is
`homelab.policy.config_file`'s; whose file counts is `homelab.policy.rules`'.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

NAME = "homelab.toml"


class Doc(NamedTuple):
    """What the reference says of a setting, and what kind of value it takes where its type does not tell."""

    words: str
    kind: str = ""


class Gate(NamedTuple):
    """Which branches take only verified commits. Read from the remote's default branch."""

    remote: Annotated[str | None, Doc("Where work lands. Default: `forgejo`, else `origin`, else the only remote.")] = None
    target: Annotated[str | None, Doc("The branch that work lands on. Default: the remote's HEAD branch.", "branch")] = None
    protect: Annotated[
        tuple[str, ...],
        Doc("More branches that only take verified commits, as patterns (`release/*`); the target always is one.", "branches"),
    ] = ()
    unverified: Annotated[
        str, Doc("At push time: `verify` runs what is missing, `refuse` refuses and says how to.", "choice:verify,refuse")
    ] = "verify"
    red_before: Annotated[
        str, Doc("What is red on the target with the same content: `tell` says so, `refuse` blocks.", "choice:tell,refuse")
    ] = "tell"
    max_deleted: Annotated[
        int, Doc("Percent of the target's files that a change may delete, where there are 20 and more.", "percent")
    ] = 50
    claims: Annotated[bool, Doc("Refuse pushes that touch stacks which another session holds.")] = False


class Verify(NamedTuple):
    """How a scratch checkout is made fit to verify in."""

    prepare: Annotated[str | None, Doc("A shell command that makes a fresh checkout fit to verify in (`npm ci`).")] = None
    prepare_inputs: Annotated[tuple[str, ...], Doc("Paths from the root; `prepare` runs again when they change.", "paths")] = ()
    jobs: Annotated[int | None, Doc("Suites at a time. Default: the number of cores.", "positive")] = None
    tools: Annotated[
        tuple[str, ...],
        Doc("Commands whose output is part of every key (`terraform version`): another version, another result.", "commands"),
    ] = ()
    caches: Annotated[
        tuple[str, ...],
        Doc("Ignored folders that a scratch checkout keeps as `prepare` left them; else it has what the commit has.", "paths"),
    ] = ()
    env: Annotated[
        tuple[str, ...],
        Doc(
            "Variables that `prepare` and every suite may see besides the allow-list; their values are part of every key.",
            "variables",
        ),
    ] = ()


class Suite(NamedTuple):
    """One command that decides whether a commit is good."""

    name: Annotated[str, Doc("What it is called in answers and in the history.")]
    run: Annotated[str, Doc("A shell command line; every suite has one, or `ci`.")] = ""
    dir: Annotated[str, Doc("Where it runs, from the root.", "path")] = "."
    inputs: Annotated[
        tuple[str, ...] | None,
        Doc("Paths from the root, no globs, whose content decides the result. Default: the whole tree.", "paths"),
    ] = None
    each: Annotated[
        str | None,
        Doc("A pattern of folders (`stacks/*`): one run per matching folder, which is its dir and one of its inputs."),
    ] = None
    timeout: Annotated[int, Doc("How long it may take.", "duration")] = 1800
    env: Annotated[
        tuple[str, ...], Doc("Variables that it may see besides the allow-list; their values are part of its key.", "variables")
    ] = ()
    retries: Annotated[int, Doc("How often a red is run again at once; a green after a red is recorded as flaky.", "count")] = 0
    secrets: Annotated[
        bool,
        Doc("git-crypt paths are plaintext in its checkout: only an unlocked clone can run it, all others answer `unable`."),
    ] = False
    ci: Annotated[
        str | None,
        Doc(
            "Instead of `run`: the checks of the remote's CI that decide, as a pattern (`ci/woodpecker/push/*`), "
            "on a try branch."
        ),
    ] = None
    #: Found in the tree rather than configured: such a suite that ran no test has verified nothing.
    detected: bool = False


class Work(NamedTuple):
    """Where worktrees stand and what their branches are called."""

    directory: Annotated[str, Doc("The folder of the started worktrees, from the main worktree's root.", "path")] = ".worktrees"
    branch: Annotated[str, Doc("The branch's name; `{user}` is `$USER` made fit for a ref.")] = "{user}/{topic}"
    prepare: Annotated[str | None, Doc("A shell command that is run in a started worktree.")] = None


class Land(NamedTuple):
    """How landing goes about it."""

    each_commit: Annotated[bool, Doc("Never verify or land several changes as one.")] = False
    attempts: Annotated[int, Doc("How often a landing is rebuilt when others move the target; 0: until the deadline.")] = 0
    deadline: Annotated[int, Doc("How long a landing may take in all.", "duration")] = 7200
    mutex: Annotated[bool, Doc("Hosts that share a claim store take turns.")] = False
    watch: Annotated[bool, Doc("Follow CI after landing, where there is one.")] = True
    hold: Annotated[bool, Doc("Wait until the target's CI is idle; what waits meanwhile lands as one batch.")] = False


class Claims(NamedTuple):
    """Where claims are kept."""

    store: Annotated[str | None, Doc("The claim store's URL. Default: files on this machine.")] = None


class Ci(NamedTuple):
    """Where CI is. All of it is found from the remote's URL where that tells; read from the target before a landing."""

    kind: Annotated[
        str | None, Doc("`forgejo` (Gitea too), `github`, `gitlab` or `woodpecker`.", "choice:forgejo,github,gitlab,woodpecker")
    ] = None
    url: Annotated[str | None, Doc("The API's base, `https://git.example`.", "url")] = None
    repository: Annotated[str | None, Doc("What the repository is called there, `owner/name`.")] = None
    checks: Annotated[tuple[str, ...], Doc("The names that count, as patterns (`ci/*`). Default: all of event push.")] = ()


class Config(NamedTuple):
    """A whole ``homelab.toml``."""

    gate: Gate = Gate()
    verify: Verify = Verify()
    work: Work = Work()
    land: Land = Land()
    claims: Claims = Claims()
    ci: Ci = Ci()
    suites: tuple[Suite, ...] = ()


SECTIONS: Mapping[str, type] = {"gate": Gate, "verify": Verify, "work": Work, "land": Land, "claims": Claims, "ci": Ci}


class Setting(NamedTuple):
    """One key of a section, as its class has it."""

    name: str
    #: Its type as Python writes it.
    type: str
    words: str
    kind: str
    is_required: bool
    default: Any


def settings(section: type) -> list[Setting]:
    """Return the keys of a section that a file may have."""
    rows = section.__annotations__.items()
    defaults: Mapping[str, Any] = section._field_defaults  # type: ignore[attr-defined]
    documented = ((name, hint, hint.__metadata__[0]) for name, hint in rows if hasattr(hint, "__metadata__"))
    return [
        Setting(name, str(hint.__origin__), doc.words, doc.kind, name not in defaults, defaults.get(name))
        for name, hint, doc in documented
    ]


#: Each table of a file by its name, its keys by theirs: read from the classes once, since every push reads a file by them.
TABLES: Mapping[str, Mapping[str, Setting]] = {
    name: {setting.name: setting for setting in settings(kind)} for name, kind in {**SECTIONS, "suite": Suite}.items()
}
