"""What fits into a terminal's line, whatever it is written in."""

import pytest

from homelab.terminal import Look, columns_of

LOOK = Look(is_live=True, has_colour=True, has_unicode=True, width=10)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ten chars!", "ten chars!"),
        ("eleven char", "eleven ch…"),
        ("日本語日本語", "日本語日…"),
        ("e\u0301" * 10, "e\u0301" * 10),
        ("\x1b[31mred\x1b[0m and on", "\x1b[31mred\x1b[0m and on"),
        ("\x1b[31mred and more\x1b[0m", "\x1b[31mred and m…\x1b[0m"),
    ],
)
def test_a_line_is_cut_where_the_terminal_ends(text: str, shown: str) -> None:
    assert LOOK.cut(text) == shown and columns_of(shown) <= 10


def test_a_locale_without_the_sign_and_a_pipe_without_a_width() -> None:
    plain = Look(is_live=False, has_colour=False, has_unicode=False, width=None)
    assert plain.cut("x" * 500) == "x" * 500 and plain.cut("abcdef", 4) == "abc~"
    assert plain.paint("x", "red") == "x" and plain.sign("✓", "ok") == "ok"


def test_free_text_gives_way_in_a_table_before_the_widest_columns() -> None:
    rows = [("WHAT", "WHY"), ("stack:dns", "moving a name server"), ("a", "")]
    wide = LOOK._replace(width=80)
    assert wide.columns(rows) == ["WHAT       WHY", "stack:dns  moving a name server", "a"]
    narrow = LOOK._replace(width=20)
    assert narrow.columns(rows) == ["WHAT       WHY", "stack:dns  moving a…", "a"]
    assert narrow.columns(rows, colours={1: lambda cell: "red" if "moving" in cell else ""})[1].endswith(
        "\x1b[31mmoving a…\x1b[0m"
    )
    assert LOOK._replace(width=None).columns(rows) == wide.columns(rows)
    assert all(columns_of(row) <= 10 for row in LOOK.columns(rows))


def test_a_sentence_is_broken_between_words_and_a_command_is_not() -> None:
    look = LOOK._replace(width=20)
    assert look.wrap("homelab: short") == ["homelab: short"]
    assert look.wrap("homelab: hint: `git push origin x`, then again") == [
        "homelab: hint:", "  `git push origin x`,", "  then again",
    ]  # fmt: skip
    assert look.wrap("homelab: next: git add a && git commit && git push") == [
        "homelab:", "  next: git add a && git commit && git push",
    ]  # fmt: skip
    assert LOOK._replace(width=None).wrap("x " * 50) == ["x " * 50]
