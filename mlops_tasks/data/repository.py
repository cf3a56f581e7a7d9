"""The one module that knows DVC: fetching and recording versions, and where they are kept.

A remote that is unwell is given time, see `patience`. Which version is meant is `versions`' affair.

Guarantees, each held by a test: a version is recorded only if the remote has it, so a remote that
cannot take it leaves the old `.dvc` file; nothing is sent where residency does not allow it.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from mlops_tasks.environment import home
from mlops_tasks.errors import DataUnavailable, ResidencyRefused
from mlops_tasks.patience import CONNECT_SECONDS, patient, read_seconds
from mlops_tasks.settings.residency import ResidencyRule, is_within, without_secrets

if TYPE_CHECKING:
    from dvc.repo import Repo

HASHED_BEFORE_DVC_3 = "md5-dos2unix"  # line ends of text did not count


def revision_of(content: Path, pointer: Path) -> str | None:
    """The MD5 that a `.dvc` file records, if a local file holds just that, byte for byte.

    Raises
    ------
    DataUnavailable
        If it records none.
    """
    import yaml
    from dvc_data.hashfile.hash import file_md5

    if not pointer.is_file():
        return None
    recorded: Any = yaml.safe_load(pointer.read_text(encoding="utf-8")) or {}
    out = (recorded.get("outs") or [{}])[0]
    if not out.get("md5"):
        raise DataUnavailable(
            "the .dvc file records no version",
            where=str(pointer),
            next_step=f"run `dvc add {pointer.with_suffix('')}`",
        )
    found = file_md5(str(content), name=out.get("hash") or HASHED_BEFORE_DVC_3)
    return found if found == out["md5"] else None


def pull(root: str, file: Path, pointer: Path) -> None:
    """Fetch the recorded version of a file that is missing.

    Raises
    ------
    DataUnavailable
        If the remote cannot deliver it.
    """
    from dvc.exceptions import DvcException

    with _repo(root) as repo:
        try:
            _transfer(repo, "pull", pointer)
        except (DvcException, OSError) as error:
            raise _remote_fails("deliver", repo, file, error) from error
    if not file.is_file():
        raise DataUnavailable(
            "the data remote does not have this version",
            where=str(file),
            next_step="ask whoever committed the .dvc file to run `dvc push`",
        )


def record(root: str, file: Path, pointer: Path, residency: ResidencyRule) -> None:
    """Make what a file holds now a version, and send that to the default remote.

    Raises
    ------
    DataUnavailable
        If the remote cannot take it; the `.dvc` file is what it was.
    ResidencyRefused
        If the remote is not where such data may be kept.
    """
    from dvc.exceptions import DvcException

    with _repo(root) as repo:
        name, url = _remote(repo)
        if not any(is_within(url, prefix) for prefix in residency.uri_prefixes):
            raise _may_not_be_sent(file, name, url, residency)
        before = pointer.read_bytes() if pointer.is_file() else None
        repo.add(os.fspath(file))
        try:
            _transfer(repo, "push", pointer)
        except BaseException as error:
            _put_back(pointer, before)
            if not isinstance(error, DvcException | OSError):
                raise
            raise _remote_fails("take", repo, file, error) from error


def lend_remote(root: str, checkout: str) -> None:
    """Let another checkout of the project fetch its data where this one does, as it is set up now.

    Written to the checkout's `.dvc/config.local`, which git ignores: addresses relative to this
    one, and credentials that only this user has, work there too. The cache stays its own.

    Raises
    ------
    DataUnavailable
        If DVC refuses.
    """
    with _repo(root) as repo:
        name = repo.config.get("core", {}).get("remote", "")
        remote = {key: str(value) for key, value in repo.config["remote"].get(name, {}).items()}
    with _repo(checkout) as repo, repo.config.edit("local", validate=False) as local:
        local.setdefault("cache", {})["dir"] = str(Path(checkout) / ".dvc" / "cache")
        if name:
            local.setdefault("core", {})["remote"] = name
            local.setdefault("remote", {})[name] = remote


def _put_back(pointer: Path, before: bytes | None) -> None:
    """Or the next run would take the version for one that the remote has."""
    if before is None:
        pointer.unlink(missing_ok=True)
    else:
        pointer.write_bytes(before)


def _may_not_be_sent(file: Path, name: str, url: str, residency: ResidencyRule) -> ResidencyRefused:
    next_step = "choose another with `dvc remote modify`, or correct policy.residency"
    ours = str(home() / "dvc")
    if "://" not in url and any(is_within(ours, prefix) for prefix in residency.uri_prefixes):
        next_step = (
            f"if that was MLOPS_HOME before: `dvc remote modify --local {name} url {quote(ours)}`, "
            "then `dvc push`"
        )
    return ResidencyRefused(
        f"{file.name} changed, and its new version may not be sent to {without_secrets(url)}: "
        f"such data may only be kept within {', '.join(residency.uri_prefixes) or 'no place'}",
        where=f"DVC remote {name!r}",
        next_step=next_step,
    )


@contextlib.contextmanager
def _repo(root: str) -> Iterator["Repo"]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    try:
        with Repo(root) as repo:
            yield repo
    except DvcException as error:
        raise DataUnavailable(
            f"DVC refuses: {_sentence(error)}",
            where=root,
            next_step="run `dvc doctor` and `dvc status` there",
        ) from error


@patient
def _transfer(repo: "Repo", verb: str, pointer: Path) -> None:
    """Pull or push, again while the remote is unwell: what is there already is not sent twice."""
    from dvc.exceptions import DvcException

    name, url = _remote(repo)
    if url.startswith("s3://"):  # without these, DVC waits for ever for an answer
        remote = repo.config["remote"][name]
        remote.setdefault("connect_timeout", CONNECT_SECONDS)
        remote.setdefault("read_timeout", read_seconds())
    with _last_failure() as seen:
        try:
            getattr(repo, verb)(targets=[os.fspath(pointer)])
        except DvcException as error:
            if error.__cause__ is None and seen:
                raise error from seen[-1]
            raise


@contextlib.contextmanager
def _last_failure() -> Iterator[list[BaseException]]:
    """The errors of single files: DVC logs them and raises only how many there were."""
    seen: list[BaseException] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                seen.append(record.exc_info[1])

    handler, loggers = Collect(), [logging.getLogger(name) for name in ("dvc", "dvc_data")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield seen
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _remote_fails(verb: str, repo: "Repo", file: Path, error: Exception) -> DataUnavailable:
    name, url = _remote(repo)
    return DataUnavailable(
        f"the data remote cannot {verb} {file.name}: {_sentence(error)}",
        where=f"remote {name!r} at {without_secrets(url) or 'no address'}",
        next_step=f"check the address with `dvc remote list`, then `dvc pull {file.name}.dvc`",
    )


def _remote(repo: "Repo") -> tuple[str, str]:
    """Name and address of the default remote; empty where none is set."""
    name = repo.config.get("core", {}).get("remote", "")
    return name, str(repo.config.get("remote", {}).get(name, {}).get("url", ""))


def _sentence(error: BaseException) -> str:
    """The innermost message: DVC's outer ones only say that something failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]
