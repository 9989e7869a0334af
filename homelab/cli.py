"""The program ``homelab``: answers for its version at once, and imports the command line for everything else."""

import sys

from homelab import __version__


def main() -> None:
    """Run the program ``homelab``."""
    if sys.stdout is None or sys.stderr is None:  # closed by the caller: what is said goes nowhere
        import os
        from pathlib import Path

        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  it stays open as long as the program
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
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
