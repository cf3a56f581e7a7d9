"""What looks like a secret is found and not shown; what only names one is left alone."""

import pytest

from mlops_tasks.infrastructure.secrets import HIDDEN, is_secret, shown, written_secrets
from tests.test_doors import WITH, WITHOUT


@pytest.mark.parametrize("address", WITH)
def test_an_address_with_a_secret_is_one(address: str) -> None:
    """The same as `doors` says, wherever there is a scheme."""
    assert is_secret("ADDRESS", address) == ("://" in address)


@pytest.mark.parametrize("address", WITHOUT)
def test_an_address_without_is_none(address: str) -> None:
    assert not is_secret("ADDRESS", address)


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", "canary", True),
        ("PREFECT_API_AUTH_STRING", "canary", True),
        ("AZURE_STORAGE_CONNECTION_STRING", "canary", True),
        ("password", "canary", True),
        ("AZURE_CLIENT_SECRET", "canary", True),
        ("client_secret", "canary", True),
        ("password", "", False),
        ("password", "{{ prefect.blocks.secret.canary }}", False),
        ("prefect_api_key_secret_arn", "arn:aws:secretsmanager:eu:1:secret:x", False),
        ("MLOPS_BUCKET", "s3://flights", False),
        ("service_account_name", "mlops@flights.iam.gserviceaccount.com", False),
    ],
)
def test_names_of_secrets(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


def test_the_name_of_a_kept_secret_is_none() -> None:
    """What Cloud Run's variables for secrets look like."""
    extra = {
        "prefect_api_key_secret": {"secret": "prefect-key", "version": "latest"},
        "env_from_secrets": {"PGPASSWORD": {"secret": "ledger", "version": "3"}},
    }
    assert written_secrets(extra) == ()
    assert shown(extra) == extra


def test_they_are_found_at_any_depth_and_not_shown() -> None:
    extra = {
        "aws_credentials": {"aws_secret_access_key": "canary", "region_name": "eu"},
        "volumes": ["/a:/b", "https://ann:canary@example.org"],
        "cpu": 2,
    }
    assert [each.key for each in written_secrets(extra)] == [
        "stack.compute.extra.aws_credentials.aws_secret_access_key",
        "stack.compute.extra.volumes",
    ]
    assert "canary" not in str(written_secrets(extra))
    assert shown(extra) == {
        "aws_credentials": {"aws_secret_access_key": HIDDEN, "region_name": "eu"},
        "volumes": ["/a:/b", HIDDEN],
        "cpu": 2,
    }
