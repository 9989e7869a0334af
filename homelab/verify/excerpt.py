"""What a person has to see of a red suite's log: the first error and the last lines, and how much is between.

Terraform and compilers say what is wrong first and sum it up last; the end alone begins in mid-sentence.
"""

import re
from pathlib import Path

#: Lines that are shown whole, from the first error, and at the end.
_WHOLE, _FIRST, _LAST = 24, 6, 12
_HEAD, _TAIL = 1 << 18, 1 << 14
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"\b(error|fatal|panic|traceback|exception|failed|failure|fail)\b|^E  |^not ok|✗|✘", re.IGNORECASE)
_NO_ERROR = re.compile(r"\b(0|no) (errors?|failures?|failed)\b", re.IGNORECASE)


def excerpt(log: Path) -> str:
    """Return the lines that count, with ``… 240 lines …`` for those that are left out. Raises `OSError`."""
    size = log.stat().st_size
    with log.open("rb") as file:
        rows = _rows(file.read(_HEAD))
        if size > _HEAD:  # the middle of a huge log is not read: it is counted in bytes
            file.seek(max(_HEAD, size - _TAIL))
            return _joined(rows[:-1], _rows(file.read())[1:], f"{size - _HEAD:,} bytes or more")
    return _joined(rows, rows, None)


def _joined(head: list[str], tail: list[str], between: str | None) -> str:
    if between is None and len(head) <= _WHOLE:
        return "\n".join(head)
    at = next((n for n, row in enumerate(head) if _ERROR.search(row) and not _NO_ERROR.search(row)), None)
    last = tail[-_LAST:]
    start = len(head) - len(last) if between is None else len(head)
    if at is None or at >= start:
        left_out = f"{start} lines" if between is None else between
        return "\n".join([f"… {left_out} …", *last])
    first = head[at : min(at + _FIRST, start)]
    rest = start - at - len(first)
    rows = [f"… {at} lines …"] if at else []
    rows += first
    if between or rest:
        rows.append(f"… {between or f'{rest} lines'} …")
    return "\n".join([*rows, *last])


def _rows(content: bytes) -> list[str]:
    text = _COLOURS.sub("", content.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return [row[:400] for row in text.split("\n")]
