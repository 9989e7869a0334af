"""Whether a suite could not run here at all, which says nothing of the commit: a missing program, no network, no daemon.

Judged by how it ended and by what shells and wrappers say. A test may print such words too, so whoever asks compares with
the target: `homelab.verify.baseline` calls it a red where the suite can run there.
"""

import re

# No pattern may take more than linear time: a log can be one line of a megabyte.
_NAME = r"[`'\"\u2018]?(?P<name>[\w./+@-]{1,100})[`'\"\u2019]?"
_NOT_FOUND = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # dash, busybox, ksh: `sh: 1: go: not found`; bash: `bash: line 1: go: command not found`; zsh turns it around.
        rf"^[^\s:]{{1,100}}: (?:line )?(?:\d+: )?{_NAME}: (?:command )?not found$",
        rf"^zsh:(?:\d+:)? command not found: {_NAME}$",
        rf"^(?:\S{{0,100}}/)?env: {_NAME}: No such file or directory$",
        rf"^(?:\S{{0,100}}/)?g?make(?:\[\d+\])?: {_NAME}: (?:No such file or directory|Command not found)$",
        rf"^[^\s:]{{1,100}}: (?:line )?(?:\d+: )?{_NAME}: No such file or directory$",
    )
]
# What a shell says of a line of its script, whatever the script ends with in the end: `x.sh: line 6: rg: command not found`.
_NOT_FOUND_IN_SCRIPT = re.compile(
    r"^[^\s:]{1,100}: (?:line )?\d+: (?P<name>[\w.+@-]{1,100}): (?:command )?not found$", re.MULTILINE
)
# make and just pass a program's 127 on as a code of their own; npm and npx end with it themselves.
_PASSED_ON = re.compile(
    r"^(?:\S{0,100}/)?g?make(?:\[\d+\])?: \*\*\* .{0,300} Error 127$|^error: Recipe .{0,200} with exit code 127$",
    re.MULTILINE | re.IGNORECASE,
)
_NO_MODULE = re.compile(r"^\S{0,200}python[\d.]*: No module named (?P<name>[\w.]{1,100})$", re.MULTILINE)
# Python's last words, with nothing behind them but what make and npm add: a test that fails for another reason goes on talking.
_NO_IMPORT = re.compile(
    r"^ModuleNotFoundError: No module named '(?P<name>\w{1,100})'\n(?:(?:\S{0,100}/)?g?make(?:\[\d+\])?: .*\n|npm .*\n|\n)*\Z",
    re.MULTILINE,
)
_NO_HOOK_PROGRAM = re.compile(r"^Executable `(?P<name>[^`\n]{1,100})` not found$", re.MULTILINE)
_NO_PACKAGE = re.compile(r"^npm (?:ERR!|error) could not determine executable to run$", re.MULTILINE)
# docker before 23, docker without a word for it, and cargo, of a plugin that is a program of its own.
_NO_PLUGIN = re.compile(
    r"^docker: '(?P<docker>[\w-]{1,40})' is not a docker command"
    r"|^docker: unknown command: docker (?P<newer>[\w-]{1,40})$"
    r"|^unknown (?:shorthand )?flag: .{0,80}\n(?:\nUsage:  docker \[OPTIONS\] COMMAND|See 'docker --help')"
    r"|^error: no such (?:sub)?command: `(?P<cargo>[\w-]{1,40})`$"
    r"|^error: 'cargo-(?P<rustup>[\w-]{1,40})' is not installed for the toolchain",
    re.MULTILINE,
)
_NO_DAEMON = re.compile(
    r"Cannot connect to the (?P<name>Docker|Podman) daemon|Is the (?P<other>docker) daemon running\?"
    r"|failed to connect to the (?P<third>docker) API",
    re.IGNORECASE,
)
_NO_NETWORK = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Name or service not known|Network is unreachable"
    r"|getaddrinfo (?:ENOTFOUND|EAI_AGAIN)|no such host$"
    r"|lookup \S{1,200}(?: on \S{1,80})?: (?:no such host|i/o timeout|server misbehaving|Temporary failure)"
    r"|Could not connect to registry|connect: network is unreachable|No route to host",
    re.MULTILINE,
)
# terraform breaks its own sentences between words, with a bar in front of each line.
_BROKEN = re.compile(r"\n\u2502 +")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def inability(log_end: str, returncode: int) -> str:
    """Return what is missing here (`go is not installed`), by a red suite's exit code and the end of its log, or nothing."""
    log = _BROKEN.sub(" ", _COLOURS.sub("", log_end).replace("\r\n", "\n"))
    if returncode == 127 or _PASSED_ON.search(log):
        return _not_installed(log)
    if (
        found := _NO_MODULE.search(log)
        or _NO_IMPORT.search(log)
        or _NO_HOOK_PROGRAM.search(log)
        or _NOT_FOUND_IN_SCRIPT.search(log)
    ):
        return f"{found['name']} is not installed"
    if found := _NO_PLUGIN.search(log):
        cargo = found["cargo"] or found["rustup"]
        return (
            f"cargo {cargo} is not installed"
            if cargo
            else f"docker {found['docker'] or found['newer'] or 'compose'} is not installed"
        )
    if _NO_PACKAGE.search(log):
        return "a program that npx should run is not installed"
    if found := _NO_DAEMON.search(log):
        return f"{(found['name'] or found['other'] or found['third']).lower()} is not running"
    return "the network is not there" if _NO_NETWORK.search(log) else ""


def _not_installed(log: str) -> str:
    names = [found["name"] for pattern in _NOT_FOUND for found in pattern.finditer(log)]
    return f"{names[-1]} is not installed" if names else "a program in it was not found"
