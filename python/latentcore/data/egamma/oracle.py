"""The best possible classification of simulated electrons and photons."""

import numpy as np
import torch
from numpy.typing import NDArray

from latentcore import _errors
from latentcore.data.egamma.crystals import ENERGY_UNIT, FLOOR, SLOPE, TIME_UNIT, known_config, threshold, variance
from latentcore.data.egamma.simulator import EventGenerator
from latentcore.data.egamma.templates import SIDE, SimulatorConfig, templates

# shapes: N events, T templates, B events of a batch, P crystals that expect anything under some template

_BATCH = 512  # events of a matrix product
_PIECE = 1200  # events that are drawn at a time; a multiple of the generator's groups


class Oracle:
    """The likelihood ratio of the simulator's classes, by which no classifier can do better.

    With w_c(t) the probability of template t given class c, and all factors that the templates share left out,

        log p(X | c) = log sum_t w_c(t) exp(sum_hits log N(x; m_t, sigma_t²) + sum_silent log Phi((h - m_t) / sigma_t)
                                            + sum_hits log N(time; delay_t, sigma(x)²)),

    h the threshold, the first two sums over the crystals that expect anything under some template. The exponent is
    linear in (x², x, 1 if hit, 1) and, for the times, in two sums over the crop: products of matrices, in float64, for
    energies of hundreds of sigmas cancel in it.

    Args:
        config: The detector that the events come from; ``None`` takes the defaults.

    Raises:
        TypeError: ``config`` is no `SimulatorConfig`.

    Example:
        >>> from latentcore.data.egamma.oracle import Oracle
        >>> from latentcore.data.egamma.simulator import simulate
        >>> X, y = simulate(200)
        >>> ratio = Oracle().log_likelihood_ratio(X)
        >>> 0.6 < float(((ratio > 0) == y).mean()) < 0.9
        True
    """

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self._config = config = known_config(config)
        known = templates(config)
        energies = known.energies.reshape(len(known.energies), -1)
        self._crystals = torch.from_numpy(np.flatnonzero(energies.any(0)))
        m = torch.from_numpy(energies[:, self._crystals.numpy()].astype(np.float64))
        spread = variance(m, config)
        silent = torch.special.log_ndtr((float(threshold(config)) * ENERGY_UNIT - m) * spread.rsqrt())
        hit = -0.5 * (m.square() / spread + spread.log()) - silent
        self._weights = torch.cat([-0.5 / spread, m / spread, hit], 1).T.contiguous()  # (3P, T)
        self._silent = silent.sum(1)
        self._delays = torch.from_numpy(known.delays.astype(np.float64))
        self._priors = torch.from_numpy(known.priors).log()

    def log_likelihood_ratio(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log p(X | electron) - log p(X | photon).

        Args:
            X: (N, 32, 32, 2), float32, as :func:`simulate` returns it.

        Returns:
            (N,), float64.

        Raises:
            TypeError: ``X`` is no array of floating-point numbers.
            ValueError: ``X`` has another shape, or values that the simulator never gives: numbers that are not finite,
                energies between 0 and the threshold or below 0, or a time without energy.
        """
        if not isinstance(X, np.ndarray) or X.dtype.kind != "f":
            _errors.fail_type("X", "a NumPy array of floating-point numbers", getattr(X, "dtype", type(X).__name__))
        if X.ndim != 4 or X.shape[1:] != (SIDE, SIDE, 2):
            _errors.fail_value("X", f"shape (N, {SIDE}, {SIDE}, 2)", X.shape)
        ratios = [self._ratio(X[first : first + _BATCH], first) for first in range(0, len(X), _BATCH)]
        return np.concatenate(ratios) if ratios else np.empty(0)

    def _ratio(self, X: NDArray[np.floating], first: int) -> NDArray[np.float64]:
        possible = (X[..., 0] >= threshold(self._config)) | ((X[..., 0] == 0) & (X[..., 1] == 0))
        possible &= np.isfinite(X).all(3)
        if not possible.all():
            event, row, column = (int(place) for place in np.argwhere(~possible)[0])
            _errors.fail_value(
                f"X[{first + event}, {row}, {column}]",
                "an energy and a time of the simulator: 0 and 0, or from the threshold on and finite",
                tuple(X[event, row, column].tolist()),
            )
        crops = torch.from_numpy(X.reshape(len(X), -1, 2).astype(np.float64))
        x, time = crops[..., 0] * ENERGY_UNIT, crops[..., 1] * TIME_UNIT
        hit = x > 0
        # 1 / sigma_t², 0 where nothing was hit
        precision = hit / ((SLOPE * self._config.noise / torch.where(hit, x, 1)).square() + FLOOR**2)
        seen = x.index_select(1, self._crystals)
        features = torch.cat([seen.square(), seen, (seen > 0).double()], 1)
        exponent = torch.addmm(self._silent, features, self._weights)  # (B, T)
        exponent.addr_((precision * time).sum(1), self._delays)
        exponent.addr_(precision.sum(1), -0.5 * self._delays.square())
        photon, electron = ((exponent + prior).logsumexp(1) for prior in self._priors)
        ratio: NDArray[np.float64] = (electron - photon).numpy()
        return ratio


def oracle_auc(config: SimulatorConfig | None = None, events: int = 20_000, seed: int = 0) -> float:
    """Area under the ROC curve of the likelihood ratio, the largest that any classifier can reach.

    Its standard deviation is about 0.4 / sqrt(events): 0.003 for 20,000.

    Args:
        config: The detector; ``None`` takes the defaults.
        events: Events that are drawn, at least 2.
        seed: Any int in [0, 2^63).

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> from latentcore.data.egamma.oracle import oracle_auc
        >>> 0.75 < oracle_auc(events=1000) < 0.87
        True
    """
    from sklearn.metrics import roc_auc_score  # slow to import, and only needed here

    _errors.integer("events", events, 2, 2**40)
    config = known_config(config)
    generator, oracle = EventGenerator(config, seed), Oracle(config)
    X = np.empty((min(events, _PIECE), SIDE, SIDE, 2), np.float32)
    y = np.empty(events, np.float32)
    ratios = []
    for first in range(0, events, len(X)):
        labels = y[first : first + len(X)]
        generator.fill(first, X[: len(labels)], labels)
        ratios.append(oracle.log_likelihood_ratio(X[: len(labels)]))
    return float(roc_auc_score(y, np.concatenate(ratios)))
