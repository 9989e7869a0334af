"""The filter of git-crypt's files in a linked worktree, which has no key: ciphertext goes through, plaintext does not go in.

A program of its own, copied into the clone and run by git with the interpreter's bare minimum: it starts in 10 ms and
works where homelab is gone. One process serves all files of a git command (gitattributes(5), "long running filter
process"). A worktree that somebody has unlocked for itself is git-crypt's own affair, and is handed over to it.
"""

from __future__ import annotations

import sys

MYPY = False
if MYPY:
    from collections.abc import Iterator  # at run time it would cost a fifth of the start

SEAL = b"\0GITCRYPT\0"
_CHUNK = 65516

_in, _out = sys.stdin.buffer, sys.stdout.buffer


def packets() -> Iterator[bytes]:
    """Yield the packets up to the next flush; ends the program where git has closed the pipe."""
    while True:
        head = _in.read(4)
        if len(head) < 4:
            sys.exit(0)
        size = int(head, 16)
        if size == 0:
            return
        yield _in.read(size - 4)


def send(*lines: bytes) -> None:
    """Write packets and a flush."""
    for line in lines:
        _out.write(b"%04x%s" % (len(line) + 4, line))
    _out.write(b"0000")
    _out.flush()


def fields() -> dict[bytes, bytes]:
    """Return the next list of ``key=value`` lines."""
    pairs = (line.rstrip(b"\n").partition(b"=") for line in packets())
    return {name: value for name, _, value in pairs}


def answer(content: bytes) -> None:
    """Hand a file back to git."""
    send(b"status=success\n")
    send(*(content[at : at + _CHUNK] for at in range(0, len(content), _CHUNK)))
    send()


def refuse(sentence: str) -> None:
    """Tell why, and let git fail for this file."""
    sys.stderr.write("homelab: " + sentence + "\n")
    sys.stderr.flush()
    send(b"status=error\n")


def unlocked(command: str, key: str, content: bytes) -> bytes | None:
    """Return what git-crypt makes of a file in a worktree that has a key, or None where it fails."""
    import subprocess

    name = ["--key-name=" + key] if key else []
    done = subprocess.run(["git-crypt", command, *name], input=content, stdout=subprocess.PIPE, check=False)
    return done.stdout if done.returncode == 0 else None


def serve(key: str, has_key: bool) -> None:
    """Answer git until it closes the pipe."""
    list(packets())
    send(b"git-filter-server\n", b"version=2\n")
    list(packets())
    send(b"capability=clean\n", b"capability=smudge\n")
    while True:
        asked = fields()
        content = b"".join(packets())
        path = repr(asked.get(b"pathname", b"").decode("utf-8", "replace"))
        command = asked.get(b"command", b"").decode()
        if has_key:
            made = unlocked(command, key, content)
            if made is None:
                refuse(f"git-crypt {command} failed for {path}")
            else:
                answer(made)
        elif command == "smudge" or not content or content.startswith(SEAL):
            answer(content)
        else:
            refuse(
                f"{path} is a secret of git-crypt, and this worktree has no key to encrypt it with\n"
                f"homelab: hint: change it in the main worktree; `git checkout -- {path}` brings the ciphertext back"
            )


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2] == "unlocked")
