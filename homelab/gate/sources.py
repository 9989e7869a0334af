"""What the rules of a push are read from, written so that the shell hook can tell by files whether it is still the same.

Remotes, the HEAD of each and the file at its tip decide what is protected; filters, and what LFS leaves out, are part of every
key. Whatever can change a judgement has to be named here, or the shell would let pass what Python refuses.
`install/pre-push.sh` reads the same.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from homelab.git.configuration import Settings
from homelab.git.repository import Snapshot

#: A symbolic ref to the remote-tracking ref of the target, whose homelab.toml names the memo's folder.
TARGET = "refs/homelab/target"
#: Remotes that can be the name of a file; a push to any other is always thought about.
NAMEABLE = re.compile(r"(?!\.)[A-Za-z0-9._-]+")
# Anywhere in a line: git passes over a byte order mark and other blanks in front of a section.
_SECTION = re.compile(rb"\[.*(remote|filter|lfs)", re.IGNORECASE)
_BEYOND = re.compile(rb"\[.*(include|extension)", re.IGNORECASE)
_SHOWN = ("remote.", "filter.", "lfs.", "extensions.")
#: The folders of a git whose file for the system is /etc/gitconfig; one that was built elsewhere alone knows where it has that.
_USUAL = ("/usr/lib/git-core", "/usr/libexec/git-core")


def read(common_dir: Path, seen: Snapshot, own: str) -> bytes | None:
    """Return all that can change the rules of the remote `own`, besides its own file, which names the folder of the memo.

    That is so while `TARGET` leads there: another remote may have the same file now, and not any more when it is pushed to.
    Where a file says other than what was `seen`, the rules may be older than it: the shell asks us again then.
    None where no file tells that a HEAD has moved (see `Repository.refs_are_files`): it asks us every time.
    """
    asked = os.fsencode(f"= {TARGET} ref: {seen.refs.get(f'refs/remotes/{own}/HEAD', ('', ''))[1]}\n")
    heads = b"".join(line for name in seen.settings.remotes for line in _head(common_dir, seen, name, tip=name != own))
    said = _by_files(common_dir)
    if said is None:
        said = _by_git(seen.settings)
    has_files = b"extensions.refstorage" not in said and not os.environ.get("GIT_REFERENCE_BACKEND")
    return asked + heads + b".\n" + said if has_files else None


def _by_git(settings: Settings) -> bytes:
    """Return the same as ``git config --get-regexp``, as the shell's $(...) leaves it."""
    rows = (row for row in settings.rows if row.name.startswith(_SHOWN))
    lines = (row.name if row.value is None else f"{row.name} {row.value}" for row in rows)
    return os.fsencode("\n".join(lines).rstrip("\n") + "\n")


def _head(common_dir: Path, seen: Snapshot, remote: str, *, tip: bool) -> Iterator[bytes]:
    """Yield a remote's HEAD, and its `tip`: ``= REF CONTENT`` of a file, ``? REF OID`` where git has to be asked."""
    ref = f"refs/remotes/{remote}/HEAD"
    oid, target = seen.refs.get(ref, ("", ""))
    yield os.fsencode(f"= {ref} " + (f"ref: {target}" if target else _line(common_dir / ref)) + "\n")
    if tip and target:
        yield os.fsencode(f"{'=' if (common_dir / target).exists() else '?'} {target} {oid}\n")


def _line(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes().split(b"\n", 1)[0])
    except OSError:
        return "-"


def _by_files(common_dir: Path) -> bytes | None:
    """Return the lines of all sections that name remotes or filters, or None where git alone can tell."""
    if any(os.environ.get(name) for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_SYSTEM")):
        return None
    if not _is_usual():
        return None
    home = os.environ.get("HOME", "")
    paths = [f"{common_dir}/config"]
    if (named := os.environ.get("GIT_CONFIG_GLOBAL")) is not None:
        paths.append(named)
    else:
        paths += [f"{os.environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/git/config", f"{home}/.gitconfig"]
    said = []
    for path in (*paths, "/etc/gitconfig"):
        try:
            lines = Path(path).read_bytes().split(b"\n")
        except OSError:
            continue
        on, last = False, b""
        for line in (line.strip(b" \t") for line in lines[: -1 if not lines[-1] else None]):
            if _BEYOND.search(line):
                return None
            if _SECTION.search(line):
                on = True
            elif line.startswith(b"[") and b"\\" not in last[-2:]:  # else it may be the rest of a value
                on = False
            if on:
                said.append(line + b"\n")
            last = line
    return b"".join(said)


def _is_usual() -> bool:
    """Return whether it is known which files git reads. It names its folder to hooks, where the shell looks."""
    if (folder := os.environ.get("GIT_EXEC_PATH")) is not None:
        return folder in _USUAL
    found = (Path(each, "git") for each in os.get_exec_path())
    program = next((path for path in found if os.access(path, os.X_OK)), None)
    return program is not None and program.resolve() == Path("/usr/bin/git")
