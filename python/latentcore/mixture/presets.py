"""Mixtures for few-label classification, fitted and ready to predict labels in the units of their samples."""

import warnings
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore.mixture import _arrays
from latentcore.mixture.estimator import GaussianMixture
from latentcore.mixture.labels import check_labels, fail_without_classes
from latentcore.reference import MixtureParameters

# shapes: X (N, D) samples, K components, C classes


@torch_as_usual()
def few_label_mixture(
    X: Any, labels: Any, *, n_components: int = 15, n_init: int = 10, init_size: int = 4000, random_state: Any = None
) -> GaussianMixture:
    """Fit more components than classes, learn from a few labels what they stand for, hold the labelled samples to it.

    On axes scaled to unit variance: ``n_init`` starts from k-means++ seeds with covariance 0.1·I and equal weights, on
    ``init_size`` samples; EM on all samples from the best. The labels then say which classes the components stand for,
    with propagation between overlapping ones (`component_label_probabilities`), and EM goes on with the labelled
    samples held to the components of their classes.

    Args:
        X: Samples. (N, D), array or tensor.
        labels: Class numbers >= 0, -1 where unknown. (N,).
        n_components: K, several times the number of classes.
        n_init: Number of restarts.
        init_size: Number of samples on which they run.
        random_state: Seed of the starts.

    Returns:
        A mixture in the units of X: `predict_label` and `predict_label_proba` are for samples like X.

    Raises:
        TypeError: As `GaussianMixture.fit`; or X is no array or tensor, but samples that are read in pieces.
        ValueError: As `GaussianMixture.fit`.

    Example:
        >>> import numpy as np
        >>> X = np.concatenate([np.random.default_rng(0).normal(c, 1, (50, 2)) for c in (0, 8)])
        >>> labels = np.full(100, -1)
        >>> labels[[0, 99]] = 4, 9
        >>> few_label_mixture(X, labels, n_components=4, random_state=0).predict_label(X[[1, 98]])
        array([4, 9])
    """
    _errors.integer("n_components", n_components, 1, 2**31 - 1)
    model = _mixture(int(n_components), n_init=n_init, init_size=init_size, random_state=random_state)
    given = _standardise(X)
    model.precisions_init = _spherical_precisions(given.x, int(n_components), variance=0.1)
    if labels is None:
        fail_without_classes()
    _fit(model, given.x, labels)
    return _in_units_of(X, model, given)


@torch_as_usual()
def class_mean_mixture(X: Any, labels: Any) -> GaussianMixture:
    """Fit one component per class, started at the classes' means: the plain recipe.

    On axes scaled to unit variance, with covariance 0.3·I and equal weights at the start. Component k stands for class
    k, so `predict_label` takes the component of highest likelihood.

    Args:
        X: Samples. (N, D), array or tensor.
        labels: Class numbers >= 0, -1 where unknown. (N,).

    Returns:
        A mixture in the units of X.

    Raises:
        TypeError, ValueError: As `few_label_mixture`.
    """
    given = _standardise(X)
    x = given.x
    known = check_labels(labels, len(x), torch.device("cpu"))
    classes = known[known >= 0].unique()
    if not len(classes):
        fail_without_classes()
    model = _mixture(len(classes))
    model.means_init = torch.stack([x[(known == c).to(x.device)].double().mean(0) for c in classes])
    model.precisions_init = _spherical_precisions(x, len(classes), variance=0.3)
    _fit(model, x)
    model.classes_ = classes.to(x.device)
    model.component_label_proba_ = torch.eye(len(classes), dtype=x.dtype, device=x.device)
    return _in_units_of(X, model, given)


def _mixture(n_components: int, **options: Any) -> GaussianMixture:
    return GaussianMixture(
        n_components,
        init_params="k-means++",
        weights_init=torch.full((n_components,), 1 / n_components, dtype=torch.float64),
        reg_covar=1e-3,
        tol=1e-5,
        max_iter=150,
        **options,
    )


def _fit(model: GaussianMixture, x: Tensor, labels: Any = None) -> None:
    """Fit without a warning: the recipes end after 150 iterations on purpose, and `converged_` tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels=labels)


class _Standardised(NamedTuple):
    """Samples x = (X - centre) / scale, and what the columns of X are called, or None."""

    x: Tensor
    centre: Tensor
    scale: Tensor
    names: Any


def _standardise(X: Any) -> _Standardised:
    """X with mean 0 and variance 1 on every axis; a constant axis keeps its unit."""
    estimator = GaussianMixture()
    x = _arrays.samples(estimator, X, reset=True)
    centre, scale = x.double().mean(0), x.double().std(0)
    if not bool(scale.isfinite().all()):
        _errors.fail_value("X", "samples whose variance is finite", "an overflow; scale X")
    scale = torch.where(scale > 0, scale, 1)
    standardised = ((x.double() - centre) / scale).to(x.dtype)
    return _Standardised(standardised, centre, scale, getattr(estimator, "feature_names_in_", None))


def _spherical_precisions(x: Tensor, n_components: int, *, variance: float) -> Tensor:
    identity = torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
    return (identity / variance).expand(n_components, -1, -1)


def _in_units_of(X: Any, model: GaussianMixture, given: _Standardised) -> GaussianMixture:
    """The same mixture of X where `model` was fitted to the standardised samples, its arrays of the kind of X."""
    dtype, (_, centre, scale, names) = model.means_.dtype, given
    weights, means, covariances, factors = model._parameters()
    means, covariances, factors = means * scale + centre, covariances * scale[:, None] * scale, factors / scale[:, None]
    model._set_parameters(MixtureParameters(weights, means, covariances, factors), X, dtype)
    for name in ("classes_", "component_label_proba_"):
        setattr(model, name, _arrays.like(getattr(model, name), X))
    log_volume = float(scale.log().sum())
    model.lower_bounds_ = [bound - log_volume for bound in model.lower_bounds_]
    model.lower_bound_ -= log_volume
    if names is not None:
        model.feature_names_in_ = names
    # the start was meant for the standardised samples
    return model.set_params(weights_init=None, means_init=None, precisions_init=None)  # type: ignore[no-any-return]
