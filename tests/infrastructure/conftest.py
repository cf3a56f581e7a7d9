"""Google's workers ask for an identity as soon as they are configured: one that nobody has."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def google_identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = tmp_path_factory.mktemp("google") / "identity.json"
    identity = {
        "type": "service_account",
        "project_id": "flights",
        "client_email": "mlops@flights.iam.gserviceaccount.com",
        "private_key": text,
        "token_uri": "https://oauth2.example/token",
    }
    file.write_text(json.dumps(identity))
    return file


@pytest.fixture
def google(google_identity: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google_identity))
