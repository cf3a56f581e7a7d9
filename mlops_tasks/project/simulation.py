"""Watch the loop: replay rows as live traffic over HTTP, window by window, and monitor each.

Everything on the way is real: the server, the prediction log, the labels, the monitor flow, and
the training that an alarm starts where a Prefect server and a worker are there to start it.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlops_tasks.artifacts import Champion
from mlops_tasks.data.frames import read_frame
from mlops_tasks.data.versions import snapshot
from mlops_tasks.errors import PlatformError
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.monitoring.publication import WindowReport
from mlops_tasks.monitoring.replay import Scenario, Scene, scenes
from mlops_tasks.platform.local_server import free_port, local_server
from mlops_tasks.project.locate import Project
from mlops_tasks.project.running import placed_settings_of, run_flow
from mlops_tasks.registry.reigning import reigning_champion, release_of
from mlops_tasks.serving.prediction_log.labels import add_labels
from mlops_tasks.settings.schema import Settings

ROWS_PER_REQUEST = 50
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Simulated:
    """A window that was sent and judged, and the version that answered before and after."""

    scene: str
    report: WindowReport
    answered_by: int
    answers_now: int


@contextmanager
def endpoint(project: Project, overrides: Sequence[str], log: Path) -> Iterator[str]:
    """A server of the project's champion for as long as the block lasts."""
    port = free_port()
    command = [sys.executable, "-m", "mlops_tasks.cli", "serve", "--port", str(port)]
    command += ["--project", str(project.root)]
    for each in overrides:
        command += ["--set", each]
    url = f"http://127.0.0.1:{port}"
    with local_server(command, os.environ, health=f"{url}/readyz", log=log):
        yield url


def simulate(
    project: Project,
    overrides: Sequence[str],
    scenario: Scenario,
    *,
    windows: int,
    rows: int,
    url: str | None,
    wait_seconds: float,
    key: str = "",
    verbose: bool = False,
) -> Iterator[Simulated]:
    """Send the windows of a scenario and monitor each.

    Parameters
    ----------
    project, overrides
        Whose champion answers, and with which configuration.
    scenario
        See `monitoring.replay`.
    windows, rows
        How many windows, and at most how many rows in each.
    url
        A server that is running; one is started for as long as this takes where None.
    wait_seconds
        How long to wait for the training that an alarm starts: to answer, to be refused, or to wait
        for an approval.
    key
        An API key with scope `predict`, where the server asks for one.
    verbose
        Show Prefect's own log.

    Raises
    ------
    PlatformError
        If the server does not answer, or not with predictions.
    MlopsError
        Whatever the flow's steps raise.
    """
    settings = placed_settings_of(project, overrides)
    champion = reigning_champion(settings)
    evidence = release_of(settings.stack, settings.registered_model, champion).evidence
    parts = (evidence.candidate.train, evidence.evaluation.comparison)
    planned = scenes(
        scenario,
        _all_rows(project, settings),
        pl.concat([read_frame(each) for each in parts]),
        champion.candidate.columns,
        evidence.evaluation,
        windows=windows,
        size=rows,
        seed=settings.seed,
    )
    with ExitStack() as stack:
        if url is None:
            log = project.root / "outputs" / "serve.log"
            log.parent.mkdir(exist_ok=True)
            url = stack.enter_context(endpoint(project, overrides, log))
        for scene in planned:
            before = version_at(url)
            start = datetime.now(UTC)
            send(url, settings, champion, scene, key)
            end = datetime.now(UTC) + timedelta(milliseconds=1)
            report: WindowReport = run_flow(
                project,
                "monitor",
                overrides,
                fresh=False,
                verbose=verbose,
                start=start.isoformat(),
                end=end.isoformat(),
                retrain=_training(scene),
            )
            if report.retrain and os.environ.get("PREFECT_API_URL"):
                _wait_for_training(settings, start, url, before, wait_seconds)
            yield Simulated(scene.name, report, before, version_at(url))


def send(url: str, settings: Settings, champion: Champion, scene: Scene, key: str = "") -> None:
    """Ask for every row of a scene, and hand its labels in, as they would arrive later."""
    columns = champion.candidate.columns
    labels = []
    for part in scene.rows.iter_slices(ROWS_PER_REQUEST):
        answer = _ask(url, part.select(columns.features).to_dicts(), key)
        given = pl.DataFrame(
            {
                "request_id": [answer["request_id"]] * part.height,
                "row": range(part.height),
                "label": part[columns.target].to_list(),
            }
        )
        labels.append(given)
    add_labels(settings, settings.registered_model, pl.concat(labels))


def version_at(url: str) -> int:
    """The version that answers.

    Raises
    ------
    PlatformError
        If nothing answers.
    """
    return int(_get(f"{url}/readyz")["version"])


def _all_rows(project: Project, settings: Settings) -> pl.DataFrame:
    """Every row of the project that has a label and, where it should have one, a time."""
    data = settings.data
    store, rule = settings.stack.store, settings.residency
    raw = read_frame(snapshot(str(project.root), data.path, store=store, residency=rule))
    return raw.drop_nulls([data.target, *([data.time] if data.time else [])])


def _training(scene: Scene) -> list[str]:
    """A training after this scene may look at what was known by its end."""
    if not isinstance(scene.known_until, datetime):
        return []
    until = scene.known_until + timedelta(seconds=1)
    return [f"data.window.end='{until:%Y-%m-%dT%H:%M:%S}'"]


def _wait_for_training(
    settings: Settings, since: datetime, url: str, before: int, seconds: float
) -> None:
    """Until the training that was called for was refused, waits for people, or answers."""
    ledger, model = ledger_of(settings.stack), settings.registered_model
    started = since.isoformat(timespec="microseconds")
    wanted = Wanted(subject=model, action=("registration", "approval.request"), since=started)
    end = time.monotonic() + seconds
    while time.monotonic() < end and version_at(url) == before:
        outcomes = [(each.event.action, each.event.outcome) for each in ledger.entries(wanted)]
        if any(each[0] == "approval.request" or each[1] == "refused" for each in outcomes):
            return
        time.sleep(0.5)


def _ask(url: str, rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    body = json.dumps(rows, default=str).encode()
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    return _get(urllib.request.Request(f"{url}/predict", body, headers))


def _get(request: "urllib.request.Request | str") -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:500]
        raise PlatformError(
            f"the server refuses ({error.code}): {said}",
            where=error.url or "",
            next_step="see its log, and `mlops serve --help`",
        ) from error
    except OSError as error:
        raise PlatformError(
            f"the server does not answer: {error}",
            where=request if isinstance(request, str) else request.full_url,
            next_step="start it with `mlops serve`",
        ) from error
