"""Drift: what a live model sees, held against what it was trained on, as arithmetic.

Nothing in here knows Prefect, MLflow, or where rows came from; what is done about it is the affair
of `monitoring`.
"""
