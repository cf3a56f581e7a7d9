# MLflow with access control, the guard of the registry's roles, PostgreSQL and S3.
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE}
ARG MLFLOW
# A wheel of the library lies beside this file: `uv build --wheel --out-dir team-server`.
COPY mlops_tasks-*.whl /tmp/
RUN wheel=$(ls /tmp/mlops_tasks-*.whl) \
    && python -m pip install --no-cache-dir "mlflow[auth]==${MLFLOW}" "${wheel}[postgres]" "boto3>=1.35,<2" \
    && rm /tmp/mlops_tasks-*.whl \
    && useradd --uid 1000 --create-home mlflow
USER 1000
