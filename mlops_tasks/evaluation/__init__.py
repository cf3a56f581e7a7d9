"""Evaluation: metrics, slices, calibration, importance, comparison, the gate and its report.

All of it is arithmetic on scores: nothing here knows MLflow, Prefect or where a model came from.
"""
