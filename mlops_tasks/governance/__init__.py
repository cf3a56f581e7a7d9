"""Who let which model in, on what evidence, and is the record true? No MLflow, Prefect or DVC."""
