"""Priors of a mixture's weights and covariances, for the M-step that finds the most probable parameters."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.mixture import _arrays
from latentcore.ops import gmm_m_step
from latentcore.reference import MixtureParameters, MixtureStatistics, count_guard, precisions_cholesky_of

# shapes: (..., K) weights; a covariance stands for (D, D), (D,) or () as the covariance type has it for one component


@dataclass(frozen=True)
class Priors:
    """A symmetric Dirichlet prior of the weights and an inverse Wishart prior of the covariances.

    Where the covariances are diagonal, that of the variances is inverse gamma. Either may be without effect.

    Attributes:
        covariance_type: "full", "tied", "diag" or "spherical".
        concentration: Of the Dirichlet distribution; 1 has no effect.
        samples: How many samples the prior covariance counts for.
        scale: That covariance times these samples.
    """

    covariance_type: str
    concentration: float
    samples: float
    scale: Tensor

    @classmethod
    def checked(cls, estimator: Any, device: torch.device) -> "Priors | None":
        """Those of an estimator with `n_features_in_`; None without any."""
        concentration, freedom = estimator.weight_concentration_prior, estimator.degrees_of_freedom_prior
        if estimator.covariance_prior is None:
            if freedom is not None:
                _errors.fail_value("covariance_prior", "a covariance beside degrees_of_freedom_prior", None)
            if concentration is None:
                return None
        kind, D = estimator.covariance_type, estimator.n_features_in_
        shape: tuple[int, ...] = {"full": (D, D), "tied": (D, D), "diag": (D,), "spherical": ()}[kind]
        scale, samples = torch.zeros(shape, dtype=torch.float64, device=device), 0.0
        if estimator.covariance_prior is not None:
            scale = _arrays.tensor(estimator.covariance_prior, device, name="covariance_prior")
            _checks.shape("covariance_prior", scale, shape)
            _check_positive(scale)
            dimensions = D if kind in ("full", "tied") else 1
            freedom = dimensions if freedom is None else freedom
            if not freedom > dimensions - 1:
                _errors.fail_value("degrees_of_freedom_prior", f"a number > {dimensions - 1}", freedom)
            samples = float(freedom) + dimensions + 1
        return cls(kind, 1.0 if concentration is None else float(concentration), samples, scale)

    def m_step(
        self,
        statistics: MixtureStatistics,
        means: Tensor,
        covariance_type: str,
        *,
        reg_covar: float,
        mean_weight: Tensor | None = None,
    ) -> MixtureParameters:
        """`gmm_m_step` with the priors.

        A component whose samples do not outweigh a concentration below 1 empties. It keeps the weight that one without
        samples has anyhow: at 0 the density of the prior would be infinite.
        """
        found = gmm_m_step(statistics, means, covariance_type, reg_covar=0.0, mean_weight=mean_weight)
        n_k, guard = statistics.n_k.double(), count_guard(statistics, mean_weight)
        counts = (n_k + (self.concentration - 1)).clamp_min(0) + guard
        n = n_k.sum(-1) if covariance_type == "tied" else n_k + guard
        n = n.view(*n.shape, *[1] * self.scale.dim())
        covariances = (found.covariances * n + self.scale) / (n + self.samples)
        if covariance_type in ("full", "tied"):
            covariances = covariances + reg_covar * torch.eye(len(self.scale), dtype=n.dtype, device=n.device)
        else:
            covariances = covariances + reg_covar
        return MixtureParameters(
            counts / counts.sum(-1, keepdim=True),
            found.means,
            covariances,
            precisions_cholesky_of(covariances, covariance_type),
        )

    def log_density(self, parameters: MixtureParameters) -> Tensor:
        """The logarithm of the density of the parameters of every mixture, (...), up to a constant."""
        factors = parameters.precisions_cholesky
        # a start may have weights of 0
        some = parameters.weights.clamp_min(torch.finfo(torch.float64).tiny)
        weights = (self.concentration - 1) * some.log().sum(-1)
        if self.covariance_type in ("full", "tied"):
            log_det = 2 * factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            trace = (factors * (self.scale @ factors)).sum((-2, -1))
        else:
            dimensions = parameters.means.shape[-1] if self.covariance_type == "spherical" else 1
            log_det, trace = 2 * dimensions * factors.log(), dimensions * self.scale * factors.square()
            if self.covariance_type == "diag":
                log_det, trace = log_det.sum(-1), trace.sum(-1)
        covariances = (self.samples * log_det - trace) / 2
        return weights + (covariances if self.covariance_type == "tied" else covariances.sum(-1))


def _check_positive(scale: Tensor) -> None:
    """The prior covariance, in whichever shape, is positive (definite)."""
    valid = bool(scale.isfinite().all())
    if valid and scale.dim() == 2:
        valid = bool(torch.equal(scale, scale.mT)) and int(torch.linalg.cholesky_ex(scale).info) == 0
    elif valid:
        valid = bool((scale > 0).all())
    if not valid:
        _errors.fail_value(
            "covariance_prior", "a symmetric, positive definite matrix or positive numbers", scale.tolist()
        )
