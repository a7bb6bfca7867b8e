"""Many small mixtures, each on samples of its own, fitted together."""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import Tensor
from torch.nn import functional as F

from latentcore import _checks, _errors
from latentcore._ambient import torch_as_usual
from latentcore.mixture import _arrays, _batched_data, _batched_parameters
from latentcore.mixture._batched_start import start
from latentcore.mixture._predictions import FITTED
from latentcore.mixture._warnings import warn
from latentcore.mixture.estimator import GaussianMixture
from latentcore.ops import gmm_e_step, gmm_em, gmm_responsibilities
from latentcore.reference import MixtureFit, MixtureParameters

# shapes: B mixtures, X (B, N, D) samples, K components each


_FIGURES = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_")


@dataclass(frozen=True, eq=False, repr=False)
class MixtureBatch:
    r"""Fitted mixtures, B of them, as `fit_many` returns them: scikit-learn's names, with the mixtures in front.

    Answers are of the kind of the samples that they are asked for: arrays, or tensors on the samples' device. As those
    of `GaussianMixture`, the parameters may be edited, or set with `dataclasses.replace`, as arrays, tensors or lists:
    ``precisions_cholesky_`` counts, but ``covariances_`` where they alone were changed.
    ``batch[b]`` is mixture b alone, ``len(batch)`` is B.

    Attributes:
        options: What `GaussianMixture` is constructed with to fit one of them.
        weights_: (B, K).
        means_: (B, K, D).
        covariances_: "full" (B, K, D, D), "tied" (B, D, D), "diag" (B, K, D), "spherical" (B, K).
        precisions_cholesky_: U, upper triangular, with precision = U Uᵀ, in the same shape.
        converged_: Which met ``tol``, (B,). A mixture that stopped because a covariance was no longer positive definite
            did not, and has the parameters before that step.
        n_iter_: Their numbers of iterations, (B,).
        lower_bound_: Their last mean log-likelihoods, (B,), nats; -inf without an iteration.
        lower_bounds_: The mean log-likelihood at every iteration, (B, max_iter), NaN after the last.
    """

    options: dict[str, Any]
    weights_: Any
    means_: Any
    covariances_: Any
    precisions_cholesky_: Any
    converged_: Any
    n_iter_: Any
    lower_bound_: Any
    lower_bounds_: Any
    _published: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.means_)

    @torch_as_usual()
    def __getitem__(self, b: int) -> GaussianMixture:
        _errors.integer("b", b, -(2**63), 2**63 - 1)
        if not -len(self) <= b < len(self):
            raise IndexError(f"b: expected a number in [{-len(self)}, {len(self)}), got {b}")
        model = GaussianMixture(**self.options)
        values = {name: _arrays.tensor(getattr(self, name)[b], name=name)[None] for name in FITTED}
        before = None if self._published is None else {name: value[b][None] for name, value in self._published.items()}
        found = _batched_parameters.current(model.covariance_type, values, before)
        parameters = MixtureParameters(*(value[0] for value in found))
        model.n_features_in_ = parameters.means.shape[-1]
        model._set_parameters(parameters, self.means_, _arrays.dtype_of(self.means_))
        model.converged_ = bool(self.converged_[b])
        model.n_iter_ = int(self.n_iter_[b])
        model.lower_bound_ = float(self.lower_bound_[b])
        model.lower_bounds_ = _arrays.tensor(self.lower_bounds_[b])[: model.n_iter_].tolist()
        return model

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"<MixtureBatch of {len(self)}: {options}>"

    @torch_as_usual(gradients=False)
    def predict(self, X: Any) -> Any:
        """The most probable component of each sample, (B, M) int64, for X (B, M, D)."""
        x, _ = self._samples(X)
        return _arrays.like(gmm_e_step(x, *self._parameters(x))[1].argmax(-1), X)

    @torch_as_usual(gradients=False)
    def predict_proba(self, X: Any) -> Any:
        """The responsibilities p(k | x), (B, M, K), for X (B, M, D)."""
        x, _ = self._samples(X)
        return _arrays.like(gmm_responsibilities(x, *self._parameters(x)), X)

    @torch_as_usual(gradients=False)
    def score_samples(self, X: Any) -> Any:
        """The log-likelihood of each sample under its mixture, (B, M), nats, for X (B, M, D)."""
        x, _ = self._samples(X)
        return _arrays.like(gmm_e_step(x, *self._parameters(x))[0], X)

    @torch_as_usual(gradients=False)
    def score(self, X: Any, *, sample_weight: Any = None) -> Any:
        """The mean log-likelihood of each mixture's samples, (B,), float64, nats; `sample_weight` as in `fit_many`."""
        total, count = self._log_likelihood(X, sample_weight)
        return _arrays.like(total / count, X)

    @torch_as_usual(gradients=False)
    def aic(self, X: Any, *, sample_weight: Any = None) -> Any:
        """Akaike's information criterion of each mixture, (B,), float64; the lower, the better (Akaike 1974)."""
        total, _ = self._log_likelihood(X, sample_weight)
        return _arrays.like(2 * self[0]._n_parameters() - 2 * total, X)

    @torch_as_usual(gradients=False)
    def bic(self, X: Any, *, sample_weight: Any = None) -> Any:
        """Bayesian information criterion of each mixture, (B,), float64; the lower, the better (Schwarz 1978)."""
        total, count = self._log_likelihood(X, sample_weight)
        return _arrays.like(self[0]._n_parameters() * count.log() - 2 * total, X)

    def _log_likelihood(self, X: Any, sample_weight: Any) -> tuple[Tensor, Tensor]:
        """Sums over the samples of every mixture, of log-likelihoods and of weights, (B,), float64."""
        x, given = self._samples(X, sample_weight)
        log_prob = gmm_e_step(x, *self._parameters(x))[0].double()
        weight = torch.ones_like(log_prob) if given is None else given.double()
        return (log_prob * weight).where(weight > 0, 0).sum(1), weight.sum(1)

    def _samples(self, X: Any, sample_weight: Any = None) -> tuple[Tensor, Tensor | None]:
        x, weight = _batched_data.checked(X, sample_weight)
        shape = np.shape(self.means_)
        if len(shape) != 3:
            _errors.fail_value("means_", "shape (B, K, D)", tuple(shape))
        _checks.shape("X", x, (shape[0], "M", shape[2]))
        return x, weight

    def _parameters(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, str]:
        """What the operators take beside the samples, on their device."""
        kind = self.options["covariance_type"]
        values = {name: _arrays.tensor(getattr(self, name), name=name) for name in FITTED}
        found = _batched_parameters.current(kind, values, self._published)
        weights, means, _, factors = (value.to(x.device, x.dtype) for value in found)
        return weights, means, factors, kind


@torch_as_usual()
def fit_many(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    tol: float = 1e-3,
    reg_covar: float = 1e-6,
    max_iter: int = 100,
    n_init: int = 1,
    sample_weight: Any = None,
    random_state: Any = None,
) -> MixtureBatch:
    r"""Fit B independent Gaussian mixtures, each to samples of its own, in batched operations.

    .. math::

        \hat\theta_b = \arg\max_\theta \sum_n s_{bn} \log \sum_k \pi_k N(x_{bn} \mid \mu_k, \Sigma_k)
        \qquad \text{for every } b

    Every mixture starts at its own k-means (greedy k-means++ seeds and ten iterations of Lloyd's algorithm) and stops
    for itself (`latentcore.ops.gmm_em`); on a GPU, all iterations of a small mixture are one block's. Meant for many
    small mixtures: one on many samples is `GaussianMixture`'s, which also has priors, other starts and labels.

    Args:
        X: Samples, N of each mixture. (B, N, D), B, N and D >= 1, finite, array or tensor; float32 stays float32, and a
            tensor stays on its device.
        n_components: K, of every mixture, >= 1.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: A mixture stops when its mean log-likelihood changes by less, >= 0, nats.
        reg_covar: Added to the variances, >= 0, in the squared unit of X.
        max_iter: Greatest number of iterations, >= 0; 0 returns the starts.
        n_init: Number of starts of every mixture, >= 1; the one with the greatest likelihood is kept.
        sample_weight: How often each sample counts, >= 0, in any unit. (B, N). 0 pads mixtures with fewer samples: what
            stands there in X is not looked at, and may be NaN. At least K of each mixture's are > 0.
        random_state: Seed or `numpy.random.RandomState` of the starts.

    Returns:
        `MixtureBatch`. ``converged_`` says which mixtures did not meet ``tol``, or ended at a covariance that was not
        positive definite: those are a warning, no error.

    Raises:
        TypeError: X or ``sample_weight`` does not hold real numbers.
        ValueError: A parameter is out of range, a shape is wrong, X holds NaN or infinity, a weight is negative, or
            a mixture has fewer samples than components; the message names the first such mixture.

    Warns:
        ConvergenceWarning: Some mixtures did not converge.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> X = random.normal(size=(1000, 60, 2)) + 9 * random.integers(2, size=(1000, 60, 1))
        >>> batch = fit_many(X, 2, random_state=0)
        >>> np.sort(batch.means_[..., 0]).mean(0).round(1)
        array([0., 9.])
        >>> batch[7].predict(X[7]).shape
        (60,)

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    options: dict[str, Any] = {
        "n_components": n_components,
        "covariance_type": covariance_type,
        "tol": tol,
        "reg_covar": reg_covar,
        "max_iter": max_iter,
        "n_init": n_init,
    }
    GaussianMixture(**options, random_state=random_state)._validate_params()
    x, weight = _batched_data.checked(X, sample_weight)
    _batched_data.check_counts(x, weight, n_components)
    weight = _batched_data.in_units(weight, x.dtype)
    random = check_random_state(random_state)

    def fit() -> MixtureFit:
        begin = start(x, weight, n_components, covariance_type, float(reg_covar), random)
        return gmm_em(
            x, *begin, covariance_type, max_iter=int(max_iter), tol=tol, reg_covar=reg_covar, sample_weight=weight
        )

    best = reduce(_better, (fit() for _ in range(n_init)))
    batch = _published(best, options, X, x.dtype)
    failed = int((~best.converged).sum())
    if failed and max_iter > 0:
        warn(
            f"{failed} of {len(x)} mixtures did not converge in {max_iter} iterations or met a covariance that is not "
            "positive definite; converged_ says which: increase max_iter, tol, n_init or reg_covar",
            ConvergenceWarning,
        )
    return batch


def _published(fit: MixtureFit, options: dict[str, Any], X: Any, dtype: torch.dtype) -> MixtureBatch:
    """The fit in the caller's kind, its parameters in his dtype."""
    rounded = [value.to(dtype) for value in fit.parameters]
    published = _batched_parameters.copies(dict(zip(FITTED, rounded, strict=True)))
    figures = (fit.converged, fit.n_iter, _last_bounds(fit), fit.lower_bounds)
    named = zip((*FITTED, *_FIGURES), (*rounded, *figures), strict=True)
    return MixtureBatch(options, **{name: _arrays.like(value, X) for name, value in named}, _published=published)


def _last_bounds(fit: MixtureFit) -> Tensor:
    """The last mean log-likelihoods, (B,); -inf without iterations."""
    return F.pad(fit.lower_bounds, (1, 0), value=-math.inf).take_along_dim(fit.n_iter.unsqueeze(1), 1)[:, 0]


def _better(kept: MixtureFit, other: MixtureFit) -> MixtureFit:
    """Of every mixture the fit with the greater likelihood."""
    better = _last_bounds(other) > _last_bounds(kept)
    pairs = zip(other, kept, strict=True)
    return MixtureFit(*(new.where(better.view(-1, *[1] * (new.dim() - 1)), old) for new, old in pairs))
