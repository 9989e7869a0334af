"""``homelab shell-init``: the shell function ``hw``, and completion by click."""

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from homelab import output
from homelab.commands.verbs import COMPLETE

_PROGRAM = "homelab"
_POSIX = ("bash", "zsh")


@click.command("shell-init")
@click.argument("shell", type=click.Choice((*_POSIX, "fish")), required=False)
def shell_init(shell: str | None) -> None:
    """Print the shell function hw and completion, for `eval "$(homelab shell-init)"`.

    What is printed without SHELL works in bash and zsh; for fish: `homelab shell-init fish | source`.
    """
    if shell == "fish":
        output.answer(_function("fish") + _completion("fish"))
        return
    parts = [_function("sh")]
    for name in (shell,) if shell else _POSIX:
        parts.append(f'if [ -n "${{{name.upper()}_VERSION-}}" ]; then\neval {_word(_completion(name))}\nfi\n')
    output.answer("".join(parts))


def _function(kind: str) -> str:
    return (Path(__file__).parent / f"hw.{kind}").read_text()


def _completion(shell: str) -> str:
    """Return what makes a shell complete both `homelab` and `hw`."""
    if shell == "bash":
        return (Path(__file__).parent / "completion.bash").read_text()
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(click.Group(), {}, _PROGRAM, COMPLETE)
    text = completion.source_template % completion.source_vars()
    if shell == "fish":
        return f'{text}\ncomplete --no-files --command hw --arguments "({completion.func_name})"\n'
    # Completion may not have been switched on yet in zsh.
    begin = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
    return f"{begin}\n{text}\ncompdef {completion.func_name} hw\n"


def _word(text: str) -> str:
    """Return a text as one word of sh: another shell's syntax is not even parsed."""
    return "'" + text.replace("'", "'\\''") + "'"
