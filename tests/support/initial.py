"""A repository without rules of its own, and what `homelab init` wrote into it."""

from homelab.policy import config, config_file
from tests.support.world import World


def bare_of_policy(world: World, files: dict[str, str | bytes]) -> None:
    """The clone's tree holds these files and no homelab.toml."""
    world.git("rm", "-q", "homelab.toml")
    world.commit(files)


def written(world: World) -> config.Config:
    return config_file.parse((world.clone / "homelab.toml").read_bytes())
