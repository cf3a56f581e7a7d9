"""Three ways to train the same project: `mlops train`, a plain script, a ZenML pipeline.

Each has its own registry, stores and databases; what its registry says of a training, apart from
timing, must be what the others say.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from mlflow import MlflowClient
from processes import CouldNotRun, Run, clean, run, script, zenml_python

HERE = Path(__file__).parent
REFUSED = 3


@dataclass
class Contender:
    """One way to do the training, its timed runs, and why it could not run, if so."""

    name: str
    command: tuple[str | Path, ...]
    environment: dict[str, str]
    options: tuple[str, ...] = ()
    runs: list[Run] = field(default_factory=list)
    failure: str = ""

    @property
    def seconds(self) -> list[float]:
        """Wall seconds of the timed runs."""
        return [each.seconds for each in self.runs]

    @property
    def middle(self) -> float:
        """Median of the wall seconds."""
        return median(self.seconds)

    def train(self, seed: int, *, again: bool = False) -> Run:
        """Train in a fresh process; without `again`, whatever is cached is computed anew."""
        options = () if again else self.options
        command = [*self.command, *options, f"seed={seed}"]
        return run(command, self.environment, expected=(0, REFUSED))

    def record(self) -> dict[str, object]:
        """What the latest run in the registry says, without what is timing."""
        client = MlflowClient(f"sqlite:///{self.environment['MLOPS_HOME']}/mlflow.db")
        names = [each.experiment_id for each in client.search_experiments()]
        latest = client.search_runs(names, order_by=["start_time DESC"], max_results=1)[0]
        tags = latest.data.tags
        return {
            "digest": tags["mlops.candidate_digest"],
            "seed": tags["mlops.seed"],
            "decision": tags["mlops.decision"],
            "metrics": {k: v for k, v in latest.data.metrics.items() if k != "latency_ms"},
        }


def contenders(folder: Path, project: Path, api_url: str, with_zenml: bool) -> list[Contender]:
    """Ours, the plain script and, unless it is left out, ZenML; in this order."""

    def state(name: str, **more: str) -> dict[str, str]:
        return clean(MLOPS_HOME=str(folder / name), **more)

    found = [
        Contender(
            "mlops train",
            (script("mlops"), "train", "--project", project),
            state("ours", PREFECT_API_URL=api_url),
            options=("--fresh",),
        ),
        Contender(
            "plain script", (sys.executable, HERE / "plain_script.py", project), state("plain")
        ),
    ]
    if not with_zenml:
        return found
    environment = state(
        "zenml",
        ZENML_CONFIG_PATH=str(folder / "zenml-config"),
        ZENML_ANALYTICS_OPT_IN="false",
        ZENML_LOGGING_VERBOSITY="WARN",
    )
    zenml = Contender("ZenML pipeline", (), environment)
    try:
        python = zenml_python(folder / "zenml-environment")
        zenml.command = (python, HERE / "zenml_pipeline.py", project)
    except CouldNotRun as error:
        zenml.failure = str(error)
    return [*found, zenml]
