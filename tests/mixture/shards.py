"""What `test_distributed.py` lets torchrun run: every process fits its shard and saves what it found."""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from latentcore.mixture import GaussianMixture

RESULTS = ("weights_", "means_", "covariances_", "lower_bounds_", "n_iter_", "n_samples_seen_")

FITS = {
    **{kind: {"covariance_type": kind, "n_init": 2} for kind in ("full", "tied", "diag", "spherical")},
    **{start: {"init_params": start, "n_init": 3} for start in ("k-means++", "random", "random_from_data")},
    "more centres than places": {"n_components": 40, "reg_covar": 1e-2, "max_iter": 20},
    "some first": {"init_size": 120, "n_init": 3},
    "some first, none of them here": {"init_size": 4, "random_state": 1},
    "dead components": {"n_components": 4, "means_init": [[0.0, 0, 0]] * 3 + [[1e4, 0, 0]], "reseed": True},
    "weights": {"weighted": True},
    "weights, random_from_data": {"weighted": True, "init_params": "random_from_data"},
    "weights beyond float32": {"weighted": True, "narrow": True, "max_iter": 5, "tol": 0.0},
    "priors": {"weight_concentration_prior": 3.0, "covariance_prior": np.eye(3)},
    "gaps": {"missing": "marginalize"},
    "labels": {"labelled": True, "n_components": 5},
    "classes": {"labelled": True, "n_components": 1, "n_components_per_class": 2},
    "stream": {"streamed": True},
    "stream of labels and gaps": {"streamed": True, "labelled": True, "missing": "marginalize"},
}


def samples():
    """Three groups; the labels lie in the first quarter, which one process of two holds alone."""
    random = np.random.default_rng(0)
    groups = np.arange(600) % 3
    centres, scales = np.array([[0, 0, 0], [4, 4, 0], [-3, 0, 3]]), np.array([1, 0.5, 1.5])
    X = random.normal(centres[groups], scales[groups, None], (600, 3))
    return X, np.where(np.arange(600) < 60, groups + 2, -1)


def fitted(name, part=slice(None), **group):
    """The mixture of a case, from some of the samples."""
    options = {"n_components": 3, "random_state": 0, "tol": 1e-6, "max_iter": 200} | FITS[name]
    X, labels = (values[part] for values in samples())
    words = ("weighted", "labelled", "streamed", "narrow")
    weighted, labelled, streamed, narrow = (options.pop(word, False) for word in words)
    if options.get("missing") == "marginalize":
        X = np.where(np.arange(X.size).reshape(X.shape) % 7 == 3, np.nan, X)
    if weighted:
        group["sample_weight"] = (1 + np.arange(600) % 3)[part]
    if narrow:  # the weights of the first process are ordinary, those of the second are not
        X, group["sample_weight"] = (
            X.astype(np.float32),
            group["sample_weight"] * np.where(np.arange(600) < 210, 1e13, 1e11)[part],
        )
    if labelled:
        group["labels"] = labels
    data = (lambda: iter(np.array_split(X, 5))) if streamed else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(**options).fit(data, **group)


def own_part():
    """The shards have different sizes."""
    return slice(0, 210) if dist.get_rank() == 0 else slice(210, 600)


def failures():
    """What the processes say where one of them has bad samples."""
    X = samples()[0][own_part()]
    second = dist.get_rank() == 1
    bad = {
        "NaN": np.where(np.arange(len(X))[:, None] == 7, np.nan, X) if second else X,
        "features": X[:, :2] if second else X,
        "few": X[:3],
    }
    for name, part in bad.items():
        try:
            GaussianMixture(8).fit(torch.from_numpy(part), group=dist.group.WORLD)
        except ValueError as error:
            yield name, str(error)


def counted_messages():
    """Bytes that one more iteration sends."""
    sent = []
    reduce = dist.all_reduce

    def counting(tensor, **options):
        sent.append(tensor.numel() * tensor.element_size())
        return reduce(tensor, **options)

    dist.all_reduce = counting
    totals = []
    for iterations in (5, 15):
        sent.clear()
        FITS["counted"] = {"n_components": 4, "max_iter": iterations, "tol": 0.0}
        fitted("counted", own_part(), group=dist.group.WORLD)
        totals.append(sum(sent))
    return (totals[1] - totals[0]) / 10


def main(folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, found = dist.get_rank(), {}
    for name in FITS:
        mixture = fitted(name, own_part(), group=dist.group.WORLD)
        found |= {f"{name}/{result}": np.asarray(getattr(mixture, result)) for result in RESULTS}
        if hasattr(mixture, "classes_"):
            found[f"{name}/table"] = mixture.component_label_proba_
    found |= {f"failure/{name}": np.array(message) for name, message in failures()}
    unseeded = GaussianMixture(3).fit(samples()[0][own_part()], group=dist.group.WORLD)
    found["unseeded"], found["bytes"] = unseeded.means_, np.array(counted_messages())
    np.savez(Path(folder) / f"{rank}.npz", **found)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
