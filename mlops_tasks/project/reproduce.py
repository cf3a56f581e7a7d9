"""Make a registered version again, from its commit, its data and its configuration, and compare.

The commit is checked out into a temporary folder, DVC fetches the data there, and `mlops train`
runs with a temporary `MLOPS_HOME`. What counts as the same stands in `registry.sameness`.

Guarantees, each held by a test: the release is verified before anything is run; nothing is written
to the user's registry, store or cache, and one event to the ledger; no worktree and no temporary
folder is left, however it ends.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_tasks.artifacts import Evidence
from mlops_tasks.data.repository import lend_remote
from mlops_tasks.errors import ProjectError, ResidencyRefused
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.record import actor, record, witness
from mlops_tasks.governance.residency import OBSERVED, observed_region
from mlops_tasks.project.programs import interruptible, run, uv
from mlops_tasks.project.reproduction_home import LOCAL, left_in, own_places, own_variables
from mlops_tasks.project.words import console
from mlops_tasks.project.worktree import checked_out, require_commit, temporary_folder
from mlops_tasks.registry.ancestry import find_version
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.release import Release, open_release
from mlops_tasks.registry.sameness import Finding, agree, findings
from mlops_tasks.settings.schema import Settings, StackSettings

TRAINED = (0, 3, 4)  # refused or waiting too: the old champion is not there to compare with
# The next override begins at a blank that is followed by a key: values may hold blanks too.
BETWEEN_OVERRIDES = re.compile(r" (?=[+~]{0,2}[A-Za-z_][\w.@/-]*=|~[A-Za-z_])")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How a version came out the second time. `outcome` is "agrees" or "differs"."""

    model: str
    version: int
    outcome: Literal["agrees", "differs"]
    environment: str
    tolerance: float
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether it is the same."""
        return self.outcome == "agrees"


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is to be made again, and what was typed to make it."""

    release: Release
    overrides: tuple[str, ...]
    stack_name: str


def reproduce(
    root: Path,
    settings: Settings,
    model: str,
    which: str,
    *,
    environment: Literal["locked", "current"] = "locked",
    tolerance: float = 0.0,
    despite_changes: bool = False,
) -> Reproduction:
    """Make a version again and put on record whether it came out the same.

    Parameters
    ----------
    root
        The project's folder.
    settings
        Name the stack that has the version.
    model, which
        The registered model, and an alias or number, see `registry.ancestry.parse_version`.
    environment
        "locked": what uv makes of the commit's lock file; "current": that of this interpreter.
    tolerance
        How far each metric may be off; without one the model file must be the same too.
    despite_changes
        Whether to try although it was trained with uncommitted changes.

    Raises
    ------
    AlteredObject
        If the version is not, in every byte, what was registered.
    ProjectError
        If its commit is not known here, or it was trained with uncommitted changes.
    PlatformError
        If the environment cannot be made or the training fails.
    ResidencyRefused
        If nobody knows where this is done.
    Interrupted
        On Ctrl-C.
    """
    began = time.perf_counter()
    with _step("verify the recorded version"):
        recorded = _open(settings.stack, model, which)
    was = recorded.release.evidence
    _require_reproducible(root, was, despite_changes)
    with interruptible(f"{model}@{which}", "nothing is left behind; run the same command again"):
        again, config = _again(root, recorded, environment, _place(settings.stack))
    found = findings(was, again, config, tolerance)
    outcome: Literal["agrees", "differs"] = "agrees" if agree(found) else "differs"
    event = Event(
        actor(),
        "reproduction",
        model,
        outcome,
        reason=", ".join(each.what for each in found if each.decides and not each.agrees),
        digests={"candidate": was.candidate.digest, "reproduced": again.candidate.digest},
        facts={
            "version": str(recorded.release.version),
            "environment": environment,
            "tolerance": str(tolerance),
        },
    )
    record(settings.stack, event)
    witness(settings.stack)
    seconds = time.perf_counter() - began
    number = recorded.release.version
    return Reproduction(model, number, outcome, environment, tolerance, seconds, found)


def _open(stack: StackSettings, model: str, which: str) -> _Recorded:
    client = connect(stack)
    with talking(stack):
        release = open_release(client, stack, find_version(client, model, which))
        run = client.get_run(release.run_id)
    typed = run.data.tags.get("mlops.overrides", "")
    overrides = tuple(BETWEEN_OVERRIDES.split(typed)) if typed else ()
    return _Recorded(release, overrides, run.data.params.get("stack.name", LOCAL))


def _require_reproducible(root: Path, was: Evidence, despite_changes: bool) -> None:
    require_commit(root, was.lineage.git_commit)
    if was.lineage.git_dirty and not despite_changes:
        raise ProjectError(
            "the model was trained with uncommitted changes: its commit is not what it came from",
            where=f"commit {was.lineage.git_commit[:12]}",
            next_step="commit everything (uv.lock too) and train again, or try it with "
            "--despite-changes",
        )


def _place(stack: StackSettings) -> str:
    """Where this is done; the copy calls its stack local, and could not be asked."""
    region = observed_region(stack)
    if not region:
        raise ResidencyRefused(
            "the model would be made again in an unknown place",
            where=f"stack {stack.name!r}",
            next_step=f"say by {OBSERVED} where this is",
        )
    return region


def _again(root: Path, recorded: _Recorded, environment: str, region: str) -> tuple[Evidence, str]:
    """Train once more; the evidence and the digest of the configuration that came of it."""
    commit = recorded.release.evidence.lineage.git_commit
    with (
        temporary_folder("mlops-reproduce-") as folder,
        _shown(f"check out {commit[:12]}", checked_out(root, commit, folder / "tree")) as project,
    ):
        home = folder / "home"
        home.mkdir()
        variables = own_variables(home) | {OBSERVED: region}
        lend_remote(str(root), str(project))
        python = [sys.executable]
        if environment == "locked":
            frozen = ["--frozen"] if (project / "uv.lock").is_file() else []
            what = "install its lock file" if frozen else "install (no uv.lock in the commit)"
            with _step(what):
                run([*uv(), "sync", "--quiet", *frozen], project, variables)
            python = [str(project / ".venv" / "bin" / "python")]
        else:
            variables["PYTHONPATH"] = str(project / "src")
        words = ["train", "--json", "--fresh", "--project", str(project), *recorded.overrides]
        command = [*python, "-m", "mlops_tasks.cli", *words, *own_places(home)]
        with _step(" ".join(["train", *recorded.overrides])):
            told = json.loads(run(command, project, variables, TRAINED))
        return left_in(home, str(told["run_id"]), recorded.stack_name)


@contextmanager
def _shown(what: str, entered: AbstractContextManager[Path]) -> Iterator[Path]:
    """The same context; entering it is a step."""
    with ExitStack() as stack:
        with _step(what):
            found = stack.enter_context(entered)
        yield found


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Show what is being done, and then that it is done."""
    began = time.perf_counter()
    with console.status(what):
        yield
    console.print(f"  [green]✓[/] {what}  {time.perf_counter() - began:.1f} s", highlight=False)
