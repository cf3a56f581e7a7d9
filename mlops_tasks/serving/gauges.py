"""The newest figures of a model's monitoring, for Prometheus, in a file beside the prediction log.

A monitor writes them and ends; a server of the model lives on and shows them on `/metrics`. What
the figures mean is `monitoring`'s affair.

Guarantees, each held by a test: the file is the newest window's or the one before, never half of
one; what cannot be read is no figure, and never an error of the server.
"""

from collections.abc import Mapping

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log.places import place_of, publish
from mlops_tasks.settings.schema import Settings, StackSettings

FILE = "monitoring.prom"
PREFIX = "mlops_monitoring_"
LARGEST = 1 << 20


def write_gauges(settings: Settings, model: str, figures: Mapping[str, float]) -> None:
    """Write figures as gauges with the label `model`.

    Parameters
    ----------
    settings
        Say where the prediction log is.
    model
        Name of the registered model.
    figures
        By names of letters, digits and underscores.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    lines = []
    for name, value in sorted(figures.items()):
        lines.append(f"# TYPE {PREFIX}{name} gauge")
        lines.append(f'{PREFIX}{name}{{model="{model}"}} {value!r}')
    target = place_of(settings.stack, model).folder / FILE
    try:
        publish(target, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise StorageError(
            f"the figures of the monitor cannot be written: {error.strerror or error}",
            where=str(target),
            next_step="free space, or correct `stack.predictions`",
        ) from error


def read_gauges(stack: StackSettings, model: str) -> bytes:
    """The gauges of the newest window as Prometheus reads them; empty where there are none."""
    try:
        content = (place_of(stack, model).folder / FILE).read_bytes()
    except OSError:
        return b""
    return bytes(content) if len(content) <= LARGEST else b""
