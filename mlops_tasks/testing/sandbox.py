"""A throwaway copy of a project's configuration, with its own data under its own DVC."""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A folder to put copies in."""

    folder: Path

    def of(self, root: Path, *, excerpt: Path) -> Path:
        """Copy `conf/`, put `excerpt` where `data.path` says, and track it with DVC.

        Parameters
        ----------
        root
            The project.
        excerpt
            A small data file of the same kind.

        Returns
        -------
        Path
            The copy; a flow whose `ROOT` is set to it leaves the project alone.
        """
        from dvc.repo import Repo

        from mlops_tasks.settings.compose import compose

        copy = self.folder / "project"
        shutil.copytree(root / "conf", copy / "conf")
        data = copy / compose(root).data.path
        data.parent.mkdir(parents=True)
        shutil.copyfile(excerpt, data)
        with Repo.init(str(copy), no_scm=True) as repo:
            with repo.config.edit() as config:
                config["remote"]["storage"] = {"url": str(self.folder / "remote")}
                config["core"]["remote"] = "storage"
                config["core"]["analytics"] = False
            repo.add(str(data))
        return copy
