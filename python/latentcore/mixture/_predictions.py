"""What a fitted mixture says of samples."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentcore import _checks, _errors
from latentcore._ambient import torch_as_usual
from latentcore._memory import bounded
from latentcore.mixture import _arrays, _plain, _published
from latentcore.mixture._initialise import _symmetric
from latentcore.mixture._sampling import draw
from latentcore.mixture._source import Preparation, Ready
from latentcore.mixture._stream import Stream, opened
from latentcore.mixture.labels import check_decoding
from latentcore.mixture.streaming import checked_pieces
from latentcore.reference import (
    COVARIANCE_TYPES,
    MixtureParameters,
    covariance_shape,
    covariances_of,
    precisions_cholesky_of,
)

# shapes: X (N, D) samples, K components, C classes

FITTED = ("weights_", "means_", "covariances_", "precisions_cholesky_")
"""The attributes that are a mixture's parameters, in the order of `MixtureParameters`."""

DECODING = ("classes_", "component_label_proba_")
"""The attributes of a mixture fitted with labels, which belong together."""

_COVARIANCES = FITTED[2:]
_PIECE = 2**16  # samples

Answer = Callable[..., Tensor]  # of ready samples and parameters, which may stand behind a decoding


class Predictions(_published.Packed):
    """The methods of a mixture that is fitted.

    X may be all that `fit` takes. Answers for arrays and streams are NumPy arrays; for tensors, and for streams on a
    GPU, tensors.
    """

    covariance_type: str
    missing: str
    random_state: Any
    means_: Any
    classes_: Any
    component_label_proba_: Any

    @torch_as_usual(gradients=False)
    def predict(self, X: Any) -> Any:
        """The most probable component of each sample, (N,) int64."""
        return self._answers(X, lambda batch, theta: batch.e_step(theta, self.covariance_type)[1].argmax(1))

    @torch_as_usual(gradients=False)
    def predict_proba(self, X: Any) -> Any:
        """The responsibilities p(k | x), (N, K)."""
        return self._answers(X, self._responsibilities)

    @torch_as_usual(gradients=False)
    def predict_label(self, X: Any) -> Any:
        """The most probable class of each sample, (N,), for a mixture fitted with labels."""

        def best(decoding: tuple[Tensor, Tensor], batch: Ready, parameters: MixtureParameters) -> Tensor:
            places = self._label_proba(decoding, batch, parameters).argmax(1)
            return decoding[0].to(places.device)[places]

        return self._answers(X, best, labels=True)

    @torch_as_usual(gradients=False)
    def predict_label_proba(self, X: Any) -> Any:
        """The class probabilities p(c | x), (N, C), columns in the order of `classes_`."""
        return self._answers(X, self._label_proba, labels=True)

    @torch_as_usual(gradients=False)
    def score_samples(self, X: Any) -> Any:
        """The log-likelihood of each sample, (N,), nats; of the values that are there, where some are missing."""
        return self._answers(X, lambda batch, theta: batch.e_step(theta, self.covariance_type)[0])

    @torch_as_usual(gradients=False)
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The mean log-likelihood of the samples, nats; `y` is ignored. `sample_weight`: (N,), as in `fit`."""
        log_likelihood, samples = self._sums(X, sample_weight, _log_likelihood)
        return log_likelihood / samples

    @torch_as_usual(gradients=False)
    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike's information criterion; the lower, the better."""
        return -2 * self._sums(X, sample_weight, _log_likelihood)[0] + 2 * self._n_parameters()

    @torch_as_usual(gradients=False)
    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Bayesian information criterion; the lower, the better."""
        log_likelihood, samples = self._sums(X, sample_weight, _log_likelihood)
        return -2 * log_likelihood + self._n_parameters() * math.log(samples)

    @torch_as_usual(gradients=False)
    def icl(self, X: Any, sample_weight: Any = None) -> float:
        r"""Integrated completed likelihood: BIC :math:`- 2 \sum_{nk} r_{nk} \log r_{nk}`; the lower, the better.

        Beside the parameters it counts how uncertain the samples' components are (Biernacki, Celeux and Govaert 2000).
        """
        completed, samples = self._sums(X, sample_weight, _completed_log_likelihood)
        return -2 * completed + self._n_parameters() * math.log(samples)

    @torch_as_usual(gradients=False)
    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw samples, (n_samples, D), component after component, and their components, (n_samples,)."""
        parameters = self._parameters()
        _errors.integer("n_samples", n_samples, 1, 2**63 - 1)
        x, component = draw(parameters, self.covariance_type, n_samples, check_random_state(self.random_state))
        return _arrays.like(x.to(_arrays.dtype_of(self.means_)), self.means_), _arrays.like(component, self.means_)

    def _responsibilities(self, batch: Ready, parameters: MixtureParameters) -> Tensor:
        return batch.responsibilities(parameters, self.covariance_type)

    def _label_proba(self, decoding: tuple[Tensor, Tensor], batch: Ready, parameters: MixtureParameters) -> Tensor:
        resp = self._responsibilities(batch, parameters)
        return resp @ decoding[1].to(resp)

    def _decoding(self, n_components: int) -> tuple[Tensor, Tensor]:
        """`classes_` and `component_label_proba_`, checked, as they may have been set by hand."""
        message = "fit the mixture with labels before predicting labels"
        check_is_fitted(self, DECODING, msg=message)
        return check_decoding(self.classes_, self.component_label_proba_, n_components)

    def _answers(self, X: Any, answer: Answer, *, labels: bool = False) -> Any:
        """The answer to every sample, in the kind of X."""
        parameters = self._parameters()
        if labels:
            answer = partial(answer, self._decoding(len(parameters.weights)))
        found = [answer(self._prepared(x), on_device(parameters, x.device)) for x in self._pieces(X)]
        return _arrays.like(found[0] if len(found) == 1 else torch.cat(found), X)

    def _sums(self, X: Any, sample_weight: Any, of: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
        """The weighted sum over the samples of what `of` makes of `gmm_e_step`'s results, and the sum of weights."""
        parameters = self._parameters()
        sums, done = torch.zeros(2, dtype=torch.float64), 0
        if sample_weight is not None:
            sample_weight = _arrays.tensor(sample_weight, name="sample_weight")  # once, not for each piece
        for x in self._pieces(X):
            found = self._prepared(x).e_step(on_device(parameters, x.device), self.covariance_type)
            values = of(*found).double()
            done += len(x)
            weight = _arrays.weights_of_piece(sample_weight, done - len(x), x)
            sums += torch.stack((torch.where(weight > 0, values * weight, 0).sum(), weight.sum())).cpu()
        _arrays.weights(sample_weight, done, sums)
        total, samples = sums.tolist()
        return total, samples

    def _pieces(self, X: Any) -> Iterator[Tensor]:
        """The samples, checked, as one piece or as a stream's pieces."""
        missing = self.missing == "marginalize"
        x = _plain.samples(self, X)
        if x is None:
            X = opened(X)
            x = None if isinstance(X, Stream) else _arrays.samples(self, X, reset=False, missing=missing)
        if x is not None:
            # so that nothing but the answer has size N x K
            yield from bounded(x.split(_PIECE) if len(x) > _PIECE else (x,))
            return
        done = 0
        for x in bounded(checked_pieces(X)):
            _arrays.check_features(self, x.shape[1], reset=False)
            _arrays.check_values(x, missing=missing, first=done)
            done += len(x)
            yield x
        if not done:
            _errors.fail_value("X", "at least one sample", "an empty stream")

    def _prepared(self, x: Tensor) -> Ready:
        return Preparation(self.missing == "marginalize").plain(x, None)

    def _set_parameters(self, parameters: MixtureParameters, X: Any, dtype: torch.dtype) -> None:
        """Publish the parameters with a dtype, as tensors where X is one."""
        for name, value in zip(FITTED, parameters, strict=True):
            setattr(self, name, _arrays.like(value.to(dtype), X))
        factors = parameters.precisions_cholesky
        triangular = self.covariance_type in ("full", "tied")
        precisions = factors @ factors.mT if triangular else factors.square()
        self.precisions_ = _arrays.like(precisions.to(dtype), X)
        self._published = self.covariance_type, {name: value.clone() for name, value in self._attributes().items()}

    def _attributes(self) -> dict[str, Tensor]:
        """The parameters that are there, in float64."""
        return {name: _arrays.tensor(getattr(self, name), name=name) for name in FITTED if hasattr(self, name)}

    def _changed(self, values: dict[str, Tensor]) -> set[str]:
        """Which of the parameters were set, edited or deleted since the mixture itself published them."""
        kind, published = getattr(self, "_published", (None, values))
        return {
            name for name in FITTED if kind != self.covariance_type or not same(values.get(name), published.get(name))
        }

    def _parameters(self, device: torch.device | None = None) -> MixtureParameters:
        """The mixture's parameters in float64, as its attributes say; where these were changed, they are checked."""
        if (known := _published.unchanged(self)) is not None:
            return known if device is None else on_device(known, device)
        check_is_fitted(self, ("weights_", "means_"))
        check_is_fitted(self, _COVARIANCES, all_or_any=any)
        values = self._attributes()
        changed = self._changed(values)
        device = values["means_"].device if device is None else device
        values = {name: value.to(device) for name, value in values.items()}
        _checks.shape("means_", values["means_"], ("K", getattr(self, "n_features_in_", "D")))
        if not changed:
            return MixtureParameters(*values.values())
        if new := [name for name in _COVARIANCES if name in values and name in changed]:
            # of two that are new the factors count, as in scikit-learn
            values.pop(_COVARIANCES[1 - _COVARIANCES.index(new[-1])], None)
        return checked_parameters(self.covariance_type, values)

    def _n_parameters(self) -> int:
        """The number of free parameters."""
        K, D = np.shape(self.means_)
        of_covariances = {"full": K * D * (D + 1) // 2, "tied": D * (D + 1) // 2, "diag": K * D, "spherical": K}
        return int(of_covariances[self.covariance_type] + K * D + K - 1)


def on_device(parameters: MixtureParameters, device: torch.device) -> MixtureParameters:
    """The same on another device."""
    if parameters.means.device == device:
        return parameters
    return MixtureParameters(*(value.to(device) for value in parameters))


def checked_parameters(covariance_type: str, values: dict[str, Tensor], *, suffix: str = "_") -> MixtureParameters:
    """The mixture of float64 values by their attributes' names; covariances or factors that are not there follow.

    Args:
        covariance_type: "full", "tied", "diag" or "spherical".
        values: All of `FITTED`, but one of the last two may be missing.
        suffix: Ends what errors call the values.
    """
    _errors.one_of("covariance_type", covariance_type, COVARIANCE_TYPES)
    names = {name: name.rstrip("_") + suffix for name in FITTED}
    weights, means = values["weights_"], values["means_"]
    _checks.shape(names["means_"], means, ("K", "D"))
    K, D = means.shape
    if K * D == 0:
        _errors.fail_value(names["means_"], "shape (K, D) with K and D >= 1", (K, D))
    shapes = {"weights_": (K,), "means_": (K, D)}
    for name, value in values.items():
        _checks.shape(names[name], value, shapes.get(name, covariance_shape(K, D, covariance_type)))
        if not bool(value.isfinite().all()):
            _errors.fail_value(names[name], "finite numbers", "NaN or infinity")
    # 1e-3: a half type may have rounded them
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-3:
        _errors.fail_value(names["weights_"], "numbers >= 0 that sum to 1", weights.tolist())
    covariances, factors = _completed(covariance_type, values, names)
    return MixtureParameters(weights / weights.sum(), means, covariances, factors)


def _completed(kind: str, values: dict[str, Tensor], names: dict[str, str]) -> tuple[Tensor, Tensor]:
    """Covariances and factors, of which one may be missing; what is there is positive definite."""
    matrices = kind in ("full", "tied")
    covariances, factors = map(values.get, _COVARIANCES)
    if factors is None:
        assert covariances is not None
        factors = precisions_cholesky_of(covariances, kind)
        if not bool(factors.isfinite().all()) or (matrices and not _symmetric(covariances)):
            expected = "symmetric, positive definite matrices" if matrices else "positive numbers"
            _errors.fail_value(names["covariances_"], expected, "others")
    diagonal = factors.diagonal(dim1=-2, dim2=-1) if matrices else factors
    if not bool((diagonal > 0).all()) or (matrices and bool(factors.tril(-1).any())):
        expected = "upper triangular matrices with a positive diagonal" if matrices else "positive numbers"
        _errors.fail_value(names["precisions_cholesky_"], expected, "others")
    return covariances_of(factors, kind) if covariances is None else covariances, factors


def same(value: Tensor | None, other: Tensor | None) -> bool:
    """Whether both are the same numbers on the same device, or both are missing."""
    if value is None or other is None:
        return value is other
    return value.device == other.device and torch.equal(value, other)


def _log_likelihood(log_prob_norm: Tensor, _: Tensor) -> Tensor:
    return log_prob_norm


def _completed_log_likelihood(log_prob_norm: Tensor, log_resp: Tensor) -> Tensor:
    resp = log_resp.exp().double()
    completed: Tensor = log_prob_norm + torch.special.xlogy(resp, resp).sum(1)
    return completed
