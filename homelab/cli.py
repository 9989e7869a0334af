"""The program ``homelab``: answers for its version at once, and imports the command line for everything else."""

import sys

from homelab import __version__


def main() -> None:
    """Run the program ``homelab``."""
    if None in (sys.stdin, sys.stdout, sys.stderr):  # closed by the caller: nothing is read, what is said goes nowhere
        import os
        from pathlib import Path

        nothing, nowhere = (Path(os.devnull).open(mode, encoding="utf-8") for mode in "rw")  # noqa: SIM115  for good
        sys.stdin, sys.stdout, sys.stderr = sys.stdin or nothing, sys.stdout or nowhere, sys.stderr or nowhere
    if sys.argv[1:] in (["--version"], ["version"]):
        # Before anything is imported: scripts ask for it, and it shows at once whether the program starts.
        try:
            sys.stdout.write(f"homelab {__version__}\n")
            sys.stdout.flush()
        except OSError:
            pass  # the whole program has words for it
        else:
            return
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the program has its own: Python would answer a Ctrl-C among the imports with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from homelab.commands.program import serve

    sys.exit(serve(sys.argv[1:]))
