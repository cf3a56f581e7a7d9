"""An object that an earlier training left is deleted or altered: it is made again, not trusted."""

import json
from pathlib import Path

import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow


def train(project: Generated) -> tuple[str, list[str]]:
    done = project.run("mlops", "train", "--json")
    lines = [line for line in done.stderr.splitlines() if "cached" in line]
    return json.loads(done.stdout)["candidate_digest"], lines


def test_what_was_deleted_or_altered_is_made_again(project: Generated, tmp_path: Path) -> None:
    ours = project.with_home(tmp_path / "home")
    store = tmp_path / "home" / "store"
    digest, _ = train(ours)
    model = store / digest[:2] / f"{digest}.skops"
    whole = model.read_bytes()

    model.unlink()
    again, cached = train(ours)
    assert again == digest
    assert model.read_bytes() == whole
    assert any("split" in line for line in cached)
    assert not any("fit forest" in line for line in cached)

    for rows in store.rglob("*.parquet"):
        rows.write_bytes(rows.read_bytes()[:-1] + b"X")
    for record in (tmp_path / "home" / "results").iterdir():
        record.write_bytes(record.read_bytes().replace(digest.encode(), b"0" * 64))
    again, cached = train(ours)
    assert again == digest
    for step in ("snapshot", "validate", "split", "fit forest", "evaluate"):
        assert not any(step in line for line in cached), step

    again, cached = train(ours)
    assert again == digest
    assert any("fit forest" in line for line in cached), "it is healed"
