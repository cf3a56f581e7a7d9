"""The models of this project: one function each, named in `MODELS`, chosen by `model=<name>`.

A function gets the columns that the contract allows it to see and a seed, and returns an unfitted
scikit-learn estimator. Its keyword arguments are what `conf/model/<name>.yaml` may set.
"""

from mlops_tasks.artifacts import Columns
from mlops_tasks.training.baselines import linear
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier


def forest(columns: Columns, seed: int, *, trees: int = 100, min_leaf: int = 10) -> Pipeline:
    """Many deep trees, averaged."""
    model = RandomForestClassifier(
        n_estimators=trees, min_samples_leaf=min_leaf, max_features=0.4, n_jobs=2, random_state=seed
    )
    return make_pipeline(encode(columns), SimpleImputer(strategy="median"), model)


def boosting(
    columns: Columns,
    seed: int,
    *,
    learning_rate: float = 0.05,
    rounds: int = 150,
    leaves: int = 15,
) -> Pipeline:
    """Small trees, each correcting the ones before; missing values need no filling in."""
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=rounds,
        max_leaf_nodes=leaves,
        min_samples_leaf=40,
        l2_regularization=1.0,
        random_state=seed,
    )
    return make_pipeline(encode(columns), model)


def tree(columns: Columns, seed: int, *, depth: int = 3) -> Pipeline:
    """One tree that fits on a slide."""
    model = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=50, random_state=seed)
    return make_pipeline(encode(columns), SimpleImputer(strategy="median"), model)


def encode(columns: Columns) -> BaseEstimator:
    """Categories as numbers, unknown ones as -1; numbers as they are."""
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer(
        [
            ("numeric", "passthrough", list(columns.numeric)),
            ("categorical", categories, list(columns.categorical)),
        ]
    )


MODELS = {"forest": forest, "boosting": boosting, "linear": linear, "tree": tree}
