"""The local platform: Prefect server, MLflow server and worker as background services."""
