"""A receipt is believed only whole, and never stops a program."""

import json
from pathlib import Path
from typing import Any

import pytest

from homelab.verify.receipts import Receipt, Receipts

GREEN = Receipt("ab" * 32, "unit", ".", "true", 1.5, "2026-01-01T00:00:00Z", "ada", "nas", "c" * 40)


def test_the_first_result_under_a_key_stays(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    receipts.record(GREEN)
    receipts.record(Receipt(**{**GREEN._asdict(), "user": "bob"}))
    assert receipts.load(GREEN.key) == GREEN
    receipts.forget(GREEN.key)
    assert receipts.load(GREEN.key) is None


@pytest.mark.parametrize("field", Receipt._fields)
@pytest.mark.parametrize("value", [None, [], {}, 10**400, "x"])
def test_a_field_of_the_wrong_kind_is_no_receipt_and_is_taken_away(tmp_path: Path, field: str, value: Any) -> None:
    receipts = Receipts(tmp_path)
    receipts.record(GREEN)
    (path,) = tmp_path.rglob("*.json")
    document = json.loads(path.read_bytes())
    fits = type(value) is type(document[field]) and field != "key"
    path.write_text(json.dumps({**document, field: value}))
    assert (receipts.load(GREEN.key) is not None) == (fits or (field == "seconds" and isinstance(value, int)))
    receipts.record(GREEN)
    assert receipts.load(GREEN.key) is not None


@pytest.mark.parametrize("content", [b"", b"\0", b"[]", b"{}", b"1", b'{"v": 2}', b"1" * 5000, b"[" * 20_000])
def test_a_file_that_is_no_receipt_is_taken_away(tmp_path: Path, content: bytes) -> None:
    receipts = Receipts(tmp_path)
    receipts.record(GREEN)
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(content)
    assert receipts.load(GREEN.key) is None and not path.exists()
