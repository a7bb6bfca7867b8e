"""Simulated electrons and photons in a calorimeter, whose best possible classification is known."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentcore import _checks
from latentcore._files import replacing
from latentcore.data.egamma_files import opened
from latentcore.data.egamma_templates import SIDE, SimulatorConfig, Templates, templates

A = TypeVar("A", NDArray[np.float32], Tensor)

__all__ = ["Oracle", "SimulatorConfig", "oracle_auc", "simulate", "simulated_by", "write"]

# shapes: N events, T templates, B events of a batch, P crystals that expect anything under some template

CHUNK = 9960  # rows of a chunk in the public files

_ENERGY_UNIT, _TIME_UNIT = 50.0, 50.0  # GeV and ns, by which the public files divide
_SLOPE, _FLOOR = 35.0, 0.02  # ns: resolution of the time of an amplitude of A sigmas, 35 / A and 20 ps
_GROUP = 120  # events that share a stream of random numbers; an even divisor of CHUNK
_BATCH = 512  # events of a matrix product


def simulate(
    events: int, config: SimulatorConfig | None = None, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw crops of photons and electrons.

    A template m is drawn by the probabilities of its class (:func:`latentcore.data.egamma_templates.templates`). Every
    crystal's energy is then normal around m, with the variance that `SimulatorConfig` gives; below the threshold it
    and its time become 0. The time of what remains is normal around the template's delay with

        sigma_t = 35 ns * noise / energy (+) 20 ps,

    where (+) adds squares. Of the events 2i and 2i + 1 one is an electron, either with the same chance. Event i is a
    function of (seed, i), so that fewer events are the beginning of more.

    Args:
        events: N, at least 1.
        config: The detector; ``None`` takes the defaults.
        seed: Any int in [0, 2^63).

    Returns:
        X (N, 32, 32, 2), float32: energy / 50 GeV and time / 50 ns, as in the public files; rows are eta, columns
        phi, and the crystal with the highest expected energy stands in row and column 15. y (N,), float32: 0 photon,
        1 electron.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> from latentcore.data.egamma_simulator import simulate
        >>> X, y = simulate(4, seed=1)
        >>> X.shape, sorted(y.tolist())
        ((4, 32, 32, 2), [0.0, 0.0, 1.0, 1.0])
        >>> energies = 50 * X[..., 0]  # GeV
        >>> times = 50 * X[..., 1]  # ns
    """
    _checks.integer("events", events, 1, 2**40)
    generator = _Generator(_known(config), seed)
    X = np.empty((events, SIDE, SIDE, 2), np.float32)
    y = np.empty(events, np.float32)
    generator.fill(0, X, y)
    return X, y


def write(
    path: str | os.PathLike[str],
    events: int,
    config: SimulatorConfig | None = None,
    seed: int = 0,
    threads: int = 1,
    *,
    block: int = 960,
) -> None:
    """Write the events of :func:`simulate` to an HDF5 file like the public ones.

    The file has ``X`` (N, 32, 32, 2), lzf-compressed in chunks of 9,960 rows or one chunk of fewer, ``y`` (N,), both
    float32, and the attributes ``config``, JSON that `SimulatorConfig.from_dict` takes, and ``seed``. Its bytes depend
    on neither `threads` nor `block`. One chunk is in memory at a time, 82 MB, beside what HDF5 makes of it.

    Args:
        path: The file; it appears under its name when it is whole.
        events: N, at least 1.
        config: The detector; ``None`` takes the defaults.
        seed: Any int in [0, 2^63).
        threads: Threads that draw events.
        block: Events that a thread draws at a time, rounded up to a multiple of 120.

    Raises:
        OSError: The file cannot be written.
        TypeError: An argument is of a wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> import h5py, json
        >>> from latentcore.data.egamma_simulator import SimulatorConfig, write
        >>> write("events.h5", 100, seed=1)
        >>> with h5py.File("events.h5") as file:
        ...     file["X"].shape, SimulatorConfig.from_dict(json.loads(file.attrs["config"])) == SimulatorConfig()
        ((100, 32, 32, 2), True)
    """
    _checks.integer("events", events, 1, 2**40)
    _checks.integer("threads", threads, 1, 1024)
    _checks.integer("block", block, 1, 2**40)
    config = _known(config)
    generator = _Generator(config, seed)
    step = -(-block // _GROUP) * _GROUP
    rows = min(events, CHUNK)
    X = np.empty((rows, SIDE, SIDE, 2), np.float32)
    y = np.empty(rows, np.float32)
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w") as file,
        ThreadPoolExecutor(threads) as pool,
    ):
        file.attrs["config"] = json.dumps(config.to_dict())
        file.attrs["seed"] = seed
        images = file.create_dataset("X", (events, *X.shape[1:]), X.dtype, chunks=X.shape, compression="lzf")
        labels = file.create_dataset("y", (events,), y.dtype)
        for first in range(0, events, rows):
            count = min(rows, events - first)
            parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
            list(pool.map(lambda part, at=first: generator.fill(at + part.start, X[part], y[part]), parts))
            images[first : first + count] = X[:count]
            labels[first : first + count] = y[:count]


def simulated_by(path: str | os.PathLike[str]) -> SimulatorConfig | None:
    """With which configuration :func:`write` made a file; None for a file of other origin.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no whole HDF5 file, or says a configuration that there cannot be.
    """
    with opened(Path(path)) as file:
        text = file.attrs.get("config")
    if not isinstance(text, str):
        return None
    try:
        found: SimulatorConfig = SimulatorConfig.from_dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        _checks.fail_value(f"{path}: config", "a configuration of the simulator", str(error))
    return found


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
        >>> from latentcore.data.egamma_simulator import Oracle, simulate
        >>> X, y = simulate(200)
        >>> ratio = Oracle().log_likelihood_ratio(X)
        >>> 0.6 < float(((ratio > 0) == y).mean()) < 0.9
        True
    """

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self._config = config = _known(config)
        known = templates(config)
        energies = known.energies.reshape(len(known.energies), -1)
        self._crystals = torch.from_numpy(np.flatnonzero(energies.any(0)))
        m = torch.from_numpy(energies[:, self._crystals.numpy()].astype(np.float64))
        variance = _variance(m, config)
        silent = torch.special.log_ndtr((float(_threshold(config)) * _ENERGY_UNIT - m) * variance.rsqrt())
        hit = -0.5 * (m.square() / variance + variance.log()) - silent
        self._weights = torch.cat([-0.5 / variance, m / variance, hit], 1).T.contiguous()  # (3P, T)
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
            _checks.fail_type("X", "a NumPy array of floating-point numbers", getattr(X, "dtype", type(X).__name__))
        if X.ndim != 4 or X.shape[1:] != (SIDE, SIDE, 2):
            _checks.fail_value("X", f"shape (N, {SIDE}, {SIDE}, 2)", X.shape)
        ratios = [self._ratio(X[first : first + _BATCH], first) for first in range(0, len(X), _BATCH)]
        return np.concatenate(ratios) if ratios else np.empty(0)

    def _ratio(self, X: NDArray[np.floating], first: int) -> NDArray[np.float64]:
        possible = (X[..., 0] >= _threshold(self._config)) | ((X[..., 0] == 0) & (X[..., 1] == 0))
        possible &= np.isfinite(X).all(3)
        if not possible.all():
            event, row, column = (int(place) for place in np.argwhere(~possible)[0])
            _checks.fail_value(
                f"X[{first + event}, {row}, {column}]",
                "an energy and a time of the simulator: 0 and 0, or from the threshold on and finite",
                tuple(X[event, row, column].tolist()),
            )
        crops = torch.from_numpy(X.reshape(len(X), -1, 2).astype(np.float64))
        x, time = crops[..., 0] * _ENERGY_UNIT, crops[..., 1] * _TIME_UNIT
        hit = x > 0
        # 1 / sigma_t², 0 where nothing was hit
        precision = hit / ((_SLOPE * self._config.noise / torch.where(hit, x, 1)).square() + _FLOOR**2)
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
        >>> from latentcore.data.egamma_simulator import oracle_auc
        >>> 0.75 < oracle_auc(events=1000) < 0.87
        True
    """
    from sklearn.metrics import roc_auc_score  # slow to import, and only needed here

    _checks.integer("events", events, 2, 2**40)
    config = _known(config)
    generator, oracle = _Generator(config, seed), Oracle(config)
    X = np.empty((min(events, 10 * _GROUP), SIDE, SIDE, 2), np.float32)
    y = np.empty(events, np.float32)
    ratios = []
    for first in range(0, events, len(X)):
        labels = y[first : first + len(X)]
        generator.fill(first, X[: len(labels)], labels)
        ratios.append(oracle.log_likelihood_ratio(X[: len(labels)]))
    return float(roc_auc_score(y, np.concatenate(ratios)))


class _Generator:
    """Events by their places."""

    def __init__(self, config: SimulatorConfig, seed: int) -> None:
        _checks.integer("seed", seed, 0, 2**63 - 1)
        self._config, self._seed = config, int(seed)
        self._templates: Templates = templates(config)
        cumulative = self._templates.priors.cumsum(1)
        self._cumulative = cumulative / cumulative[:, -1:]

    def fill(self, first: int, X: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        """Write the events from `first` on, a multiple of the group's size."""
        for start in range(0, len(X), _GROUP):
            energies, times, labels = self._group((first + start) // _GROUP)
            part = slice(start, min(start + _GROUP, len(X)))
            count = part.stop - start
            X[part, ..., 0], X[part, ..., 1], y[part] = energies[:count], times[:count], labels[:count]

    def _group(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Energies and times (120, 32, 32) in the file's units, and labels (120,)."""
        # 2^128 numbers of the counter's lower half belong to each group
        generator = np.random.Generator(np.random.Philox(key=self._seed, counter=[0, 0, index, 0]))
        config, known = self._config, self._templates
        tosses = generator.integers(0, 2, _GROUP // 2)
        labels = np.stack([tosses, 1 - tosses], 1).ravel()
        uniform = generator.random(_GROUP)
        chosen = np.where(labels, *(np.searchsorted(c, uniform, "right") for c in self._cumulative[::-1]))
        expected = known.energies[chosen]
        energies = generator.standard_normal(expected.shape, np.float32)
        energies *= np.sqrt(_variance(expected, config))
        energies += expected
        energies *= np.float32(1 / _ENERGY_UNIT)
        hit = energies >= _threshold(config)
        energies[~hit] = 0
        seen = energies[hit] * np.float32(_ENERGY_UNIT)
        late = np.repeat(known.delays[chosen], np.count_nonzero(hit, axis=(1, 2)))
        spread = np.hypot(np.float32(_SLOPE * config.noise) / seen, np.float32(_FLOOR))
        times = np.zeros_like(energies)
        times[hit] = (late + spread * generator.standard_normal(len(seen), np.float32)) * np.float32(1 / _TIME_UNIT)
        return energies, times, labels


def _variance(expected: A, config: SimulatorConfig) -> A:
    """Of a crystal's energy, GeV²."""
    linear = config.stochastic**2 + config.fluctuation**2
    return (config.constant**2 * expected + linear) * expected + config.noise**2


def _threshold(config: SimulatorConfig) -> np.float32:
    """In the file's units: as float32, in which energies are compared with it."""
    return np.float32(config.threshold * config.noise / _ENERGY_UNIT)


def _known(config: SimulatorConfig | None) -> SimulatorConfig:
    if config is None:
        return SimulatorConfig()
    if not isinstance(config, SimulatorConfig):
        _checks.fail_type("config", "a SimulatorConfig", type(config).__name__)
    return config
