"""The estimator inside scikit-learn's tools, and through pickle and processes."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentcore import GaussianMixture


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0]


def test_in_a_pipeline(X):
    pipeline = make_pipeline(StandardScaler(), PCA(2), GaussianMixture(3, random_state=0)).fit(X)
    assert pipeline.predict(X).shape == (len(X),)
    assert np.isfinite(pipeline.score(X))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_in_a_grid_search_over_processes(X):
    grid = {"n_components": np.array([1, 3]), "covariance_type": ["full", "diag"]}
    search = GridSearchCV(GaussianMixture(random_state=0), grid, cv=2, n_jobs=2).fit(X, np.zeros(len(X)))
    assert search.best_params_["n_components"] == 3
    assert len(cross_val_score(GaussianMixture(3, random_state=0), X, cv=2)) == 2


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_through_pickle_and_joblib(X, kind, tmp_path):
    mixture = GaussianMixture(3, random_state=0).fit(kind(X))
    joblib.dump(mixture, tmp_path / "mixture.joblib")
    for copy in (pickle.loads(pickle.dumps(mixture)), joblib.load(tmp_path / "mixture.joblib")):
        assert type(copy.means_) is type(mixture.means_)
        assert np.array_equal(np.asarray(copy.predict(kind(X))), np.asarray(mixture.predict(kind(X))))


def test_y_is_ignored(X):
    a, b = (GaussianMixture(2, random_state=0).fit(X, y) for y in (None, np.arange(len(X))))
    assert np.array_equal(a.means_, b.means_)
