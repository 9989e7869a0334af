"""A shell script as the simple commands in it, read without running any.

The reader is no shell: it knows quotes, operators, expansions and here-documents, and says where a script is more than a
list of commands (`Script.is_plain`). What it cannot follow is still searched for commands, so that nothing that deploys
hides in a loop or a substitution.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_OPERATORS = ("&&", "||", ";;", "|&", "|", ";", "&", "\n", "(", ")")
_KEYWORDS = frozenset("if then else elif fi do done while until { } esac".split())
_HEADERS = frozenset("for case select function".split())  # what follows on the line is no command
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_REDIRECTION = re.compile(r"(&>>?|\d*(<<<|<<-?|<>|<&|>>|>&|>\||<|>))")
_DEEPEST = 8


class Simple(NamedTuple):
    """One simple command: its words without their quotes, and where it is in the script."""

    words: tuple[str, ...]
    #: Names of the variables that are set in front of it, and of those that are expanded in it.
    assigned: tuple[str, ...] = ()
    expanded: tuple[str, ...] = ()
    #: Offset of its first character in the script.
    start: int = 0
    #: The operator behind it: ``&&``, ``||``, ``|``, ``;``, ``&``, a newline, or nothing at the end.
    operator: str = ""


class Script(NamedTuple):
    """The simple commands of a script in their order, those inside substitutions and branches too."""

    commands: tuple[Simple, ...]
    #: Whether the script is a mere list of commands: no branch, loop, function, substitution or written file.
    is_plain: bool


def parse(text: str) -> Script:
    """Return the simple commands of a script. Never fails: what cannot be read makes it not plain."""
    reader = _Reader(text)
    reader.read()
    return Script(tuple(reader.commands), reader.is_plain)


@dataclass(slots=True)
class _Reader:
    text: str
    depth: int = 0
    at: int = 0
    commands: list[Simple] = field(default_factory=list)
    is_plain: bool = True
    _words: list[str] = field(default_factory=list)
    _word: list[str] | None = None
    _quoted: bool = False
    _start: int = 0
    _expanded: list[str] = field(default_factory=list)
    _documents: list[str] = field(default_factory=list)

    def read(self) -> None:
        while self.at < len(self.text):
            self._step()
        self._end_command("")

    def _step(self) -> None:
        char = self.text[self.at]
        if char in " \t\r":
            self._end_word()
            self.at += 1
        elif char == "#" and self._word is None:
            self.at = self._line_end()
        elif (self._word is None and self.text.startswith("&>", self.at)) or self._is_descriptor() or char in "<>":
            self._redirect()
        elif operator := next((op for op in _OPERATORS if self.text.startswith(op, self.at)), None):
            self.is_plain = self.is_plain and operator not in ("(", ")", ";;", "&", "|&")
            self.at += len(operator)
            self._end_command(operator)
            if operator == "\n":
                self._skip_documents()
        else:
            self._character(char)

    def _is_descriptor(self) -> bool:
        return self._word is None and bool(re.compile(r"\d+[<>]").match(self.text, self.at))

    def _line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _character(self, char: str) -> None:
        if char == "\\":
            if self.text[self.at + 1 : self.at + 2] != "\n":
                self._add(self.text[self.at + 1 : self.at + 2])
            self.at += 2
        elif char == "'":
            end = self.text.find("'", self.at + 1)
            self.is_plain = self.is_plain and end >= 0
            end = len(self.text) if end < 0 else end
            self._add(self.text[self.at + 1 : end], quoted=True)
            self.at = end + 1
        elif char == '"':
            self._double()
        elif char in "$`":
            self._expand()
        else:
            self._add(char)
            self.at += 1

    def _double(self) -> None:
        self._add("", quoted=True)
        self.at += 1
        while self.at < len(self.text) and (char := self.text[self.at]) != '"':
            if char == "\\":
                self._add(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif char in "$`":
                self._expand()
            else:
                self._add(char)
                self.at += 1
        self.is_plain = self.is_plain and self.at < len(self.text)
        self.at += 1

    def _expand(self) -> None:
        """Take an expansion into the word as it is written; commands inside it are commands of the script."""
        begin = self.at
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            self._substitute(self.at + 1, len(self.text) if end < 0 else end)
        elif self.text.startswith("$(", self.at):
            self._substitute(self.at + 2, self._closing(self.at + 1, "(", ")"))
        elif self.text.startswith("${", self.at):
            end = self._closing(self.at + 1, "{", "}")
            inner = self.text[self.at + 2 : end]
            self._expanded.extend(found[0] for found in [_NAME.search(inner)] if found)
            self.is_plain = self.is_plain and "$(" not in inner and "`" not in inner
            self.at = end + 1
        else:
            name = _NAME.match(self.text, self.at + 1)
            self._expanded.extend([name[0]] if name else [])
            self.at = name.end() if name else self.at + 1
        self._add(self.text[begin : self.at])

    def _closing(self, at: int, opening: str, closing: str) -> int:
        level = 0
        for n in range(at, len(self.text)):
            level += (self.text[n] == opening) - (self.text[n] == closing)
            if level == 0:
                return n
        self.is_plain = False
        return len(self.text)

    def _substitute(self, begin: int, end: int) -> None:
        self.is_plain = False
        self.at = end + 1
        if self.depth < _DEEPEST:
            inner = _Reader(self.text[begin:end], self.depth + 1)
            inner.read()
            self.commands.extend(inner.commands)

    def _redirect(self) -> None:
        self._end_word()
        found = _REDIRECTION.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        kind = found[2] or found[1]
        rest = re.compile(r"[ \t]*(\(|'[^'\n]*'|\"[^\"\n]*\"|[^\s;&|<>()]*)").match(self.text, self.at)
        target = rest[1] if rest else ""
        if kind in ("<<", "<<-"):
            self._documents.append(target.strip("'\"\\"))
        harmless = target.startswith("/dev/") or target.lstrip("-").isdigit() or kind == "<"
        self.is_plain = self.is_plain and harmless and target != "("
        if rest and target != "(":
            self.at = rest.end()

    def _skip_documents(self) -> None:
        for word in self._documents:
            while self.at < len(self.text):
                end = self._line_end()
                line, self.at = self.text[self.at : end], end + 1
                if line.strip("\t") == word:
                    break
        self._documents.clear()

    def _add(self, text: str, *, quoted: bool = False) -> None:
        if self._word is None:
            self._word, self._quoted = [], False
            if not self._words:
                self._start = self.at
        self._word.append(text)
        self._quoted = self._quoted or quoted

    def _end_word(self) -> None:
        if self._word is None:
            return
        word, self._word = "".join(self._word), None
        if not self._words and not self._quoted and word in _KEYWORDS:
            self.is_plain = False
            return
        self._words.append(word)

    def _end_command(self, operator: str) -> None:
        self._end_word()
        words, self._words = self._words, []
        expanded, self._expanded = self._expanded, []
        if words and words[0] == "!":
            words = words[1:]
        if words and words[0] in _HEADERS:
            self.is_plain = False
            return
        assigned = []
        while words and (found := _ASSIGNMENT.match(words[0])):
            assigned.append(found[1])
            words = words[1:]
        if words or assigned:
            self.commands.append(Simple(tuple(words), tuple(assigned), tuple(expanded), self._start, operator))
