"""The contract, the models and the flows of {{ cookiecutter.project_slug }}.

Importing mlops_tasks first switches telemetry off: of Prefect, MLflow, DVC and ONNX Runtime.
"""

import mlops_tasks as mlops_tasks
