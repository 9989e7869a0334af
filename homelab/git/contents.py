"""The contents of many objects at once, all read by one process that starts and ends with the question."""

from collections.abc import Iterable, Iterator
from typing import IO

from homelab.errors import Failed
from homelab.git.repository import Repository, variables
from homelab.system import process


def read_contents(repository: Repository, oids: Iterable[str], *, first: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield each object with its content, or with its `first` bytes, all read by one process. Raises `Failed`."""
    import tempfile  # a tenth of what the hook imports, which does without

    with tempfile.TemporaryFile() as asked:
        asked.write(b"".join(oid.encode() + b"\n" for oid in oids))
        if not asked.tell():
            return
        asked.seek(0)
        child = process.start(
            ["git", f"--git-dir={repository.git_dir}", "cat-file", "--batch", "--buffer"],
            cwd=repository.worktree or repository.git_dir,
            extra=variables(dict(repository.quarantine)),
            stdin=asked,
            stdout=process.PIPE,
        )
        assert child.stdout is not None
        try:
            while header := child.stdout.readline():
                yield _content(child.stdout, header, first)
        finally:
            child.stdout.close()
            code = child.wait()
        if code:  # a partial clone that cannot fetch what it lacks
            raise Failed("an object is not in this clone and cannot be fetched", hint="`git fetch`, then run it again")


def _content(stream: IO[bytes], header: bytes, first: int | None) -> tuple[str, bytes]:
    words = header.decode(errors="replace").split()
    if len(words) != 3:
        raise Failed(f"the object {words[0][:12]} is not in this clone", hint="`git fetch`, then run it again")
    size = int(words[2])
    content = stream.read(size if first is None else min(first, size))
    left = size - len(content) + 1  # and the newline behind it
    while left and (part := stream.read(min(left, 1 << 16))):
        left -= len(part)
    return words[0], content
