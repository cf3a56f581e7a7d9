"""Scores for rows: what a model sees, and the fastest form of it that says the same.

Columns and types are in `features`, scikit-learn's own scores and ONNX Runtime's in `predictors`,
the proof that both say the same in `onnx`; `serving_form` is the decision for one model, made when
it is registered.
"""
