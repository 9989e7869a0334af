"""Gives the wheel the one file that setup.cfg cannot name: what answers for the module of hooks that are older than 0.2.

Those start ``python -I -m hooks.verified_push``. A line of a .pth file costs a start nothing that can be measured and puts no
module called ``hooks`` beside anybody else's. See docs/adr/0015.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_FORMER = "hooks.verified_push"
_ASKED = f'{{"{_FORMER}", "import {_FORMER}"}}'
_LINE = f'import sys; {_ASKED}.isdisjoint(sys.orig_argv) or sys.modules.update(hooks=__import__("homelab_hooks"))\n'


class BuildWithFormerName(build_py):
    """Build the packages, and beside them the answer to the former name."""

    def run(self) -> None:
        """Build; an editable install needs no answer, its folder is called ``hooks``."""
        super().run()
        if not self.editable_mode:
            Path(self.build_lib, "homelab-hooks-former-name.pth").write_text(_LINE)


setup(cmdclass={"build_py": BuildWithFormerName})
