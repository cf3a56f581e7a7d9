"""A stage where nobody is champion without a person's signature, and servers of it."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.registry.proposals import Proposal
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import placed

PROD = f"{PROJECT}.prod"


@dataclass(frozen=True)
class Production:
    """The stage `prod` of a life whose people may sign."""

    life: Life

    @property
    def settings(self) -> Settings:
        """Those of the stage, as people decide with them."""
        return on_prod(self.life.settings())

    def register(self, leaf: int) -> int:
        """Fit a version for the stage and let the gate judge it; nobody has signed for it."""
        evidence = self.life.evidence(leaf, self.settings)
        version = self.life.register(evidence, self.settings).version
        assert version is not None
        return version

    def approve(self, version: int) -> None:
        """Ask for an approval, and sign it."""
        asked = self.life.promote(settings=self.settings, version=version)
        assert asked.standing == "waiting"
        assert self.life.approve("ada", PROD).approved

    def promote(self, version: int) -> Proposal:
        """Make it champion by the approval that it has."""
        done = self.life.promote(settings=self.settings, version=version)
        assert (done.standing, done.version) == ("champion", version)
        return done


def on_prod(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"stack": settings.stack.model_copy(update={"stage": "prod"})}
    )


def run_command(home: str, words: list[str], url: str) -> None:
    """`mlops …` as it is typed in the project of a life; the address is written to `url`."""
    import mlops_tasks.cli.serving as serving
    from mlops_tasks.cli import app
    from mlops_tasks.project import running
    from mlops_tasks.project.locate import Project

    def say(address: str) -> None:
        scratch = Path(url).with_suffix(".part")
        scratch.write_text(address)
        os.replace(scratch, url)

    life = Life(Path(home))
    running.find = lambda folder: Project(life.root, "none")
    running.placed_settings_of = lambda project, overrides: on_prod(placed(life))
    serving._listening = say
    app(words, standalone_mode=False)
