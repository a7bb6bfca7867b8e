"""A table with holes: the mixture uses every value that is there, and fills in what is not.

python docs/examples/missing_values.py
"""

import numpy as np
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from latentcore import GaussianMixture

# three cultivars of wine, thirteen measurements each; a fifth of the numbers is lost
wine = load_wine()
complete = StandardScaler().fit_transform(wine.data)
holes = np.random.default_rng(0).uniform(size=complete.shape) < 0.2
X = np.where(holes, np.nan, complete)
print(f"{holes.sum()} of {holes.size} values are missing; rows without a gap: {(~holes.any(1)).sum()} of {len(X)}")

options = {"covariance_type": "diag", "n_init": 20, "reg_covar": 1e-2, "random_state": 0}
marginalised = GaussianMixture(3, missing="marginalize", **options).fit(X)
filled = np.where(holes, np.nanmean(X, axis=0), X)
imputed = GaussianMixture(3, **options).fit(filled)

for name, found in (
    ("missing values marginalised", marginalised.predict(X)),
    ("means filled in instead", imputed.predict(filled)),
    ("nothing missing", GaussianMixture(3, **options).fit_predict(complete)),
):
    print(f"{name:30} agreement with the cultivars {adjusted_rand_score(wine.target, found):.3f}")

# what a component expects of a missing value, weighted by how probable it is
expected = marginalised.predict_proba(X) @ marginalised.means_
for name, values in (("the mixture's expectation", expected), ("the column's mean", filled)):
    print(f"{name:30} error of the missing values {np.sqrt(np.mean((values - complete)[holes] ** 2)):.3f} deviations")
