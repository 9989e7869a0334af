"""Which suites a commit needs: those of the target, and its own where it changes them."""

from pathlib import Path
from typing import NamedTuple

from homelab.errors import Refused, Usage
from homelab.git.objects import Objects
from homelab.policy import config, config_file
from homelab.policy.config import Config, Suite, Verify


class Policy(NamedTuple):
    """The suites that a commit needs, by one file or by what was detected where there is none."""

    config: Config
    #: What the tree that they were read from is called in messages: a commit's first letters, or ``the change``.
    label: str
    #: The object id of the file, empty of one outside any tree, or None where there is none.
    blob: str | None

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites, configured or detected."""
        return self.config.suites


def read(objects: Objects, tree: str, label: str = "the tree") -> Policy:
    """Return the policy that a tree itself states. Raises `Usage` when its file cannot be read."""
    entry = objects.entry(tree, config.NAME)
    found = config_file.parse(objects.content(tree, config.NAME), f"{config.NAME} of {label}") if entry else Config()
    return Policy(_with_suites(found, objects, tree), label, entry.oid if entry else None)


def _with_suites(found: Config, objects: Objects, tree: str) -> Config:
    """Return a file's configuration, with what is detected in the tree where it names no suite."""
    if found.suites:
        return found
    from homelab.policy import detect  # only where there is no file: every push reads a policy

    shown = detect.detect(objects, tree)
    # What is written in a file without suites still prepares; without one a checkout gets what `init` would write.
    return found._replace(suites=shown.suites, verify=shown.verify if found.verify == Verify() else found.verify)


def policies(objects: Objects, base: str | None, tree: str) -> tuple[Policy, ...]:
    """Return every policy that judges a tree on its way onto the commit `base`: the old one, and the new where it changes.

    Raises `Refused` when the old one cannot be read, `Usage` when the new one cannot.
    """
    if base is None:
        return (read(objects, tree, "the change"),)
    try:
        old = read(objects, objects.commit(base).tree, base[:12])
    except Usage as error:
        raise Refused(
            f"the target's rules cannot be read: {error.message}", hint="land a repair with `homelab work land --no-verify`"
        ) from None
    entry = objects.entry(tree, config.NAME)
    if not old.suites:
        return (read(objects, tree, "the change"),)
    if (entry.oid if entry else None) == old.blob:
        return (old,)
    return (old, read(objects, tree, "the change"))


def named(path: str, objects: Objects, tree: str) -> tuple[Policy, ...]:
    """Return a tree's policy by a file outside, as `HOMELAB_CONFIG` names one. Raises `Usage` when it cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Usage(f"cannot read {path}: {error.strerror}", hint="HOMELAB_CONFIG names a file like homelab.toml") from None
    return (Policy(_with_suites(config_file.parse(content, path), objects, tree), path, ""),)
