"""Flows on a Prefect server: what is deployed, what is pruned, what survives a crash."""
