"""Addresses with secrets in them are recognised, refused wherever they stand, and not repeated."""

from pathlib import Path

import pytest

from mlops_tasks.errors import MlopsError
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.client import connect
from mlops_tasks.settings.addresses import carries_secret
from tests.registry.life import Life

WITH = [
    "https://ann@mlflow.eu",
    "https://ann:hunter22@mlflow.eu/x",
    "postgresql://ann:hunter22@db/x",
    "postgresql+psycopg://ann:hunt/er22@db/x",
    "postgresql://db/x?user=ann&password=hunter22",
    "s3://key:hunter22@lake/x",
    "https://lake.eu/x?sv=1&sig=hunter22",
    "https://lake.eu/x?X-Amz-Signature=hunter22",
    "/srv/x?account_key=hunter22",
]
WITHOUT = [
    "https://mlflow.eu/a@b?page=2",
    "postgresql://ann@db/x?sslmode=require",
    "abfs://container@account/x",
    "sqlite:////home/a:b@c/x.db",
    "C:\\Users\\a@b\\x",
    "git:/srv/anchor",
    "s3://lake/keys/x",
]


@pytest.mark.parametrize("address", WITH)
def test_an_address_with_a_secret_is_known(address: str) -> None:
    assert carries_secret(address)


@pytest.mark.parametrize("address", WITHOUT)
def test_an_address_without_one_too(address: str) -> None:
    assert not carries_secret(address)


@pytest.mark.parametrize("key", ["tracking_uri", "artifact_root", "store", "anchor", "ledger"])
@pytest.mark.parametrize("address", [each for each in WITH if "hunter22" in each])
def test_no_place_of_a_stack_may_carry_one(tmp_path: Path, key: str, address: str) -> None:
    stack = Life(tmp_path).settings().stack.model_copy(update={key: address})

    with pytest.raises(MlopsError, match="must not carry") as caught:
        ledger_of(stack) if key == "ledger" else connect(stack)

    assert caught.value.where == f"stack.{key}"
    assert "hunter22" not in str(caught.value)
