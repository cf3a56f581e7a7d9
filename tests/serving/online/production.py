"""A stage where nobody is champion without a person's signature, and servers as processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.registry.proposals import Proposal
from mlops_tasks.settings import Settings
from tests.forks import FORKS
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import Running, placed, wait

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


@contextmanager
def started(life: Life, words: list[str], folder: Path, *, prod: bool = False) -> Iterator[Running]:
    """A process that runs `mlops` with these words, in the project of a life."""
    url = folder / "url"
    url.unlink(missing_ok=True)
    server = FORKS.Process(target=_run, args=(str(life.home), words, str(url), prod), daemon=True)
    server.start()
    try:
        wait(url.exists, "the server does not start")
        yield Running(url.read_text())
    finally:
        server.terminate()
        server.join()


def _run(home: str, words: list[str], url: str, prod: bool) -> None:
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
    settings = on_prod(placed(life)) if prod else placed(life)
    running.placed_settings_of = lambda project, overrides: settings
    serving._listening = say
    app(words, standalone_mode=False)
