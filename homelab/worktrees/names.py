"""Names of work: the topic that a person gives, and the branch that it gets.

A topic is at once a path below the worktrees' folder and the end of a branch's name, so it has to be fit for both, on
every file system and every command line. Whether it is already in use is `homelab.worktrees.registry`'s.
"""

import os
import re

from homelab import output
from homelab.errors import Usage
from homelab.system import identity

#: With a prefix for the user and git's ``.lock`` suffix it stays below the 255 bytes of a file name.
MAX_BYTES = 200

_RULES = (
    (lambda topic: not topic, "it is empty"),
    (lambda topic: not topic.isprintable(), "it has a control or unprintable character"),
    (lambda topic: any(char.isspace() for char in topic), "it has a space"),
    (lambda topic: ".." in topic, "it has `..`"),
    (lambda topic: topic.startswith("/") or topic.endswith("/") or "//" in topic, "it has an empty part"),
    (lambda topic: any(part.startswith("-") for part in topic.split("/")), "a part starts with `-`, like an option"),
    (lambda topic: any(part.startswith(".") for part in topic.split("/")), "a part starts with `.`"),
    (lambda topic: any(part.endswith(".") for part in topic.split("/")), "a part ends with `.`"),
    (lambda topic: any(part.lower().endswith(".lock") for part in topic.split("/")), "a part ends with `.lock`"),
    (lambda topic: re.search(r"[~^:?*\[\\]", topic), "it has one of ~ ^ : ? * [ \\"),
    (lambda topic: "@{" in topic or topic == "@", "git reads `@` there as a revision"),
    (lambda topic: topic.upper() == "HEAD", "git has that name for the present commit"),
    (lambda topic: len(os.fsencode(topic)) > MAX_BYTES, f"it is longer than {MAX_BYTES} bytes"),
)


def check(topic: str) -> str:
    """Return the topic. Raises `Usage` with the rule that it breaks."""
    for breaks, words in _RULES:
        if breaks(topic):
            shown = output.line(topic if len(topic) <= 60 else f"{topic[:60]}…")
            raise Usage(f"'{shown}' is no topic: {words}", hint="name it like `homelab work start fix-dns` or feat/dns")
    return topic


def user() -> str:
    """Return ``$USER`` (else the system's name for this user) as one part of a branch's name."""
    return fit(identity.user())


def fit(name: str) -> str:
    """Return a name as one part of a ref: what git forbids there becomes ``-``."""
    made = re.sub(r"[^\w@+.-]+", "-", name)
    made = re.sub(r"\.{2,}", "-", made).strip("-.")
    made = re.sub(r"\.lock$", "-lock", made, flags=re.IGNORECASE)
    return made[:60].strip("-.") if made.strip("@-.") else "user"


def branch(pattern: str, topic: str) -> str:
    """Return the branch of a topic, after ``[work] branch``."""
    return pattern.replace("{user}", user()).replace("{topic}", topic)


def of_branch(pattern: str, name: str) -> str | None:
    """Return the topic whose branch this is, or None."""
    before, _, after = pattern.replace("{user}", user()).partition("{topic}")
    if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
        return name[len(before) : len(name) - len(after)]
    return None
