"""What must not be kept is nowhere: not in a file, not in an error, not in a process's log."""

import hashlib
import hmac
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_tasks.errors import SettingsError, StorageError
from mlops_tasks.governance.private_digests import KEY_FILE, digest_key
from mlops_tasks.serving.prediction_log.privacy import Privacy
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from mlops_tasks.settings.serving import LogSettings
from tests.serving.prediction_log.answers import answered, everything, journals, parquet

CANARY = "Ada-Lovelace-1815"
NAMES = ("x", "name", "passport")


def someone(request_id: str, name: str | None = CANARY, **changes: object) -> object:
    return answered(request_id, names=NAMES, rows=[(0.5, name, CANARY)], **changes)


def holding(folder: Path, text: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if text.encode() in path.read_bytes()]


def test_dropped_and_hashed_features_are_nowhere(
    settings: Callable[..., Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    here = settings(drop=("passport",), hashed=("name",))
    log = open_log(here, NAMES)
    for request_id, name in (("a", CANARY), ("b", CANARY), ("c", "Grace"), ("d", None)):
        log.append(someone(request_id, name))
    assert journals(here)
    assert holding(tmp_path, CANARY) == []
    found = everything(here)
    log.close()
    assert parquet(here)
    assert holding(tmp_path, CANARY) == []
    assert everything(here).equals(found)
    assert CANARY not in caplog.text
    assert [name for name in found.columns if "." in name] == ["feature.x", "feature.name"]
    hashed = found["feature.name"].to_list()
    assert hashed[0] == hashed[1] != hashed[2]
    assert hashed[3] is None
    assert found["feature.x"].to_list() == [0.5] * 4
    # A digest without the key would be found by trying names.
    assert hashlib.sha256(CANARY.encode()).hexdigest() != hashed[0]
    key = bytes.fromhex((Path(here.stack.key_folder) / KEY_FILE).read_text())
    message = b"name\0" + f'"{CANARY}"'.encode()
    assert hmac.digest(key, message, "sha256").hex() == hashed[0]


def test_without_the_policy_the_canary_is_found(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    log = open_log(settings())
    log.append(someone("a"))
    assert len(holding(tmp_path, CANARY)) == 1
    log.close()


def test_an_error_does_not_say_what_must_not_be_kept(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(settings(drop=("passport",), hashed=("name",)))
    log.append(someone("a"))
    with pytest.raises(ValueError, match="not as many") as misfit:
        log.append(answered("b", names=NAMES, rows=[(CANARY, CANARY)]))
    with pytest.raises(TypeError) as no_value:
        log.append(someone("c", name=Secretive()))  # type: ignore[arg-type]
    log.close()
    with pytest.raises(StorageError) as closed:
        log.append(someone("d"))
    for error in (misfit, no_value, closed):
        assert CANARY not in str(error.value)
    assert everything(settings())["request_id"].to_list() == ["a"]


class Secretive:
    """No value that JSON has; says more than it should."""

    def __repr__(self) -> str:
        return CANARY


@pytest.mark.parametrize("kind", ["drop", "hashed"])
def test_a_name_that_no_model_has_is_an_error_before_anything_is_written(
    settings: Callable[..., Settings], kind: str
) -> None:
    here = settings(**{kind: ("pasport",)})
    with pytest.raises(SettingsError, match="pasport") as caught:
        open_log(here, NAMES)
    assert caught.value.where == f"serving.log.{kind}"
    assert "passport" in caught.value.next_step
    log = open_log(here)
    for refused in (lambda: log.check(NAMES), lambda: log.append(someone("a"))):
        with pytest.raises(SettingsError, match="pasport"):
            refused()
    assert journals(here) == []
    log.close()
    assert parquet(here) == []


def test_a_new_version_may_do_without_a_column_that_the_policy_names(
    settings: Callable[..., Settings],
) -> None:
    log = open_log(settings(drop=("passport",)), NAMES)
    log.check(("x",))
    log.append(someone("a"))
    log.append(answered("b", version=2, names=("x",), rows=[(1.0,)]))
    log.close()
    assert everything(settings())["feature.x"].to_list() == [0.5, 1.0]


def test_digests_of_a_column_agree_between_processes_and_not_between_columns_or_keys(
    tmp_path: Path,
) -> None:
    policy = LogSettings(hashed=("a", "b"))

    def digests(folder: str) -> tuple[object, ...]:
        kept = Privacy(policy, str(tmp_path / folder)).kept(("a", "b"))
        return kept.of([("same", "same")])[0]

    one, again, other = digests("one"), digests("one"), digests("other")
    assert one == again
    assert len({*one, *other}) == 4


def test_the_key_is_its_owners_alone_and_a_spoilt_one_is_not_replaced(tmp_path: Path) -> None:
    key = digest_key(tmp_path / "keys")
    file = tmp_path / "keys" / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert digest_key(tmp_path / "keys") == key
    file.write_text(key.hex()[:10])
    with pytest.raises(StorageError, match="cannot be used") as caught:
        digest_key(tmp_path / "keys")
    assert key.hex()[:10] not in str(caught.value)
    assert file.read_text() == key.hex()[:10]


def test_a_column_in_both_lists_is_dropped() -> None:
    kept = Privacy(LogSettings(drop=("a",), hashed=()), "").kept(("a", "b"))
    assert (kept.names, kept.of([(1, 2)])) == (("b",), [(2,)])
