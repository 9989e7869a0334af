"""The program ``homelab``: answers for its version at once, and imports the command line for everything else."""

import sys

from homelab import __version__


def main() -> None:
    """The program ``homelab``."""
    if sys.argv[1:] in (["--version"], ["version"]):
        # Before anything is imported: scripts ask for it, and it shows at once whether the program starts.
        sys.stdout.write(f"homelab {__version__}\n")
        return
    from homelab.commands import run

    sys.exit(run(sys.argv[1:]))
