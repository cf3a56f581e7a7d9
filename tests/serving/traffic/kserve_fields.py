"""Writes down what an InferenceService may hold, from the models of KServe's own Python SDK.

The SDK cannot live beside this library (it asks for pandas below 3), so its field names and types
are written down once, and tests hold manifests against that:

    pip download --no-deps kserve==0.21.0
    cd tests/serving/traffic && python kserve_fields.py KSERVE.whl > kserve_fields.json
"""

import ast
import json
import sys
import zipfile

MODELS = ("v1beta1_inference_service", "v1beta1_inference_service_spec", "v1beta1_predictor_spec")


def fields_of(source: str) -> dict[str, str]:
    """Name in a manifest to type, in the SDK's words."""
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("openapi_types", "attribute_map")
    }
    return {found["attribute_map"][name]: kind for name, kind in found["openapi_types"].items()}


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        fields = {
            model: fields_of(archive.read(f"kserve/models/{model}.py").decode()) for model in MODELS
        }
    print(json.dumps({"source": wheel.rpartition("/")[2], **fields}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
