"""``homelab verify``."""

import os

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.errors import Ending, Usage
from homelab.gate.admission import Admission
from homelab.git.repository import discover
from homelab.policy import policy
from homelab.verify import results, verification
from homelab.verify.screen import Screen


@click.command()
@click.argument("rev", default="HEAD")
@click.option("--fresh", is_flag=True, help="Run everything again, whatever is remembered.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the suites say while they say it.")
@json_option
def verify(rev: str, fresh: bool, verbose: bool, as_json: bool) -> None:
    """Run what the gate would demand of REV (default HEAD), and remember what is green."""
    repository = discover()
    commit = repository.oid(f"{rev}^{{commit}}")
    if commit is None:
        raise Usage(f"{output.line(rev)} names no commit", hint="`git log --oneline` lists some")
    named = os.environ.get("HOMELAB_CONFIG")
    gate = None if named else Admission.of_clone(repository, "")
    objects = repository.objects
    tree = objects.commit(commit).tree
    answer = {"commit": commit, "tree": tree}
    policies = policy.policies(objects, gate.fetched_tip, tree) if gate else policy.named(named or "", objects, tree)
    demand = verification.demanded(repository, tree, policies)
    try:
        screen = Screen(tell=output.say if as_json else output.answer, streams=verbose)
        baseline = gate.baseline(gate.fetched_tip) if gate else None
        verified = verification.ensure(repository, commit, demand, baseline=baseline, fresh=fresh, reporter=screen)
    except Ending as error:
        error.fields = {**answer, "suites": [], **error.fields}
        raise
    if gate and verified.lasting:  # else no marker would stand for it, and all would be told once more
        gate.foresee(commit)
    if as_json:
        output.answer_json({"ok": True, **answer, "suites": results.documents(verified.results)})
