"""Gaussian mixture with scikit-learn's interface on `latentcore.ops`, and decoding from few labels."""

import math
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentcore import _checks
from latentcore.mixture import _arrays
from latentcore.mixture._em import Fit, Options, best_of_restarts, pick
from latentcore.mixture._initialise import Given, starts
from latentcore.mixture._priors import Priors
from latentcore.mixture._sampling import draw
from latentcore.mixture.labels import check_labels, decode_from_labels
from latentcore.ops import gmm_e_step, gmm_responsibilities
from latentcore.reference import MixtureParameters, covariance_shape

# shapes: X (N, D) samples, K components, C classes

_FITTED = ("weights_", "means_", "covariances_", "precisions_cholesky_")


class GaussianMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Gaussian mixture fitted with expectation maximisation, a drop-in for `sklearn.mixture.GaussianMixture`.

    .. math::

        p(x) = \sum_k \pi_k \, N(x \mid \mu_k, \Sigma_k)

    An iteration is one pass over the samples (`latentcore.ops.gmm_statistics`); restarts run together. Moments are
    centred on the current means and the M-step is done in float64, so float32 samples far from the origin give no
    negative variance. Samples may be arrays (answers are NumPy arrays) or tensors (answers are tensors on the same
    device); float32 stays float32. Everything with a trailing underscore is what `fit` found.

    With ``labels`` of a few samples, `fit` also learns which class each component stands for, and `predict_label`
    decodes softly, :math:`p(c \mid x) = \sum_k p(k \mid x) \, p(c \mid k)`; the labels do not move the mixture.

    Args:
        n_components: K, >= 1.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: A restart stops when its mean log-likelihood changes by less, >= 0, nats.
        reg_covar: Added to the variances, >= 0, in the squared unit of X.
        max_iter: Greatest number of iterations, >= 0.
        n_init: Number of restarts, >= 1; the one with the greatest likelihood is kept.
        init_params: "kmeans", "k-means++" (seeds only), "random" or "random_from_data"; the starts are scikit-learn's
            for the same ``random_state`` (but seeds alone give a tied covariance of ``reg_covar``, as they do for the
            other types).
        weights_init: (K,) numbers that sum to 1, instead of ``init_params``'.
        means_init: (K, D) means, likewise.
        precisions_init: Inverse covariances in the shape of ``covariances_``, likewise.
        random_state: Seed or `numpy.random.RandomState` of the starts and of `sample`.
        warm_start: Continue from the last fit; ``n_init`` and ``init_size`` are ignored then.
        verbose: Print the progress.
        verbose_interval: Iterations between two prints, >= 1.
        init_size: Run the restarts on that many randomly drawn samples and only the best of them on all. ``None``: run
            all on all.
        weight_concentration_prior: Concentration of a Dirichlet prior of the weights, > 0; 1 has no effect, more
            favours equal weights, less empty components. ``None``: no prior. With priors, ``lower_bound_`` is the mean
            logarithm of the posterior density, up to a constant.
        degrees_of_freedom_prior: Of an inverse Wishart prior of the covariances, > D - 1 (inverse gamma, > 0, for
            "diag" and "spherical"). ``None``: D (1), where ``covariance_prior`` is given.
        covariance_prior: Scale of that prior: (D, D), (D,) for "diag", a number for "spherical". ``None``: no prior.
        reseed: Whether a component that ends with less than one sample is put on the sample that the mixture explains
            worst, as long as that gives a better fit.
        label_propagation: How far labels travel between overlapping components, in [0, 1); see
            `latentcore.mixture.component_label_probabilities`.

    Attributes:
        weights_: (K,).
        means_: (K, D).
        covariances_: "full" (K, D, D), "tied" (D, D), "diag" (K, D), "spherical" (K,).
        precisions_: Their inverses.
        precisions_cholesky_: U, upper triangular, with precision = U Uᵀ.
        converged_: Whether the kept restart met ``tol``.
        n_iter_: Its number of iterations.
        lower_bound_: Its last mean log-likelihood, nats.
        lower_bounds_: The mean log-likelihood at every iteration.
        n_features_in_: D.
        classes_: (C,) class numbers that occur in ``labels``; only after a fit with labels.
        component_label_proba_: (K, C), p(class | component); likewise.

    Raises:
        ValueError: In `fit`, a parameter is out of range, X holds NaN or infinity or fewer than K samples, given
            precisions are not positive definite, or a component collapsed with ``reg_covar=0``.

    Example:
        >>> import numpy as np
        >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
        >>> mixture = GaussianMixture(2, random_state=0).fit(X, labels=np.array([3, -1, -1, 7, -1, -1]))
        >>> mixture.predict_label(np.array([[0.0, 0], [12, 3]]))
        array([3, 7])

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
    """

    _parameter_constraints = {  # noqa: RUF012  # scikit-learn's name and form
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({"full", "tied", "diag", "spherical"})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"kmeans", "random", "random_from_data", "k-means++"})],
        "weights_init": ["array-like", Tensor, None],
        "means_init": ["array-like", Tensor, None],
        "precisions_init": ["array-like", Tensor, None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "weight_concentration_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "degrees_of_freedom_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "covariance_prior": ["array-like", Tensor, Real, None],
        "reseed": ["boolean"],
        "label_propagation": [Interval(Real, 0.0, 1.0, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        init_size: int | None = None,
        weight_concentration_prior: float | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
        reseed: bool = False,
        label_propagation: float = 0.9,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.init_size = init_size
        self.weight_concentration_prior = weight_concentration_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.reseed = reseed
        self.label_propagation = label_propagation

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, labels: Any = None) -> "GaussianMixture":
        """Fit the mixture to X (N, D); `y` is ignored.

        `sample_weight`: (N,), counts a sample so many times. `labels`: (N,) class numbers >= 0, -1 where unknown.
        """
        self._validate_params()
        before = dict(self.__dict__)
        try:
            return self._fit(X, sample_weight, labels)
        except BaseException:  # a fitted mixture stays as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X: Any, sample_weight: Any, labels: Any) -> "GaussianMixture":
        x = _arrays.samples(self, X, reset=True)
        if len(x) < self.n_components:
            _checks.fail_value("X", f"at least n_components = {self.n_components} samples", len(x))
        weight = _arrays.weights(sample_weight, x)
        known = None if labels is None else check_labels(labels, len(x), x.device)
        self._store(self._best_fit(x, weight), X, x.dtype)
        if known is not None:
            self._learn_labels(x, known, weight, X)
        return self

    def fit_predict(self, X: Any, y: Any = None, *, sample_weight: Any = None, labels: Any = None) -> Any:
        """`fit`, then `predict` on the same samples."""
        return self.fit(X, y, sample_weight=sample_weight, labels=labels).predict(X)

    def predict(self, X: Any) -> Any:
        """The most probable component of each sample, (N,) int64."""
        return _arrays.like(self._e_step(X)[1].argmax(1), X)

    def predict_proba(self, X: Any) -> Any:
        """The responsibilities p(k | x), (N, K)."""
        return _arrays.like(self._responsibilities(X), X)

    def predict_label(self, X: Any) -> Any:
        """The most probable class of each sample, (N,), for a mixture fitted with labels."""
        best = self._label_proba(X).argmax(1)
        return _arrays.like(_arrays.tensor(self.classes_, best.device, torch.int64)[best], X)

    def predict_label_proba(self, X: Any) -> Any:
        """The class probabilities p(c | x), (N, C), columns in the order of `classes_`."""
        return _arrays.like(self._label_proba(X), X)

    def score_samples(self, X: Any) -> Any:
        """The log-likelihood of each sample, (N,), nats."""
        return _arrays.like(self._e_step(X)[0], X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood of the samples, nats; `y` is ignored."""
        return float(self._e_step(X)[0].double().mean())

    def aic(self, X: Any) -> float:
        """Akaike's information criterion; the lower, the better."""
        return -2 * self.score(X) * len(X) + 2 * self._n_parameters()

    def bic(self, X: Any) -> float:
        """Bayesian information criterion; the lower, the better."""
        return -2 * self.score(X) * len(X) + self._n_parameters() * math.log(len(X))

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw samples, (n_samples, D), component after component, and their components, (n_samples,)."""
        check_is_fitted(self)
        _checks.integer("n_samples", n_samples, 1, 2**63 - 1)
        x, component = draw(self._parameters(), self.covariance_type, n_samples, check_random_state(self.random_state))
        return _arrays.like(x.to(_arrays.dtype_of(self.means_)), self.means_), _arrays.like(component, self.means_)

    def _best_fit(self, x: Tensor, weight: Tensor | None) -> Fit:
        options = Options(
            self.covariance_type,
            float(self.reg_covar),
            float(self.tol),
            self.max_iter,
            self.verbose_interval if self.verbose else 0,
            Priors.checked(self, x.device),
            self.reseed,
        )
        given = Given.checked(self, x.device)
        if self.warm_start and hasattr(self, "converged_"):
            return best_of_restarts(x, self._warm_start(x), options, weight, self.lower_bound_)
        random = check_random_state(self.random_state)
        part, part_weight = self._initial_samples(x, weight, random)
        begin = starts(part, part_weight, given, self.n_components, self.init_params, self.n_init, options, random)
        fit = best_of_restarts(part, begin, options, part_weight)
        if part is x:
            return fit
        return best_of_restarts(x, pick(fit.parameters, None), options, weight)

    def _initial_samples(
        self, x: Tensor, weight: Tensor | None, random: np.random.RandomState
    ) -> tuple[Tensor, Tensor | None]:
        if self.init_size is None or self.init_size >= len(x):
            return x, weight
        if self.init_size < self.n_components:
            _checks.fail_value("init_size", f"at least n_components = {self.n_components}", self.init_size)
        drawn = torch.from_numpy(random.choice(len(x), self.init_size, replace=False)).to(x.device)
        return x[drawn], None if weight is None else weight[drawn]

    def _warm_start(self, x: Tensor) -> MixtureParameters:
        parameters = self._parameters(x.device)
        K, D = self.n_components, x.shape[1]
        _checks.shape("means_", parameters.means, (K, D))
        _checks.shape(
            "precisions_cholesky_", parameters.precisions_cholesky, covariance_shape(K, D, self.covariance_type)
        )
        return pick(parameters, None)

    def _store(self, fit: Fit, X: Any, dtype: torch.dtype) -> None:
        self._set_parameters(fit.parameters, X, dtype)
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.lower_bounds)
        self.lower_bound_ = fit.lower_bound
        self.lower_bounds_ = fit.lower_bounds
        for name in ("classes_", "component_label_proba_"):
            self.__dict__.pop(name, None)
        if not fit.converged and self.max_iter > 0:
            warnings.warn(
                f"the best restart did not converge in {self.max_iter} iterations: increase max_iter or tol, start "
                "otherwise, or look for degenerate data",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _set_parameters(self, parameters: MixtureParameters, X: Any, dtype: torch.dtype) -> None:
        """Publish the parameters with a dtype, as tensors where X is one."""
        for name, value in zip(_FITTED, parameters, strict=True):
            setattr(self, name, _arrays.like(value.to(dtype), X))
        factors = parameters.precisions_cholesky
        triangular = self.covariance_type in ("full", "tied")
        precisions = factors @ factors.mT if triangular else factors.square()
        self.precisions_ = _arrays.like(precisions.to(dtype), X)

    def _learn_labels(self, x: Tensor, labels: Tensor, weight: Tensor | None, X: Any) -> None:
        resp = self._responsibilities(x)
        classes, table = decode_from_labels(
            resp, labels, sample_weight=weight, propagation=float(self.label_propagation)
        )
        self.classes_ = _arrays.like(classes, X)
        self.component_label_proba_ = _arrays.like(table.to(x.dtype), X)

    def _parameters(self, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> MixtureParameters:
        check_is_fitted(self)
        return MixtureParameters(*(_arrays.tensor(getattr(self, name), device, dtype) for name in _FITTED))

    def _e_step(self, X: Any) -> tuple[Tensor, Tensor]:
        return gmm_e_step(*self._with_parameters(X), self.covariance_type)

    def _responsibilities(self, X: Any) -> Tensor:
        return gmm_responsibilities(*self._with_parameters(X), self.covariance_type)

    def _with_parameters(self, X: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The samples, and the parameters as the operators take them, on the samples' device."""
        check_is_fitted(self)
        x = _arrays.samples(self, X, reset=False)
        weights, means, _, factors = self._parameters(x.device, x.dtype)
        return x, weights, means, factors

    def _label_proba(self, X: Any) -> Tensor:
        check_is_fitted(self, "component_label_proba_", msg="fit the mixture with labels before predicting labels")
        resp = self._responsibilities(X)
        return resp @ _arrays.tensor(self.component_label_proba_, resp.device, resp.dtype)

    def _n_parameters(self) -> int:
        """The number of free parameters."""
        K, D = self.means_.shape
        of_covariances = {"full": K * D * (D + 1) // 2, "tied": D * (D + 1) // 2, "diag": K * D, "spherical": K}
        return int(of_covariances[self.covariance_type] + K * D + K - 1)
