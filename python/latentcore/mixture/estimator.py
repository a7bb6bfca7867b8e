"""Gaussian mixture with scikit-learn's interface on `latentcore.ops`, and decoding from few labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore.mixture import _arrays
from latentcore.mixture._fitting import Found, fit_mixture
from latentcore.mixture._predictions import Predictions, checked_parameters
from latentcore.mixture._stream import opened
from latentcore.mixture._warnings import warn
from latentcore.mixture.stepwise import step
from latentcore.reference import COVARIANCE_TYPES

# shapes: X (N, D) samples, K components, C classes


class GaussianMixture(Predictions, DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Gaussian mixture fitted with expectation maximisation, a drop-in for `sklearn.mixture.GaussianMixture`.

    .. math::

        p(x) = \sum_k \pi_k \, N(x \mid \mu_k, \Sigma_k)

    An iteration is one pass over the samples (`latentcore.ops.gmm_statistics`); restarts run together. Moments are
    centred on the current means and the M-step is done in float64, so float32 samples far from the origin give no
    negative variance. Samples may be arrays (answers are NumPy arrays) or tensors (answers are tensors on the same
    device); float32 stays float32. Everything with a trailing underscore is what `fit` found; what is set by hand
    counts instead, of any real dtype: ``covariances_`` where they alone are new, otherwise ``precisions_cholesky_``.

    With ``labels`` of a few samples, `fit` also learns which class each component stands for, holds these samples to
    the components of their class, and `predict_label` decodes softly,
    :math:`p(c \mid x) = \sum_k p(k \mid x) \, p(c \mid k)`.

    Args:
        n_components: K, >= 1.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: A restart stops when its mean log-likelihood changes by less, >= 0, nats.
        reg_covar: Added to the variances, >= 0, in the squared unit of X; where values are missing, to those of the
            others.
        max_iter: Greatest number of iterations, >= 0.
        n_init: Number of restarts, >= 1; the one with the greatest likelihood is kept.
        init_params: "kmeans", "k-means++" (seeds only), "random" or "random_from_data"; the starts are scikit-learn's
            for the same ``random_state`` (but seeds alone give a tied covariance of ``reg_covar``, as they do for the
            other types).
        weights_init: (K,) numbers that sum to 1, instead of ``init_params``'.
        means_init: (K, D) means, likewise.
        precisions_init: Inverse covariances in the shape of ``covariances_``, likewise.
        random_state: Seed or `numpy.random.RandomState` of the starts and of `sample`.
        warm_start: Continue from the mixture that this one is, fitted, loaded or set by hand, of ``n_components``;
            ``n_init`` and ``init_size`` are ignored then.
        verbose: Print the progress.
        verbose_interval: Iterations between two prints, >= 1.
        init_size: Run the restarts on that many randomly drawn samples and only the best of them on all. ``None``: run
            all on all.
        weight_concentration_prior: Concentration of a Dirichlet prior of the weights, > 0; 1 has no effect, more
            favours equal weights, less empty components (whose weights end near 0). ``None``: no prior. With priors,
            ``lower_bound_`` is the mean logarithm of the posterior density, up to a constant, and sample weights count
            as numbers of samples; without, their unit does not matter.
        degrees_of_freedom_prior: Of an inverse Wishart prior of the covariances, > D - 1 (inverse gamma, > 0, for
            "diag" and "spherical"). ``None``: D (1), where ``covariance_prior`` is given.
        covariance_prior: Scale of that prior: (D, D), (D,) for "diag", a number for "spherical". ``None``: no prior.
        reseed: Whether a component that ends with less than one sample (of mean weight) is put on the sample that the
            mixture explains worst, as long as that gives a better fit.
        missing: "error", or "marginalize": NaN is a missing value, and each sample is judged by the values it has.
        n_components_per_class: With ``labels``: how many components each class has (a number, or one for every class
            in ascending order); ``n_components`` is then 1 or their sum. ``None``: the labels show which class each
            component belongs to.
        learning_decay: Of `partial_fit`, how fast old batches are forgotten, in (0.5, 1]; 1 never forgets.
        learning_offset: Of `partial_fit`, >= 1; the greater, the less the first batches count.
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
        n_samples_seen_: Number of samples, or the sum of their weights.
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
        "missing": [StrOptions({"error", "marginalize"})],
        "n_components_per_class": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "learning_decay": [Interval(Real, 0.5, 1.0, closed="right")],
        "learning_offset": [Interval(Real, 1.0, None, closed="left")],
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
        missing: str = "error",
        n_components_per_class: Any = None,
        learning_decay: float = 0.7,
        learning_offset: float = 2.0,
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
        self.missing = missing
        self.n_components_per_class = n_components_per_class
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.label_propagation = label_propagation

    @classmethod
    @torch_as_usual()
    def from_parameters(
        cls, weights: Any, means: Any, covariances: Any, covariance_type: str = "full"
    ) -> "GaussianMixture":
        """A mixture of known parameters, as if they had been fitted; `fit` with ``warm_start`` goes on from them.

        Args:
            weights: (K,) numbers >= 0 that sum to 1.
            means: (K, D), array or tensor: the mixture has copies of this kind, float32 where the means are.
            covariances: Positive definite, in the shape of ``covariances_``.
            covariance_type: "full", "tied", "diag" or "spherical".

        Returns:
            A fitted mixture, without figures of a fit.

        Raises:
            TypeError: A parameter does not hold real numbers.
            ValueError: A shape does not fit, or the numbers are no mixture's.

        Example:
            >>> mixture = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0], [9, 9]], [1.0, 1], "spherical")
            >>> mixture.predict([[1.0, 0], [8, 9]])
            array([0, 1])
        """
        _errors.one_of("covariance_type", covariance_type, COVARIANCE_TYPES)
        given = {"means": means, "weights": weights, "covariances": covariances}
        device = means.device if isinstance(means, Tensor) else None
        values = {f"{name}_": _arrays.tensor(value, device, name=name).clone() for name, value in given.items()}
        parameters = checked_parameters(covariance_type, values, suffix="")
        model = cls(len(parameters.weights), covariance_type=covariance_type)
        model.n_features_in_ = parameters.means.shape[1]
        model._set_parameters(parameters, means, _arrays.dtype_of(means))
        return model

    @torch_as_usual()
    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, labels: Any = None, group: Any = None
    ) -> "GaussianMixture":
        """Fit the mixture to X; `y` is ignored.

        Args:
            X: (N, D) array or tensor, a NumPy memory map among them; or samples that are read in pieces, as often as
                needed: an HDF5 data set, a data loader or data set of torch, an iterable or a function that returns an
                iterator of (n, D) pieces, a memory map of more than half of the free memory, and what
                `latentcore.mixture.open_stream` made.
            y: Ignored.
            sample_weight: Counts a sample so many times; without priors, in any unit. (N,), >= 0.
            labels: Class numbers >= 0, -1 where unknown. (N,).
            group: A group of `torch.distributed`: X is this process's share of the samples, and all processes find
                the same mixture.
        """
        with self._unharmed():
            found = fit_mixture(self, X, sample_weight, labels, group)
            self._store(found, X)
        return self

    @torch_as_usual()
    def fit_predict(self, X: Any, y: Any = None, *, sample_weight: Any = None, labels: Any = None) -> Any:
        """`fit`, then `predict` on the same samples."""
        X = opened(X)
        return self.fit(X, y, sample_weight=sample_weight, labels=labels).predict(X)

    @torch_as_usual()
    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "GaussianMixture":
        """Learn from a batch X (N, D), as one of many; `y` is ignored.

        The first batch gives the start and needs at least K samples, unless this is a mixture already, of which the
        attributes count, edited or not. See `latentcore.mixture.stepwise` for the formula.
        """
        self._validate_params()
        with self._unharmed():
            step(self, X, sample_weight)
        return self

    @contextmanager
    def _unharmed(self) -> Iterator[None]:
        """A fitted mixture stays as it was where fitting it again fails."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _store(self, found: Found, X: Any) -> None:
        fit = found.fit
        self._set_parameters(fit.parameters, X, found.dtype)
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.lower_bounds)
        self.lower_bound_ = fit.lower_bound
        self.lower_bounds_ = fit.lower_bounds
        self.n_samples_seen_ = found.samples
        for name in ("classes_", "component_label_proba_", "_running"):
            self.__dict__.pop(name, None)
        if found.classes is not None and found.table is not None:
            self.classes_ = _arrays.like(found.classes, X)
            self.component_label_proba_ = _arrays.like(found.table.to(found.dtype), X)
        if not fit.converged and self.max_iter > 0:
            warn(
                f"the best restart did not converge in {self.max_iter} iterations: increase max_iter or tol, start "
                "otherwise, or look for degenerate data",
                ConvergenceWarning,
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalize"
        return tags
