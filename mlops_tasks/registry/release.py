"""What is registered is one sealed folder, and nothing is loaded from it unless the seal holds.

    package/        model/ (MLflow), evidence.json, bill_of_materials.json, model_card.md and .html,
                    serving.json, model.onnx (where it says the same), profile.json
    package.sig     OMS signature over all of it

Guarantee: `open_release` gives a candidate back only if the signature is that of the stack's key,
no file was altered, added or removed, the ledger has the registration of this run on record with
the same digests, and the model file is the one that was judged. Every refusal is an event, which
tells a store that does not answer from files that are gone; neither lets the model in.
"""

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Champion, Evidence
from mlops_tasks.encoding import decode, encode
from mlops_tasks.errors import AlteredObject, MlopsError, RegistryError
from mlops_tasks.governance.bill_of_materials import bill_of_materials, installed
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.keys import KeyPair, key_pair, public_key
from mlops_tasks.governance.model_card import render_card
from mlops_tasks.governance.model_seal import check_seal, seal
from mlops_tasks.governance.record import actor, ledger_of, record
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import CHAMPION, by_alias
from mlops_tasks.registry.packaging import write_mlflow_model
from mlops_tasks.registry.serving_files import ServingFiles, read_serving_files, write_serving_files
from mlops_tasks.settings.schema import Settings, StackSettings
from mlops_tasks.storage import adopt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PACKAGE = "package"
SIGNATURE = "package.sig"
MODELS_KEY = "models"
EVIDENCE_FILE = "evidence.json"
MODEL_FILE = "model/model.skops"
# MLflow itself adds it to a model in a local folder when somebody loads that by alias.
WRITTEN_BY_LOADING = "model/registered_model_meta"
REGISTRATION = "registration"
DOWNLOADS = 2  # the second after the store was found to be well
NO_RUN = "RESOURCE_DOES_NOT_EXIST"
SHORT = 12  # of the candidate's digest: the package is sealed before it has a version number


@dataclass(frozen=True, slots=True)
class Release:
    """A verified version: its evidence, and the digest under which the ledger knows that.

    `files` are what servers and monitors read of it.
    """

    version: int
    run_id: str
    evidence: Evidence
    evidence_digest: str
    files: ServingFiles


def write_release(settings: Settings, evidence: Evidence, folder: Path) -> None:
    """Fill `folder` with the package and its signature.

    Raises
    ------
    StorageError
        If the model file, the training or the comparison rows, or the scores are gone or altered.
    """
    package = folder / PACKAGE
    package.mkdir()
    write_mlflow_model(evidence.candidate, package / "model")
    write_serving_files(settings, evidence, package)
    (package / EVIDENCE_FILE).write_bytes(encode(evidence))
    named = (settings.registered_model, evidence.candidate.digest[:SHORT])
    card = render_card(*named, evidence, settings.card)
    (package / "model_card.md").write_text(card.markdown, encoding="utf-8")
    (package / "model_card.html").write_text(card.html, encoding="utf-8")
    bill = bill_of_materials(*named, evidence, settings.card, installed())
    (package / "bill_of_materials.json").write_bytes(bill)
    seal(package, folder / SIGNATURE, signing_key(settings.stack))


def signing_key(stack: StackSettings) -> KeyPair:
    """The key that seals models."""
    return key_pair(Path(stack.key_folder), MODELS_KEY, "p256")


def current_champion(stack: StackSettings, model: str) -> Champion | None:
    """The version that holds the alias, verified, its model file fetched into the store.

    Raises
    ------
    RegistryError
        If the registry does not answer.
    AlteredObject
        If it is not, in every byte, what was registered.
    """
    client = connect(stack)
    with talking(stack):
        version = by_alias(client, model, CHAMPION)
        if version is None:
            return None
        release = open_release(client, stack, version)
    return Champion(release.version, release.run_id, release.evidence.candidate)


def open_release(client: "MlflowClient", stack: StackSettings, version: "ModelVersion") -> Release:
    """A version's evidence, its candidate pointing at a verified model file in the store.

    Raises
    ------
    AlteredObject
        If it is not, in every byte, what was registered.
    RegistryError
        If nobody can tell, because the store does not answer.
    """
    try:
        return _verified(client, stack, version)
    except MlopsError as error:
        refusal = Event(
            actor(),
            "verification",
            str(version.name),
            "refused",
            reason=error.what,
            facts={"version": str(version.version), "run_id": str(version.run_id)},
        )
        record(stack, refusal)
        raise


def _verified(client: "MlflowClient", stack: StackSettings, version: "ModelVersion") -> Release:
    run_id = str(version.run_id)
    with tempfile.TemporaryDirectory() as name:
        package = _downloaded(client, stack, version, PACKAGE, name)
        signature = _downloaded(client, stack, version, SIGNATURE, name)
        (package / WRITTEN_BY_LOADING).unlink(missing_ok=True)  # from our copy: nothing reads it
        check_seal(package, signature, public_key(Path(stack.key_folder), MODELS_KEY))
        sealed = (package / EVIDENCE_FILE).read_bytes()
        evidence: Evidence = decode(sealed)
        registered = ledger_of(stack).find(f"{REGISTRATION}:{run_id}")
        if registered is None:
            raise _refused(version, "the ledger has no registration of it")
        known = registered.event.digests
        if registered.event.outcome != "accepted":
            raise _refused(version, "the gate had refused it")
        found = {"evidence": bytes_digest(sealed), "candidate": evidence.candidate.digest}
        for what, value in found.items():
            if known.get(what) != value:
                raise _refused(version, f"its {what} is not the one on record")
        files = read_serving_files(package)
        uri, digest, size = adopt(stack.store, package / MODEL_FILE)
    if digest != evidence.candidate.digest:
        raise _refused(version, "its model file is not the one that was judged")
    candidate = replace(evidence.candidate, model_uri=uri, size_bytes=size)
    fetched = replace(evidence, candidate=candidate)
    return Release(int(version.version), run_id, fetched, found["evidence"], files)


def _downloaded(
    client: "MlflowClient", stack: StackSettings, version: "ModelVersion", what: str, folder: str
) -> Path:
    """A file or folder of a version's run.

    Whatever goes wrong, MLflow says that there is no such file. So its list is asked: that waits
    for a store which is unwell, and raises what it really says.
    """
    from mlflow.exceptions import MlflowException

    failures: list[Exception] = []
    while len(failures) < DOWNLOADS:
        try:
            return Path(client.download_artifacts(str(version.run_id), what, folder))
        except (MlflowException, OSError) as error:
            failures.append(error)
            if not _is_listed(client, stack, str(version.run_id), what):
                raise _refused(version, "it is not signed, or its files are gone") from error
    raise RegistryError(
        f"the model cannot be verified: the artifact store has {what} and does not deliver it",
        where=f"{version.name} version {version.version}, run {version.run_id}",
        next_step="try again when the store is well: `mlops stack check`",
    ) from failures[-1]


def _is_listed(client: "MlflowClient", stack: StackSettings, run_id: str, what: str) -> bool:
    try:
        with talking(stack):
            return what in {each.path for each in client.list_artifacts(run_id)}
    except RegistryError as error:
        if getattr(error.__cause__, "error_code", "") == NO_RUN:
            return False
        raise


def evidence_of(client: "MlflowClient", run_id: str) -> bytes:
    """The evidence as it was sealed with a run."""
    with tempfile.TemporaryDirectory() as name:
        path = client.download_artifacts(run_id, f"{PACKAGE}/{EVIDENCE_FILE}", name)
        return Path(path).read_bytes()


def bytes_digest(content: bytes) -> str:
    """SHA-256 (hexadecimal)."""
    return hashlib.sha256(content).hexdigest()


def _refused(version: "ModelVersion", why: str) -> AlteredObject:
    return AlteredObject(
        f"the model is not loaded: {why}",
        where=f"{version.name} version {version.version}, run {version.run_id}",
        next_step="`mlops audit verify`, then `mlops rollback`; train again if nothing is left",
    )
