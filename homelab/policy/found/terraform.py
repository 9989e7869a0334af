"""Terraform's stacks and modules, with terragrunt or without: what checks them in a checkout that nobody has initialized.

`terraform validate` needs the providers and the modules, so `init -backend=false` comes first: it asks no backend and needs no
credentials. Where git-crypt has the variables, or they are links out of the tree, only `*.tf` is formatted: nothing else is
there to be read.
"""

import posixpath
import re
from collections.abc import Iterator

from homelab.git import attributes
from homelab.git.objects import FOLDER, LINK
from homelab.policy.found import folders
from homelab.policy.found.finding import Finding, Source, join

_LOCK = ".terraform.lock.hcl"
_SOURCE = re.compile(r"\"((?:\$\{(?:path\.module|get_terragrunt_dir\(\))\}/)?\.\.(?:/[\w./-]*)?)")
_FOUND_ABOVE = re.compile(r"find_in_parent_folders\(\s*(?:\"([\w./-]+)\")?")
_INIT = "terraform init -backend=false -input=false"
#: A cache of providers beside the checkout: inside it would be emptied before every run, and two must not write to one at once.
WITH_CACHE = (
    'export TF_PLUGIN_CACHE_DIR="$(git rev-parse --show-toplevel)/../.terraform-plugins" && mkdir -p "$TF_PLUGIN_CACHE_DIR" && '
)
_PROVIDED = re.compile(r'^\s*(resource|data|provider|module)\s+"|required_providers', re.MULTILINE)


def find(source: Source) -> Iterator[Finding]:
    """Yield one suite for each group of folders that hold `*.tf`, and terragrunt's own check of its files."""
    holding = [
        folder
        for folder, files in source.tree.folders.items()
        if any(name.endswith((".tf", ".tofu")) for name in files) and not _is_example_only(folder)
    ]
    for pattern, members in folders.patterns(sorted(holding), source.tree.every_folder):
        yield _suite(source, pattern, members)
    hcl = source.folders_with("terragrunt.hcl", "root.hcl", "terragrunt.stack.hcl")
    if hcl and not set(holding) & set(hcl):
        where = hcl[0] if len(hcl) == 1 else f"{len(hcl)} folders"
        yield Finding("terragrunt", "terragrunt hcl fmt --check", f"terragrunt's files in {where}")


def _is_example_only(folder: str) -> bool:
    parts = folder.split("/")
    return any(part in ("testdata", "fixtures", "fixture", "templates", "_template") for part in parts)


def _suite(source: Source, pattern: str | None, members: list[str]) -> Finding:
    dir = members[0]
    parent = posixpath.dirname(dir)
    if (
        pattern is None
        and posixpath.basename(parent) == "stacks"
        and folders.matched(source.tree.every_folder, f"{parent}/*") == [dir]
    ):
        pattern = f"{parent}/*"  # the first of many
    format = _format(source, dir, members)
    run = " && ".join((format, _initialize(source, members), "terraform validate"))
    what = f"{len(members)} folders with *.tf under {pattern.split('*')[0].rstrip('/')}" if pattern else f"{join(dir, '*.tf')}"
    if pattern is None:
        inputs = None if dir == "." else (dir, *_shared(source, members))
        return Finding("terraform", run, what, dir, inputs, fallback=format)
    last = pattern.split("*")[0].rstrip("/").rpartition("/")[2]
    name = {"stacks": "stack", "modules": "module", "examples": "example"}.get(last, last or "terraform")
    shared = tuple(_shared(source, members))
    if any(_PROVIDED.search(text) for folder in members for text in _texts(source, folder)):
        run = WITH_CACHE + run
    return Finding(name, run, what, ".", shared, each=pattern, fallback=format)


def _texts(source: Source, folder: str) -> Iterator[str]:
    names = (name for name in source.tree.folders.get(folder, ()) if name.endswith((".tf", ".tofu")))
    yield from (source.tree.text(join(folder, name)) or "" for name in names)


def _format(source: Source, dir: str, members: list[str]) -> str:
    """Return what looks at the format: at the root of its own files, in a stack of all below it."""
    is_encrypted = attributes.filters_some(source.tree.text(attributes.NAME) or "", "tfvars")
    if is_encrypted or any(_has_unreadable(source, folder) for folder in members):
        is_root = "terraform fmt -check *.tf"
        return is_root if dir == "." else "find . -name '*.tf' -not -path '*/.terraform/*' -exec terraform fmt -check {} +"
    return "terraform fmt -check" if dir == "." else "terraform fmt -check -recursive ."


def _has_unreadable(source: Source, folder: str) -> bool:
    """Tell whether a folder has variables that no checkout can read: ciphertext, or a link to what no commit has."""
    tree = source.tree
    if (found := tree.objects.entry(tree.oid, folder)) is None:
        return False
    named = {name: entry for name, entry in tree.objects.entries(found.oid).items() if name.endswith(".tfvars")}
    return any(
        not tree.exists(join(folder, tree.objects.blob(entry.oid).decode(errors="replace")))
        if entry.mode == LINK
        else entry.mode != FOLDER and tree.text(join(folder, name)) is None
        for name, entry in named.items()
    )


def _initialize(source: Source, members: list[str]) -> str:
    """Return what initializes a folder; a lock file that the commit has is not to be changed."""
    # Without a lock file terraform trusts no cache that it did not fill itself, unless it is told to.
    trusting = "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=1 "
    locked = [folder for folder in members if source.tree.has(join(folder, _LOCK))]
    if len(locked) == len(members):
        return f"{_INIT} -lockfile=readonly"
    if locked:
        return f'{trusting}{_INIT} $(test ! -e {_LOCK} || echo "-lockfile=readonly")'
    return trusting + _INIT if len(members) > 1 else _INIT


def _shared(source: Source, members: list[str]) -> list[str]:
    """Return the paths outside the folders that decide them: modules by their relative source, terragrunt's files above."""
    found: set[str] = set()
    for folder in members:
        for name in source.tree.folders.get(folder, ()):
            if name.endswith((".tf", ".tofu", ".hcl")) and name != _LOCK:
                found.update(_named(source, folder, source.tree.text(join(folder, name)) or ""))
    outside = {path for path in found if not any(path == each or path.startswith(f"{each}/") for each in members)}
    grown = _followed(source, outside)
    return sorted(path for path in grown if not any(path.startswith(f"{other}/") for other in grown))


def _named(source: Source, folder: str, text: str) -> Iterator[str]:
    for name in set(_SOURCE.findall(text)):
        place = join(folder, re.sub(r"^\$\{.*?\}/", "", name))
        if place == ".":  # the root is a module itself, and its files are what an example depends on
            yield from (each for each in sorted(source.tree.folders.get(".", ())) if each.endswith((".tf", ".tofu")))
        elif f"{folder}/".startswith(f"{place}/"):
            yield from (
                f"{place}/{each}" for each in sorted(source.tree.folders.get(place, ())) if each.endswith((".tf", ".tofu"))
            )
        elif not place.startswith("..") and source.tree.exists(place):
            yield place
    for name in set(_FOUND_ABOVE.findall(text)):
        above = posixpath.dirname(folder)
        while above:
            if source.tree.exists(path := f"{above}/{name or 'terragrunt.hcl'}"):
                yield path
            above = posixpath.dirname(above)
        if source.tree.exists(name or "terragrunt.hcl"):
            yield name or "terragrunt.hcl"


def _followed(source: Source, found: set[str]) -> set[str]:
    """Return the paths with what the modules among them name in turn."""
    grown, waiting = set(found), list(found)
    while waiting and len(grown) < 100:
        folder = waiting.pop()
        for name in source.tree.folders.get(folder, ()):
            if name.endswith((".tf", ".tofu")):
                fresh = set(_named(source, folder, source.tree.text(join(folder, name)) or "")) - grown
                grown |= fresh
                waiting += fresh
    return grown
