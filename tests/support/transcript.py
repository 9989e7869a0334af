"""Transcripts in documents: fenced blocks marked `console` are run, one shell for all of a document, in one world.

A line that begins with `$ ` is a command, the lines below it are what it prints on both streams. A line `...` stands for
any lines. Object ids, keys, times and places of the machine are made alike before anything is compared.

    python -m tests.support.transcript README.md

writes what the commands print now into the document.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.world import World, build

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "\x1e"

#: What differs from run to run, and what stands for it when two outputs are compared.
_VOLATILE = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "MOMENT"),
    (re.compile(r"\S+\.log\b"), "LOG"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|min|h|d)\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "OID"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


_CHECK = """\
#!/bin/sh
for zone in zones/*; do
  grep -q SOA "$zone" || { echo "$zone has no SOA record"; exit 1; }
done
"""


def furnish(world: World) -> None:
    """The world's master is a small infrastructure repository, whose zones each need an SOA record."""
    world.write({"check-zones": _CHECK})
    (world.clone / "check-zones").chmod(0o755)
    files = {
        "check-zones": _CHECK,
        "homelab.toml": '[[suite]]\nname = "zones"\nrun = "./check-zones"\ninputs = ["check-zones", "zones"]\n',
    }
    world.commit({**files, "zones/home": "home SOA ns1\nns1 A 10.0.0.1\n"}, "Begin")
    world.git("push", "--quiet", "--no-verify", "origin", "master")


#: Stands for a program that a reader has and a test may not: it looks at the format, and that is all.
_TERRAFORM = """\
#!/bin/sh
[ "$1" != fmt ] || ! grep -rl '^value' --include='*.tf' .
"""
_OUTPUT = 'output "a" {\n  value = 1\n}\n'
_KINDS: dict[str, dict[str, str | bytes]] = {
    "stacks": {
        **{f"stacks/{name}/main.tf": _OUTPUT for name in ("dns", "mail", "vault")},
        "stacks/redis/main.tf": _OUTPUT.replace("  ", ""),
    },
    "gitops": {
        ".forgejo/workflows/main.yaml": "on: push\njobs:\n  main:\n    steps:\n"
        "    - {name: build, run: kustomize build overlays/home}\n    - {name: apply, run: kubectl apply -k overlays/home}\n",
        "overlays/home/kustomization.yaml": "resources: []\n",
    },
    "app": {"Makefile": "check:\n\t@test -s app.py\ndeploy:\n\tkubectl apply -f .\n", "app.py": "print()\n"},
}


def furnish_kinds(world: World) -> None:
    """Put three repositories beside the clone, each with a remote, and stand-ins for the programs that they need."""
    tools = world.root / "tools"
    world.write({"terraform": _TERRAFORM, "kustomize": "#!/bin/sh\n"}, tools)
    for tool in tools.iterdir():
        tool.chmod(0o755)
    world.env["PATH"] = f"{tools}:{world.env['PATH']}"
    for name, files in _KINDS.items():
        remote, clone = world.root / f"{name}.git", world.root / name
        world.git("init", "--quiet", "--bare", remote, cwd=world.root)
        world.git("clone", "--quiet", remote, clone, cwd=world.root)
        world.commit(files, "Begin", clone)
        world.git("push", "--quiet", "origin", "master", cwd=clone)
        world.git("remote", "set-head", "origin", "master", cwd=clone)


@dataclass(frozen=True)
class Step:
    """One command of a document and what it is said to print."""

    command: str
    output: str


def steps(markdown: str) -> list[Step]:
    """Return the commands of every console block, in order."""
    return [step for block in _BLOCK.findall(markdown) for step in _split(block)]


def _split(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE):
        if not part:
            continue
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = f"{command}\n{more.removeprefix('> ')}"
        yield Step(command, output)


def play(world: World, commands: list[str]) -> list[str]:
    """Return what each command prints, run in turn by one shell that begins in the clone."""
    script = "".join(f"printf '\\036'\n{command}\n" for command in commands)
    done = subprocess.run(
        ["sh", "-c", f"exec 2>&1\n{script}"],
        cwd=world.clone, env=world.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    outputs = done.stdout.decode(errors="replace").split(_MARK)[1:]
    return [told(world, output) for output in outputs]


def told(world: World, output: str) -> str:
    """Return output as a reader's machine would show it: the clone is `~/infra`, the remote `/srv/infra.git`."""
    for place, name in ((world.clone, "/home/ada/infra"), (world.remote, "/srv/infra.git"), (world.root, "/home/ada")):
        output = output.replace(str(place), name)
    output = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    return re.sub(r"[ \t]+$", "", output, flags=re.MULTILINE)


def alike(text: str) -> str:
    """Return text with what differs from run to run made alike."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text.strip()


def agrees(said: str, printed: str) -> bool:
    """Tell whether the output of a document is what was printed; `...` on a line of its own stands for any lines."""
    lines = alike(said).split("\n")
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in lines)
    return re.fullmatch(pattern, alike(printed) + "\n") is not None


def filled(markdown: str, outputs: list[str]) -> str:
    """Return the document with these outputs below its commands, but where what it says agrees with them already."""
    rest = iter(outputs)

    def block(found: re.Match[str]) -> str:
        return f"```console\n{''.join(_shown(step, next(rest)) for step in _split(found[1]))}```"

    return _BLOCK.sub(block, markdown)


def _shown(step: Step, printed: str) -> str:
    is_open = step.output.strip() == "..."  # nobody has said yet what it prints
    output = step.output if agrees(step.output, printed) and not is_open else printed
    head = "$ " + step.command.replace("\n", "\n> ")
    return f"{head}\n{output.strip(chr(10))}\n" if output.strip() else f"{head}\n"


def main() -> None:
    """The document says what its commands print now."""
    document = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        world = build(Path(folder).resolve() / "w")
        (furnish_kinds if document.name == "getting-started.md" else furnish)(world)
        markdown = document.read_text(encoding="utf-8")
        outputs = play(world, [step.command for step in steps(markdown)])
        document.write_text(filled(markdown, outputs), encoding="utf-8")


if __name__ == "__main__":
    main()
