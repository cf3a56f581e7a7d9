"""Registry: MLflow runs, versions and aliases, and the lineage that is written to them.

Only `client` decides how MLflow is reached. The promotion protocol with approvals is not here yet:
an accepted candidate becomes champion at once.
"""
