"""Keys are made once, whole and private; who only verifies needs no private one and makes none."""

import stat
import threading
from pathlib import Path

import pytest

from mlops_tasks.errors import StorageError
from mlops_tasks.governance.keys import KeyPair, key_pair, public_key


def test_a_pair_is_made_once_and_its_private_half_is_the_owners(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    pair = key_pair(folder, "models", "p256")
    content = pair.private.read_bytes()
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    assert key_pair(folder, "models", "p256") == pair
    assert pair.private.read_bytes() == content


def test_a_public_key_is_enough_to_verify_by(tmp_path: Path) -> None:
    pair = key_pair(tmp_path / "signer", "models", "p256")
    pod = tmp_path / "pod"
    pod.mkdir()
    (pod / "models.pub.pem").write_bytes(pair.public.read_bytes())
    assert public_key(pod, "models").read_bytes() == pair.public.read_bytes()
    assert [each.name for each in pod.iterdir()] == ["models.pub.pem"]


def test_no_second_private_key_is_made_beside_a_public_one(tmp_path: Path) -> None:
    """It would sign what nobody can verify."""
    pair = key_pair(tmp_path, "models", "p256")
    pair.private.unlink()
    with pytest.raises(StorageError, match="only the public half"):
        key_pair(tmp_path, "models", "p256")
    assert not pair.private.exists()


def test_a_lost_public_half_is_made_from_the_private_one(tmp_path: Path) -> None:
    pair = key_pair(tmp_path, "models", "p256")
    content = pair.public.read_bytes()
    pair.public.unlink()
    assert public_key(tmp_path, "models").read_bytes() == content


@pytest.mark.parametrize("private", [None, b"", b"no key"])
def test_without_a_key_nothing_is_verified_and_none_is_made(
    tmp_path: Path, private: bytes | None
) -> None:
    if private is not None:
        (tmp_path / "models.pem").write_bytes(private)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError, match="no key to verify by"):
        public_key(tmp_path, "models")
    assert sorted(tmp_path.iterdir()) == before


def test_many_that_need_a_new_pair_at_once_get_the_same(tmp_path: Path) -> None:
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def need() -> None:
        gate.wait()
        pair: KeyPair = key_pair(tmp_path, "ledger", "ed25519")
        found.append(pair.private.read_bytes() + pair.public.read_bytes())

    threads = [threading.Thread(target=need) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1
