"""How many components? Information criteria say it; and many small mixtures are fitted in one go.

python docs/examples/model_selection.py --out pictures
"""

import argparse
from pathlib import Path

import numpy as np

from latentcore import plots
from latentcore.mixture import Sweep, fit_many, sweep


def three_groups(random: np.random.Generator, count: int) -> np.ndarray:
    """Samples in the plane, (count, 2), of three groups of different shapes."""
    centres = np.array([[0.0, 0.0], [4.0, 4.0], [-3.0, 5.0]])
    shapes = np.array([[[1.0, 0.3], [0.0, 1.4]], [[0.5, 0.0], [0.4, 0.6]], [[1.2, -0.8], [0.0, 0.5]]])
    group = random.choice(3, count, p=[0.5, 0.3, 0.2])
    noise = np.einsum("nij,nj->ni", shapes[group], random.normal(size=(count, 2)))
    samples: np.ndarray = centres[group] + noise
    return samples


def write_figures(found: Sweep, X: np.ndarray, folder: Path) -> None:
    """The criterion of all mixtures, the best mixture over its samples, and how the largest ones were fitted."""
    best, kinds = found.best, dict.fromkeys(row.covariance_type for row in found.rows)
    save = plots.save_figure
    save(found.figure(), folder / "criterion.png")
    ellipses = plots.gaussian_ellipses(
        best.means_,
        best.covariances_,
        covariance_type=best.covariance_type,
        weights=best.weights_,
        X=X,
        labels=best.predict(X),
    )
    save(ellipses, folder / "mixture.png")
    save(plots.log_likelihood_curve({kind: found.models[kind, 6].lower_bounds_ for kind in kinds}), folder / "fit.png")


def main() -> None:
    """Choose a mixture for one set of samples, then fit one to each of 1,000 sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a folder for the figures; none are written without it")
    folder = parser.parse_args().out
    random = np.random.default_rng(0)
    X = three_groups(random, 600)
    found = sweep(X, range(1, 7), random_state=0)
    print(found)
    best = found.best
    print(f"\nthe data ask for {best.n_components} components, {best.covariance_type}")
    sets = np.stack([three_groups(random, 200) for _ in range(1000)])
    batch = fit_many(sets, best.n_components, covariance_type=best.covariance_type, random_state=0)
    weights = np.sort(batch.weights_, axis=1)
    print(f"{len(batch)} sets of 200: {batch.converged_.mean():.1%} converged, {batch.n_iter_.mean():.1f} iterations")
    print("their weights, mean ± deviation:", ", ".join(f"{w.mean():.2f} ± {w.std():.2f}" for w in weights.T))
    if folder is not None:
        write_figures(found, X, folder)


if __name__ == "__main__":
    main()
