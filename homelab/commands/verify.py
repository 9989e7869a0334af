"""``homelab verify``."""

import os
from pathlib import Path

import click

from homelab import config, git, output, policy, progress, verification
from homelab.commands import json_option
from homelab.errors import HomelabError, Usage
from homelab.policy import Policy
from homelab.repo import Objects


@click.command()
@click.argument("rev", default="HEAD")
@click.option("--fresh", is_flag=True, help="Run everything again, whatever is remembered.")
@json_option
def verify(rev: str, fresh: bool, as_json: bool) -> None:
    """Run what the gate would demand of REV (default HEAD), and remember what is green."""
    repository = git.discover()
    objects = Objects(repository.common_dir)
    commit = repository.oid(f"{rev}^{{commit}}")
    if commit is None:
        raise Usage(f"{output.line(rev)} names no commit", hint="`git log --oneline` lists some")
    tree = objects.commit(commit).tree
    answer = {"commit": commit, "tree": tree}
    demand = verification.demanded(repository, objects, tree, _policies(repository, objects, tree))
    try:
        verified = verification.ensure(repository, objects, commit, demand, fresh=fresh, reporter=progress.reporter())
    except HomelabError as error:
        error.fields = {**answer, "suites": [], **error.fields}
        raise
    if as_json:
        output.answer_json({"ok": True, **answer, "suites": verification.documents(verified.results)})
        return
    for result in verified.results:
        output.answer(output.line(f"{result.result:7} {result.run.label}"))
    output.say(f"{commit[:12]} is verified")


def _policies(repository: git.Repository, objects: Objects, tree: str) -> tuple[Policy, ...]:
    """Return the policies that the gate would apply, or the one that HOMELAB_CONFIG names."""
    named = os.environ.get("HOMELAB_CONFIG")
    if named:
        try:
            content = Path(named).read_bytes()
        except OSError as error:
            raise Usage(
                f"cannot read {named}: {error.strerror}", hint="HOMELAB_CONFIG names a file like homelab.toml"
            ) from None
        return (Policy(config.parse(content, named), named, None),)
    aim = policy.aim(repository, objects)
    tip = repository.oid(f"refs/remotes/{aim.remote}/{aim.target}") if aim.remote and aim.target else None
    return policy.policies(objects, tip, tree)
