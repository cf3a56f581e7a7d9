"""The bill of materials: what the standard's own schema says of it, and what is not in it."""

import json
import subprocess
import sys
import uuid
from dataclasses import replace
from importlib.metadata import version

import pytest

from mlops_tasks.artifacts import Evidence
from mlops_tasks.errors import GovernanceError
from mlops_tasks.governance.bill_check import check_bill
from mlops_tasks.governance.bill_of_materials import bill_of_materials, installed
from mlops_tasks.settings.schema import CardSettings
from tests.governance.samples import COMPARISON, EVIDENCE, SECRET, TRAIN, with_labels

CARD = CardSettings(intended_use="Plan gates.", limits="Not for crews.", owner="Flight team")
PACKAGES = (("polars", "1.2.3"), ("Ruamel.yaml_clib", "0.2+cu12"))


def bill(evidence: Evidence = EVIDENCE, card=CARD, packages=PACKAGES, **more) -> bytes:
    return bill_of_materials("flight-delay", "v7", evidence, card, packages, **more)


def parsed(data: bytes) -> dict:
    check_bill(data)
    return json.loads(data)


def properties(component: dict) -> dict:
    return {item["name"].split(":")[1]: item["value"] for item in component["properties"]}


@pytest.mark.parametrize(
    "data",
    [
        bill(),
        bill(licence="Apache-2.0 OR MIT"),
        bill(card=CardSettings(), packages=()),
        bill(with_labels("<script>|\n\u2028é\x00")),
        bill(packages=installed()),
        bill(replace(EVIDENCE, evaluation=replace(EVIDENCE.evaluation, metrics={}, slices=()))),
    ],
    ids=["usual", "licence", "nothing said", "hostile", "this environment", "nothing measured"],
)
def test_the_strict_schema_accepts_it_and_every_reference_has_its_target(data: bytes) -> None:
    found = parsed(data)
    components = [found["metadata"]["component"], *found["components"]]
    known = [each["bom-ref"] for each in components]
    assert len(known) == len(set(known))
    card = found["metadata"]["component"]["modelCard"]
    used = [each["ref"] for each in card["modelParameters"]["datasets"]]
    for each in found["dependencies"]:
        used += [each["ref"], *each["dependsOn"]]
    assert set(used) == set(known)


def test_it_says_what_the_model_is_and_how_good() -> None:
    model = parsed(bill(licence="MIT"))["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert (model["name"], model["version"]) == ("flight-delay", "v7")
    assert model["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert model["licenses"] == [{"expression": "MIT"}]
    assert properties(model)["git_commit"] == EVIDENCE.lineage.git_commit
    assert properties(model)["decision"] == "refused"
    card = model["modelCard"]
    assert card["modelParameters"]["approach"] == {"type": "supervised"}
    assert card["modelParameters"]["modelArchitecture"] == "boosted"
    assert card["considerations"] == {
        "useCases": ["Plan gates."],
        "technicalLimitations": ["Not for crews."],
    }
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {
            "type": "log_loss",
            "value": "0.4312",
            "confidenceInterval": {"lowerBound": "0.4251", "upperBound": "0.4377"},
        },
        {
            "type": "roc_auc",
            "value": "0.7421",
            "confidenceInterval": {"lowerBound": "0.7318", "upperBound": "0.7519"},
        },
        {
            "type": "roc_auc",
            "slice": "carrier = AA",
            "value": "0.751",
            "confidenceInterval": {"lowerBound": "0.731", "upperBound": "0.768"},
        },
        {"type": "roc_auc", "slice": "carrier = HA", "value": "0.583"},
        {"type": "roc_auc", "slice": "carrier = OO"},
    ]


def test_it_says_on_which_data_and_which_packages() -> None:
    training, comparison, *libraries = parsed(bill())["components"]
    for component, data in ((training, TRAIN), (comparison, COMPARISON)):
        assert component["type"] == "data"
        assert component["hashes"] == [{"alg": "SHA-256", "content": data.digest}]
        facts = properties(component["data"][0]["contents"])
        assert facts["rows"] == str(data.rows)
        assert facts["regions"] == "eu"
        assert facts["dvc_rev"] == (data.dvc_rev or "none")
    assert [each["purl"] for each in libraries] == [
        "pkg:pypi/polars@1.2.3",
        "pkg:pypi/ruamel.yaml-clib@0.2%2Bcu12",
    ]


def test_packages_are_listed_once_and_by_name() -> None:
    names = [f"package-{number:02}" for number in range(20)]
    packages = [(name.upper().replace("-", "_"), "1") for name in reversed(names)]
    libraries = parsed(bill(packages=[*packages, *packages]))["components"][2:]
    assert [each["name"] for each in libraries] == names


def test_what_nobody_said_is_left_out() -> None:
    card = parsed(bill(card=CardSettings()))["metadata"]["component"]["modelCard"]
    assert "considerations" not in card
    assert "properties" not in card


def test_equal_inputs_give_equal_bytes_whatever_the_machine_the_clock_and_the_order() -> None:
    moved = replace(
        EVIDENCE,
        candidate=replace(
            EVIDENCE.candidate,
            model_uri="/elsewhere",
            fit_seconds=9.0,
            train=replace(TRAIN, uri="s3://elsewhere"),
        ),
        evaluation=replace(
            EVIDENCE.evaluation,
            latency_ms=8.0,
            metrics=dict(reversed(EVIDENCE.evaluation.metrics.items())),
        ),
    )
    assert bill(moved, packages=[*reversed(PACKAGES), *PACKAGES]) == bill()


@pytest.mark.parametrize("what", ["model", "training data", "package", "seed"])
def test_another_model_has_another_bill_and_serial_number(what: str) -> None:
    candidate, lineage, packages = EVIDENCE.candidate, EVIDENCE.lineage, PACKAGES
    if what == "model":
        candidate = replace(candidate, digest="d" * 64)
    elif what == "training data":
        candidate = replace(candidate, train=replace(TRAIN, digest="d" * 64))
    elif what == "package":
        packages = (("polars", "1.2.4"), PACKAGES[1])
    else:
        lineage = replace(lineage, seed=8)
    other = parsed(bill(replace(EVIDENCE, candidate=candidate, lineage=lineage), packages=packages))
    serials = {uuid.UUID(each["serialNumber"]) for each in (other, parsed(bill()))}
    assert len(serials) == 2
    assert {each.version for each in serials} == {5}


def test_no_address_and_no_parameter_of_this_machine_is_in_it() -> None:
    written = bill(packages=installed()).decode()
    assert SECRET not in written
    assert "://" not in written
    assert "timestamp" not in written


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.update(unheard="of"),
        lambda found: found.update(specVersion="1.5"),
        lambda found: found["metadata"]["component"].update(type="model"),
        lambda found: found["metadata"]["component"]["hashes"][0].update(content="short"),
        lambda found: found["metadata"]["component"]["modelCard"].update(quality="good"),
        lambda found: found["components"].append(found["components"][0]),
        lambda found: found["components"][0]["data"][0].pop("type"),
        lambda found: found.update(serialNumber="urn:uuid:none"),
    ],
)
def test_a_spoilt_bill_is_refused(spoil) -> None:
    found = json.loads(bill())
    spoil(found)
    with pytest.raises(GovernanceError, match="not valid"):
        check_bill(json.dumps(found).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", bill()[:-1], b"[" * 100_000])
def test_what_is_no_bill_is_refused(data: bytes) -> None:
    with pytest.raises(GovernanceError, match="not valid"):
        check_bill(data)


def test_installed_lists_this_environment_once_and_in_order() -> None:
    found = installed()
    assert ("polars", version("polars")) in found
    assert ("scikit-learn", version("scikit-learn")) in found
    assert list(found) == sorted(set(found))


def test_writing_a_bill_loads_no_validator() -> None:
    code = (
        "import sys; from mlops_tasks.governance import bill_of_materials, model_card, model_seal;"
        "print([m for m in ('cyclonedx', 'jsonschema', 'model_signing', 'cryptography')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
