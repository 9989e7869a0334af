"""Whether a detected suite ran any test at all: a green that comes from nothing has verified nothing.

Judged by what the runners themselves say. A log that shows one test run is never empty, and a red stays a red unless all
it says is that there was no test. Suites that somebody configured are not asked: their author knows what they run.
"""

import re

# The words of pytest, unittest, go, cargo, node, jest, vitest, mocha, TAP, nox, tox, make and pre-commit for "nothing".
# No pattern may take more than linear time: a log can be one line of a megabyte.
# Only make itself, not a make that it started (make[1]:), speaks for the whole of its recipes.
_NOTHING = re.compile(
    r"""
      ^ (=+\ )? no\ tests\ ran \b
    | ^ collected\ 0\ items $
    | ^ (=+\ )? \d+\ (skipped|deselected) \b .{0,200} \bin\ \d
    | ^ Ran\ 0\ tests \b
    | ^ NO\ TESTS\ RAN
    | \[no\ test\ files\]
    | \[no\ tests\ to\ run\]
    | matched\ no\ packages | ^ no\ packages\ to\ test
    | ^ running\ 0\ tests $
    | ^ [#\u2139]\ (tests|pass)\ 0 $
    | ^ 1\.\.0 \b
    | ^ [ \t]* 0\ passing \b
    | ^ No\ tests?\ (files?\ )?found
    | ^ No\ sessions\ selected | No\ sessions\ found\ in
    | ^ (\S*/)? g?make: .* (is\ up\ to\ date\.? | Nothing\ to\ be\ done\ for)
    | \(no\ files\ to\ check\)Skipped $
    """,
    re.VERBOSE | re.MULTILINE,
)  # fmt: skip

_SOMETHING = re.compile(
    r"""
      \b [1-9]\d*\ (passed|failed|xfailed|xpassed|errors?) \b .{0,200} \bin\ \d
    | ^ Ran\ [1-9]\d*\ tests? \b
    | ^ ok [ \t]+ \S+ [ \t]+ ([\d.]+s | \(cached\)) (?! .* \[no\ tests\ to\ run\])
    | ^ [ \t]* --- \ (PASS|FAIL):
    | ^ test\ result: .{0,40} \b [1-9]\d*\ (passed|failed)
    | ^ [#\u2139]\ (pass|fail)\ [1-9]
    | ^ [ \t]* [1-9]\d*\ (passing|failing) \b
    | ^ [ \t]* Tests:? \s .{0,80} \b [1-9]\d*\ (passed|failed)
    | \.(Passed|Failed) $
    """,
    re.VERBOSE | re.MULTILINE,
)  # fmt: skip

# pytest and unittest end with 5 when there was no test; nox, tox, make and just hand the number on in words.
_FIVE = re.compile(r"\b(Error|exit code|exit|code|status) 5\b")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def ran_nothing(suite_run: str, log_tail: str, returncode: int) -> bool:
    """Return whether a suite executed no test, by its command line, the end of its log and how it ended."""
    log = _COLOURS.sub("", log_tail).replace("\r\n", "\n")
    if _SOMETHING.search(log):
        return False
    if returncode:
        said_so = bool(_NOTHING.search(log)) and (returncode in (3, 5) or bool(_FIVE.search(log)))
        return said_so or (returncode == 5 and "pytest" in suite_run)
    if suite_run.startswith("pre-commit run"):
        return True  # it names every hook that it ran, so silence is nothing
    if suite_run == "tox" and "congratulations :)" in log:
        return "commands[" not in log
    return bool(_NOTHING.search(log))
