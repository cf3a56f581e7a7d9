"""MLOps task library: pure functions for a model's life, and the Prefect tasks made of them.

Importing this package is cheap (no prefect, mlflow, dvc or hydra) and has one deliberate effect:
`environment.prepare` switches the telemetry of those libraries off and points their state at
`MLOPS_HOME`. It must happen before they are imported, and every entry point imports us first.
"""

from mlops_tasks.environment import prepare

__version__ = "0.1.0"

prepare()
