"""Settings: Hydra composes `conf/` once, at the edge; from here on they are frozen plain data."""

from mlops_tasks.settings.schema import (
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    PolicySettings,
    Settings,
    SplitSettings,
    StackSettings,
)

__all__ = [
    "DataSettings",
    "EvaluationSettings",
    "ModelSettings",
    "PolicySettings",
    "Settings",
    "SplitSettings",
    "StackSettings",
]
