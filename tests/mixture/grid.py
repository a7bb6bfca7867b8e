"""Every combination of what a fit may be given; run by torchrun, each process fits its shard of all of them."""

import itertools
import sys
import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch.distributed as dist

from latentcore.mixture import GaussianMixture

N, D, K = 240, 3, 3
RESULTS = ("weights_", "means_", "covariances_", "lower_bounds_")


@dataclass(frozen=True)
class Case:
    """What a fit is given."""

    kind: str
    dtype: str
    weighted: bool
    gaps: bool
    labelled: bool
    prior: bool
    streamed: bool

    @property
    def name(self):
        return "-".join(name if value is True else value for name, value in asdict(self).items() if value)

    @property
    def tolerance(self):
        return {"float32": 2e-3, "float64": 1e-8}[self.dtype]


KINDS, DTYPES = ("full", "tied", "diag", "spherical"), ("float32", "float64")
CASES = [Case(*values) for values in itertools.product(KINDS, DTYPES, *[(False, True)] * (len(fields(Case)) - 2))]


@dataclass(frozen=True)
class Samples:
    """Rows that belong together: samples, how often each counts, and a class or -1."""

    x: np.ndarray
    weight: np.ndarray
    labels: np.ndarray

    def rows(self, which):
        return Samples(self.x[which], self.weight[which], self.labels[which])

    def with_x(self, x):
        return replace(self, x=x)


def samples(case):
    """Three groups that overlap a little; labels and larger weights are everywhere."""
    random = np.random.default_rng(0)
    groups = np.arange(N) % K
    centres, scales = np.array([[0, 0, 0], [3, 3, 0], [-3, 0, 2]]), np.array([1, 0.7, 1.4])
    x = random.normal(centres[groups], scales[groups, None], (N, D))
    if case.gaps:
        x = np.where(random.random(x.shape) < 0.15, np.nan, x)
    return Samples(x, 1 + np.arange(N) % 3, np.where(np.arange(N) % 8 == 0, groups, -1))


def start(case):
    """The parameters at which every fit begins, so that no draw has a say."""
    means = np.array([[0.5, 0, 0], [2, 3, 1], [-2, 0, 1.0]])
    precisions = {
        "full": np.stack([np.eye(D)] * K),
        "tied": np.eye(D),
        "diag": np.ones((K, D)),
        "spherical": np.ones(K),
    }
    return {"weights_init": np.array([0.2, 0.3, 0.5]), "means_init": means, "precisions_init": precisions[case.kind]}


def fitted(case, data, begin=None, **options):
    """The mixture of a case, from these samples."""
    x = data.x.astype(case.dtype)
    words = {"tol": 0.0, "max_iter": 12, "covariance_type": case.kind, **(begin or start(case))}
    if case.gaps:
        words["missing"] = "marginalize"
    if case.prior:
        scale = {"full": np.eye(x.shape[1]), "tied": np.eye(x.shape[1]), "diag": np.ones(x.shape[1]), "spherical": 1.0}
        words |= {"weight_concentration_prior": 2.0, "covariance_prior": scale[case.kind]}
    given = {"sample_weight": data.weight} if case.weighted else {}
    given |= {"labels": data.labels} if case.labelled else {}
    group = {"group": options.pop("group")} if "group" in options else {}
    pieces = (lambda: iter(np.array_split(x, 4))) if case.streamed else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no fit is long enough to converge
        return GaussianMixture(K, **words | options).fit(pieces, **given, **group)


def results(mixture):
    return {name: np.asarray(getattr(mixture, name), dtype="f8") for name in RESULTS}


def own_part():
    """The shards have different sizes."""
    return slice(0, 90) if dist.get_rank() == 0 else slice(90, N)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    found = {}
    for case in CASES:
        own = samples(case).rows(own_part())
        for name, value in results(fitted(case, own, group=dist.group.WORLD)).items():
            found[f"{case.name}/{name}"] = value
    np.savez(Path(sys.argv[1]) / f"{dist.get_rank()}.npz", **found)
    dist.destroy_process_group()
