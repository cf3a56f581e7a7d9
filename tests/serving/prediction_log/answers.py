"""Answers to log, and settings of a project that logs them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from mlops_tasks.serving.prediction_log.reader import EVER, predictions
from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.settings import Settings

MODEL = "demo"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def settings_in(folder: Path, predictions: str = "", **log: Any) -> Settings:
    return Settings.model_validate(
        {
            "project": MODEL,
            "seed": 1,
            "data": {
                "path": "x",
                "target": "late",
                "split": {"kind": "random"},
                "regions": ["eu"],
                "classification": "internal",
            },
            "model": {"name": "tree"},
            "stack": {
                "regions": dict.fromkeys(("compute", "storage", "tracking", "registry"), "eu"),
                "store": str(folder / "store"),
                "predictions": predictions or str(folder / "predictions"),
                "tracking_uri": f"sqlite:///{folder}/mlflow.db",
                "artifact_root": str(folder / "artifacts"),
                "ledger": f"sqlite:///{folder}/ledger.db",
                "anchor": str(folder / "anchor"),
                "key_folder": str(folder / "keys"),
            },
            "policy": {
                "residency": {
                    "internal": {"regions": ["eu"], "uri_prefixes": ["/", "sqlite:", "memory:"]}
                }
            },
            "serving": {"log": log},
        }
    )


def answered(request_id: str, **changes: Any) -> Answered:
    fields: dict[str, Any] = {
        "time": NOON,
        "model": MODEL,
        "version": 1,
        "digest": "d" * 64,
        "region": "eu",
        "role": "champion",
        "latency_ms": 1.5,
        "names": ("x", "airport"),
        "rows": [(0.5, "JFK")],
    }
    fields |= changes
    count = len(fields["rows"])
    fields.setdefault("scores", [0.25] * count)
    fields.setdefault("predictions", [0] * count)
    return Answered(request_id=request_id, **fields)


def everything(settings: Settings, **wanted: Any) -> pl.DataFrame:
    return predictions(settings, MODEL, *EVER, **{"role": None} | wanted)


def ids(settings: Settings) -> list[str]:
    return everything(settings)["request_id"].to_list()


def parquet(settings: Settings) -> list[Path]:
    return sorted(Path(settings.stack.predictions).rglob("*.parquet"))


def journals(settings: Settings) -> list[Path]:
    return sorted(Path(settings.stack.predictions).rglob("*.journal"))
