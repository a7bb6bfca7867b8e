"""Ten digits from ten labels each: labelled samples are held to the components of their class.

python docs/examples/few_labels.py --labels 10
"""

import argparse
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from latentcore import GaussianMixture


def main(labels_per_class: int) -> None:
    """Compare a mixture that also sees the unlabelled samples with a classifier that does not."""
    digits = load_digits()
    X = PCA(20, random_state=0).fit_transform(digits.data)
    random = np.random.default_rng(0)
    order = random.permutation(len(X))
    train, test = order[:1200], order[1200:]

    labels = np.full(len(train), -1)
    for digit in range(10):
        places = np.flatnonzero(digits.target[train] == digit)[:labels_per_class]
        labels[places] = digit
    known = labels >= 0
    print(f"{len(train)} samples, {known.sum()} of them with labels")

    supervised = LogisticRegression(max_iter=1000).fit(X[train][known], labels[known])
    print(f"logistic regression on the labelled ones  {supervised.score(X[test], digits.target[test]):.3f}")

    warnings.simplefilter("ignore", ConvergenceWarning)
    for per_class in (1, 2):
        mixture = GaussianMixture(
            n_components_per_class=per_class, covariance_type="tied", n_init=5, reg_covar=0.1, random_state=0
        ).fit(X[train], labels=labels)
        accuracy = np.mean(mixture.predict_label(X[test]) == digits.target[test])
        print(f"mixture, {per_class} component(s) a class, all samples    {accuracy:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=10, help="per class")
    main(parser.parse_args().labels)
