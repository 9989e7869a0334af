from homelab.git.repository import discover
from homelab.policy import policy
from homelab.verify.origin import origins
from homelab.verify.verification import demanded
from tests.support.world import World


def test_who_last_changed_what_decides_a_run_is_found_however_many_paths_decide_it(world: World) -> None:
    world.commit({"homelab.toml": '[[suite]]\nname = "s"\nrun = "true"\ninputs = ["zones"]\n', "zones/a": "1\n"})
    world.commit({"other": "2\n"})
    repository = discover(world.clone)
    head = world.git("rev-parse", "HEAD")
    tree = world.git("rev-parse", "HEAD^{tree}")
    (run,) = demanded(repository, tree, policy.policies(repository.objects, None, tree)).runs
    short = world.git("rev-parse", "--short", "HEAD~")
    many = tuple(f"{'long/' * 10}{number}" for number in range(40_000))
    for inputs in (("zones",), ("zones", "with\nnewline"), ("zones", *many)):
        named = run._replace(suite=run.suite._replace(inputs=inputs))
        assert origins(repository, head, [named])[run.key].startswith(f"{short} by Ada at "), inputs[:2]
    assert origins(repository, head, [run._replace(suite=run.suite._replace(inputs=("with\nnewline",)))]) == {}
    assert origins(repository, head, [run._replace(suite=run.suite._replace(inputs=None))]) == {}
