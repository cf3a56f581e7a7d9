"""Training: fitting, baselines and model files.

The estimator API of scikit-learn is the contract for every model; nothing here knows MLflow or
Prefect.
"""
