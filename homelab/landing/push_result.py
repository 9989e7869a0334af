"""What became of a push: decided by where the remote's branch is, then by git's porcelain lines, then by its words.

Neither the exit code nor the text of ``git push`` says whether it landed: a server that dies after the update gives 1, a
lost reply likewise. Pure: what was seen goes in, an outcome comes out.
"""

import re
from enum import Enum, auto
from typing import NamedTuple


class Outcome(Enum):
    """What became of a push to one branch."""

    LANDED = auto()
    #: Others moved the branch: build anew on what is there now.
    MOVED = auto()
    #: The server could not take it at this moment: push the same again.
    BUSY = auto()
    #: A rule of the server for this branch said no: review.
    DECLINED = auto()
    #: The server does not take these objects on any branch, or no such history on this one.
    CONTENT = auto()
    #: The remote is a clone with a worktree in which the branch is checked out.
    CHECKED_OUT = auto()
    #: A local hook or a local check said no.
    LOCAL = auto()
    #: Whether the server has it is open: ask again.
    OPEN = auto()
    UNREACHABLE = auto()


class Pushed(NamedTuple):
    """How ``git push --porcelain`` ended."""

    code: int
    stdout: str
    stderr: str


class Seen(NamedTuple):
    """What the remote answered afterwards. Without an answer nothing is known of the branch."""

    answered: bool
    #: The branch is where it was when the push was built.
    unmoved: bool = False
    #: The branch has the pushed commit.
    contains: bool = False


def _row(pushed: Pushed, ref: str) -> tuple[str, str] | None:
    """Return the flag and the summary of the line for `ref`."""
    for row in pushed.stdout.split("\n"):
        fields = row.split("\t")
        if len(fields) >= 3 and len(fields[0]) == 1 and fields[1].endswith(f":{ref}"):
            return fields[0], fields[2]
    return None


#: The bracket's words: the branch was taken by somebody else at that moment, or the server itself stumbled.
_BUSY = re.compile(
    r"failed to update ref|incorrect old value|reference already exists|cannot lock ref|failed to lock"
    r"|unable to migrate objects|internal(?: server)? error",
    re.IGNORECASE,
)
#: The same in the words of a forge's hook, whose bracket is that of a rule.
_STUMBLED = re.compile(r"^(?:GitLab|Gitea|Forgejo): .*internal (?:api|server)", re.IGNORECASE | re.MULTILINE)
#: The server cannot write, which git reports as if the pack were to blame.
_UNWRITABLE = re.compile(
    "No space left|insufficient permission|Read-only file system|unable to create temporary|Disk quota", re.IGNORECASE
)
_CONTENT = re.compile(
    r"unpacker error|n/a \(unpacker|refname conflict|exists; cannot create|missing necessary objects|bad pack"
    r"|shallow update not allowed|email privacy",
    re.IGNORECASE,
)
_CLASH = re.compile(r"exists; cannot create '([^']*)'")
#: Secrets, large files and private addresses: GitHub and GitLab take such commits on no branch.
_BARRED = re.compile(
    r"GH001: |GH007: |GH013[\s\S]*secret|GITHUB PUSH PROTECTION|cannot contain secrets|^PUSH BLOCKED: Secrets"
    r"|^GitLab: .*blobs? which exceed",
    re.MULTILINE,
)
#: What a review would be refused for too: the commits themselves have to become others.
_COMMITS = re.compile(
    r"must not contain merge commits|must have verified signatures|must match .*pattern|does not follow the pattern"
    r"|linear history|not signed with|Reject unsigned commits",
    re.IGNORECASE,
)
#: A rule that a review does satisfy, beside which those of the commits are for whoever merges it.
_BY_REVIEW = re.compile("pull request|merge request|review|status check", re.IGNORECASE)
#: git's own words where the branch is checked out on the other side, which no other branch would share.
_CHECKED_OUT = re.compile(
    r"branch is currently checked out|Working directory has (?:un)?staged changes|Working directory is not clean"
    "|Up-to-date check failed|denyCurrentBranch",
    re.IGNORECASE,
)
_LOST = re.compile(
    r"RPC failed|hung up|unexpected disconnect|early EOF|sideband|Broken pipe|Connection reset|timed? ?out|Killed"
    r"|reference-transaction|ref updates aborted",
    re.IGNORECASE,
)
#: Over HTTP git ends with 1 and names no remote when the reply was lost; "Done" it says all the same.
_CUT = re.compile("^error: RPC failed|^fatal: the remote end hung up", re.MULTILINE)
#: What this clone asks of the server, or of itself, before anything is sent.
_LOCAL = re.compile(
    r"^The following submodule paths contain changes|^fatal: the receiving end does not support "
    r"|^fatal: failed to sign the push certificate|^fatal: --mirror can't be combined",
    re.MULTILINE,
)


def classify(pushed: Pushed, ref: str, seen: Seen) -> Outcome:
    """Return what became of the push to `ref`."""
    if seen.contains:
        return Outcome.LANDED
    if seen.answered and not seen.unmoved:
        return Outcome.MOVED
    row = _row(pushed, ref)
    if row is not None and row[0] == "!":
        return _refused(pushed, row[1])
    if not seen.answered:
        return Outcome.UNREACHABLE
    return _silent(pushed) if row is None else Outcome.OPEN


def _refused(pushed: Pushed, summary: str) -> Outcome:
    if summary.startswith("[rejected]"):
        return Outcome.MOVED
    if summary.startswith("[remote failure]") or "failed to report status" in summary:
        return Outcome.OPEN
    said = "\n".join(server_words(pushed.stderr))
    if _UNWRITABLE.search(said):
        return Outcome.BUSY
    if _CHECKED_OUT.search(summary):
        return Outcome.CHECKED_OUT
    if _COMMITS.search(said) and not _BY_REVIEW.search("\n".join(rules(pushed.stderr))):
        return Outcome.CONTENT
    if _CONTENT.search(summary) or _CLASH.search(said) or _BARRED.search(said):
        return Outcome.CONTENT
    if _BUSY.search(summary) or _STUMBLED.search(said):
        return Outcome.BUSY
    return Outcome.DECLINED


def _silent(pushed: Pushed) -> Outcome:
    """Return what a push that printed no line for the branch may have come to.

    A local hook ends it with 1 before git has named the remote; what that hook printed says nothing of the connection.
    """
    cut = re.search("^Done$", pushed.stdout, re.MULTILINE) and _CUT.search(pushed.stderr)
    if pushed.code < 0 or re.search("^To ", pushed.stdout, re.MULTILINE) or cut:
        return Outcome.OPEN
    if pushed.code == 1 or _LOCAL.search(pushed.stderr):
        return Outcome.LOCAL
    return Outcome.OPEN if _LOST.search(pushed.stderr) else Outcome.UNREACHABLE


def server_words(stderr: str) -> list[str]:
    """Return what the server said, without git's ``remote:``."""
    return [
        row.removeprefix("remote:").strip().removeprefix("error: ") for row in stderr.split("\n") if row.startswith("remote:")
    ]


#: git's lines that tell nothing: the same for every reason, advice, and what it traces.
_EMPTY = re.compile(
    r"\d\d:\d\d:\d\d\.\d+ "  # GIT_TRACE
    "|hint:|error: failed to push some refs|Everything up-to-date|fatal: Could not read from remote repository"
    "|Please make sure you have the correct access rights|and the repository exists"
)


def rules(stderr: str) -> list[str]:
    """Return the rules that were broken, as GitHub and others list them: ``- Commits must have verified signatures.``"""
    return [row[2:].strip() for row in server_words(stderr) if row.startswith("- ") and row[2:].strip("- ")]


def way_out(stderr: str, target: str) -> str:
    """Return what to do with commits that the server does not take; `target` is the fetched target's name."""
    said = "\n".join(server_words(stderr))
    if re.search("merge commits|linear history", said, re.IGNORECASE):
        return f"git rebase {target}"
    if re.search("signature|signed|unsigned", said, re.IGNORECASE):
        return f"git rebase --exec 'git commit --amend --no-edit -S' {target}"
    if re.search("pattern", said, re.IGNORECASE):
        return f"git rebase -i {target}"
    return ""


def words(stderr: str) -> str:
    """Return the line that tells why, of all that git and the server said; the rules that were broken, where it lists them."""
    if broken := rules(stderr):
        return " ".join(broken)
    rows = [row.strip() for row in stderr.split("\n") if row.strip() and not _EMPTY.match(row)]
    said = [row for row in server_words(stderr) if row.strip("= -")]
    telling = [row for row in rows if re.match("error:|fatal:", row)]
    return next(iter([*said, *telling, *rows]), "it gave no reason")


def hint(stderr: str) -> str:
    """Return what our own hook says to do, where the server has it; else an empty string."""
    said = (row.partition("homelab: hint: ")[2] for row in server_words(stderr))
    return next((row for row in said if row), "")


def bypassed(stderr: str) -> str | None:
    """Return the server's line that it let the push past its rules, or None."""
    return next((row for row in server_words(stderr) if row.startswith("Bypassed rule violations")), None)


def review_url(stderr: str) -> str | None:
    """Return the address that the server printed for opening a review, or None."""
    found: list[str] = re.findall(r"https?://[^\s\x00-\x1f'\"<>]+", "\n".join(server_words(stderr)))
    likely = [url for url in found if re.search(r"pull|merge|compare|review|/c/", url)]
    return next(iter([*likely, *found]), None)


def declined_by(pushed: Pushed, ref: str) -> list[tuple[str, str]]:
    """Return each address of the remote that did not take the branch, with git's bracket: git goes on with the next one."""
    found, address = [], ""
    for row in pushed.stdout.split("\n"):
        if row.startswith("To "):
            address = row[3:].strip()
        fields = row.split("\t")
        if len(fields) >= 3 and fields[0] == "!" and fields[1].endswith(f":{ref}"):
            found.append((address, fields[2]))
    return found
