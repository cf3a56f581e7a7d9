"""What a model must beat to be worth its keep: the base rate, and a straight line.

They are built the same way as a project's own models, so that the same `fit` serves both.
"""

from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Columns

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

REFERENCE = "mlops_tasks.training.baselines:MODELS"


def trivial(columns: Columns, seed: int) -> "BaseEstimator":
    """Says the base rate of the training rows, whatever the features are."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior", random_state=seed)


def linear(columns: Columns, seed: int, *, C: float = 1.0, max_iter: int = 1000) -> "BaseEstimator":
    """Logistic regression: numbers imputed and scaled, categories one-hot, rare levels pooled."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = ColumnTransformer(
        [
            (
                "numeric",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                list(columns.numeric),
            ),
            (
                "categorical",
                OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10),
                list(columns.categorical),
            ),
        ]
    )
    return make_pipeline(encode, LogisticRegression(C=C, max_iter=max_iter, random_state=seed))


MODELS = {"trivial": trivial, "linear": linear}
