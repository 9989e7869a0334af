"""What documents name is there: files, headings, commands, decisions in one form."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from homelab.commands.verbs import VERBS
from tests.support import ROOT

DOCUMENTS = [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(name: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def texts(node: ast.AST) -> list[str]:
    """Return the strings of an expression, each value in them as X."""
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)]
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [text for child in ast.iter_child_nodes(node) for text in texts(child)]


def hints(path: Path) -> list[str]:
    """Return the hints that a module gives where it raises an error."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [text for node in nodes if isinstance(node, ast.keyword) and node.arg == "hint" for text in texts(node.value)]


def test_a_command_in_a_hint_stands_in_backticks() -> None:
    """A terminal breaks a sentence between words, and never there."""
    verbs = "add|checkout|commit|config|fetch|merge|push|rebase|remote|revert|switch|stash|symbolic-ref|update-ref"
    ours = "|".join(sorted({verb.split()[0] for verb in VERBS}))
    command = re.compile(rf"\bgit ({verbs})\b|\bhomelab ({ours})\b")
    found = [(path.name, hint) for path in ROOT.glob("homelab/**/*.py") for hint in hints(path)]
    assert len(found) > 100 and not [each for each in found if command.search(re.sub("`[^`]*`", "", each[1]))]


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_every_command_that_is_named_exists(name: Path) -> None:
    text = (ROOT / name).read_text()
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    named = [words for part in code for words in re.findall(r"(?<![\w/.:-])homelab ([a-z-]+)(?: ([a-z-]+))?", part)]
    groups = {verb.split()[0] for verb in VERBS if " " in verb}
    unknown = [
        f"{first} {second}".strip()
        for first, second in named
        if first not in VERBS and not (first in groups and (f"{first} {second}" in VERBS or not second))
    ]
    assert unknown == []


def test_every_file_and_function_on_the_map_is_there() -> None:
    sources = {str(path.relative_to(ROOT / "homelab")): path.read_text() for path in (ROOT / "homelab").rglob("*.py")}
    sources |= {f"hooks/{path.name}": path.read_text() for path in (ROOT / "hooks").glob("*.py")}
    page = (ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`([\w./-]+\.(?:py|sh))`", page):
        assert (ROOT / "homelab" / name).exists(), name
    ways = page.partition("## Four ways")[2].partition("\n## ")[0]
    for place, function in re.findall(r"`([A-Za-z_.]+)\.([A-Za-z_]+)`", ways.replace(".py`", "`")):
        inside = [text for path, text in sources.items() if f"/{path}".endswith(f"/{place.replace('.', '/')}.py")]
        inside += [text for text in sources.values() if f"\nclass {place}" in text]
        assert any(re.search(rf"\b(def|class) {function}\b", text) for text in inside), f"{place}.{function}"


def test_the_page_for_agents_stays_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 80


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_one_page_with_its_reasons(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Rejected", "Consequences"]
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert "\nStatus: " in text
    assert "We would notice that this is wrong when" in text
    assert len(text.splitlines()) <= 60


def test_every_decision_stands_in_the_list() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()
    assert all(path.name in listed for path in DECISIONS)
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_no_module_is_much_longer_than_contributing_says() -> None:
    """The bound is 300; whoever adds the few lines too many may split it with the next change, but not much later."""
    lengths = {str(path): len(path.read_text().splitlines()) for path in (ROOT / "homelab").rglob("*.py")}
    assert not {path: count for path, count in lengths.items() if count > 320}


def test_every_module_that_is_imported_exists_in_programs_that_stand_in_a_string_too() -> None:
    imported = re.compile(r"^\s*(?:from (homelab(?:_hooks)?[\w.]*) import|import (homelab(?:_hooks)?[\w.]*))", re.MULTILINE)
    named = {
        (one or other, path.relative_to(ROOT))
        for folder in ("bench", "docs", "homelab", "hooks", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for one, other in imported.findall(path.read_text())
    }
    assert {(name, path) for name, path in named if importlib.util.find_spec(name) is None} == set()
