"""The contract, the models and the flows of {{ cookiecutter.project_slug }}.

Importing mlops_tasks first switches the telemetry of Prefect, MLflow and DVC off.
"""

import mlops_tasks as mlops_tasks
