"""The one module that knows DVC: which version of a file is this?

Guarantees of `snapshot`: the bytes that come back are the bytes of the DVC revision that is
recorded; a changed file becomes a new revision and is pushed to the default remote before anything
is trained on it, so that every recorded revision can be fetched again. A remote that is unwell is
given time, see `patience`.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.artifacts import Dataset
from mlops_tasks.data.frames import read_file, write_frame
from mlops_tasks.errors import DataUnavailable, ResidencyRefused
from mlops_tasks.patience import CONNECT_SECONDS, patient, read_seconds
from mlops_tasks.settings.residency import ResidencyRule, is_within, without_secrets

if TYPE_CHECKING:
    from dvc.repo import Repo


def snapshot(root: str, path: str, *, store: str, residency: ResidencyRule) -> Dataset:
    """Pin a data file to a DVC revision and keep its rows in the store.

    Parameters
    ----------
    root
        The project's folder, where `.dvc/` is.
    path
        The data file, relative to `root`, tracked by DVC (`<path>.dvc` exists).
    store
        Folder URI for the content-addressed copy.
    residency
        Where the rows may be processed, and where versions of them may be sent.

    Raises
    ------
    DataUnavailable
        If the file is missing and the remote cannot deliver it, or if it changed and the remote
        cannot take it.
    DataError
        If the file is empty or not readable.
    ResidencyRefused
        If it changed and the remote is not where such data may be kept.
    """
    file, pointer = Path(root) / path, Path(root) / f"{path}.dvc"
    if not pointer.is_file() and not file.is_file():
        raise DataUnavailable(
            "the data file is missing and DVC does not know it",
            where=str(file),
            next_step=f"put the file there and run `dvc add {path}`, or correct `data.path`",
        )
    if not file.is_file():
        _pull(root, file, pointer)
    frame = read_file(file)
    if not _is_recorded(root, pointer):
        _record(root, file, pointer, residency)
    return write_frame(frame, store, regions=residency.regions, dvc_rev=revision(pointer))


def revision(pointer: Path) -> str:
    """The MD5 under which a `.dvc` file records its data.

    Raises
    ------
    DataUnavailable
        If it records none.
    """
    import yaml

    content: Any = yaml.safe_load(pointer.read_text(encoding="utf-8")) or {}
    outs = content.get("outs") or [{}]
    if not outs[0].get("md5"):
        raise DataUnavailable(
            "the .dvc file records no version",
            where=str(pointer),
            next_step=f"run `dvc add {pointer.with_suffix('')}`",
        )
    return str(outs[0]["md5"])


def fingerprint(root: str, path: str) -> str:
    """A cheap stand-in for the content of a tracked file: changes whenever the file may have.

    Size, modification and change time and inode of the file, and the text of its `.dvc` file: what
    DVC itself goes by.
    """
    file, pointer = Path(root) / path, Path(root) / f"{path}.dvc"
    parts = [path]
    if file.is_file():
        stat = file.stat()
        parts += [str(n) for n in (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)]
    if pointer.is_file():
        parts.append(pointer.read_text(encoding="utf-8"))
    return "|".join(parts)


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


def _is_recorded(root: str, pointer: Path) -> bool:
    if not pointer.is_file():
        return False
    with _repo(root) as repo:
        return not repo.status(targets=[os.fspath(pointer)])


def _pull(root: str, file: Path, pointer: Path) -> None:
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


def _record(root: str, file: Path, pointer: Path, residency: ResidencyRule) -> None:
    from dvc.exceptions import DvcException

    with _repo(root) as repo:
        name, url = _remote(repo)
        if not any(is_within(url, prefix) for prefix in residency.uri_prefixes):
            raise ResidencyRefused(
                f"{file.name} changed, and its new version may not be sent to "
                f"{without_secrets(url)}: such data may only be kept within "
                f"{', '.join(residency.uri_prefixes) or 'no place'}",
                where=f"DVC remote {name!r}",
                next_step="choose another with `dvc remote modify`, or correct policy.residency",
            )
        repo.add(os.fspath(file))
        try:
            _transfer(repo, "push", pointer)
        except (DvcException, OSError) as error:
            raise _remote_fails("take", repo, file, error) from error


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
