"""What reading objects costs: git's ``cat-file --batch``, as `homelab.git.objects` reads, beside dulwich in the same process.

The one is a process and a round trip an object, the other an import and no process. See docs/adr/0014.
"""

import sys
from pathlib import Path

from bench import repositories as make
from bench.timing import Case, Table

_BEGIN = "import sys; folder, *oids = sys.argv[1:]\n"
_PIPE = "from pathlib import Path\nfrom homelab.git.objects import Objects\nread = Objects(Path(folder))._raw\n"
_DULWICH = (
    "from dulwich.object_store import DiskObjectStore\nstore = DiskObjectStore(folder + '/objects')\n"
    "read = lambda oid: store.get_raw(oid.encode())\n"
)
_READ = "for oid in oids: read(oid)\n"


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables of this part."""
    world = make.plain(root / "stacks")
    make.publish(world, {f"stacks/s{n:04}/main.tf": f"# {n}\n" for n in range(1000)})
    world.git("gc", "--quiet")
    trees = world.git("ls-tree", "-r", "-t", "-d", "--format=%(objectname)", "HEAD").split("\n")
    found = Table("Reading objects", "A Python program that reads so many trees of 1,000 stacks; each beside dulwich's row.")
    cases = {}
    for count in (1, 100, 1000):
        for name, program in (("dulwich", _DULWICH), ("git's pipe", _PIPE)):
            argv = (sys.executable, "-c", _BEGIN + program + _READ, str(world.clone / ".git"), *trees[:count])
            cases[f"{name}, {count}"] = Case(argv, world.clone, world.env)
        found.beside = {**found.beside, f"git's pipe, {count}": f"dulwich, {count}", f"dulwich, {count}": f"dulwich, {count}"}
    return [found.run(cases, 7 if quick else 21)]
