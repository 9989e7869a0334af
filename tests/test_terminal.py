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
