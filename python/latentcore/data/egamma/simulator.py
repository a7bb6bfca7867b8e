"""Simulated electrons and photons in a calorimeter, whose best possible classification is known."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentcore import _errors, _hdf5
from latentcore.data.egamma.crystals import ENERGY_UNIT, FLOOR, SLOPE, TIME_UNIT, known_config, threshold, variance
from latentcore.data.egamma.templates import SIDE, SimulatorConfig, Templates, templates

__all__ = ["EventGenerator", "SimulatorConfig", "simulate", "simulated_by", "write"]

# shapes: N events, T templates, B events of a batch, P crystals that expect anything under some template

CHUNK = 9960  # rows of a chunk in the public files

_ATTRIBUTE = "simulator"  # of a file: the configuration that it was written with
_GROUP = 120  # events that share a stream of random numbers; an even divisor of CHUNK


def simulate(
    events: int, config: SimulatorConfig | None = None, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw crops of photons and electrons.

    A template m is drawn by the probabilities of its class (:func:`latentcore.data.egamma.templates.templates`). Every
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
        >>> from latentcore.data.egamma.simulator import simulate
        >>> X, y = simulate(4, seed=1)
        >>> X.shape, sorted(y.tolist())
        ((4, 32, 32, 2), [0.0, 0.0, 1.0, 1.0])
        >>> energies = 50 * X[..., 0]  # GeV
        >>> times = 50 * X[..., 1]  # ns
    """
    _errors.integer("events", events, 1, 2**40)
    generator = EventGenerator(known_config(config), seed)
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
    float32, and the attributes ``simulator``, JSON that `SimulatorConfig.from_dict` takes, and ``seed``. Its bytes
    depend on neither `threads` nor `block`. One chunk is in memory at a time, 82 MB, beside what HDF5 makes of it.

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
        >>> from latentcore.data.egamma.simulator import SimulatorConfig, write
        >>> write("events.h5", 100, seed=1)
        >>> with h5py.File("events.h5") as file:
        ...     file["X"].shape, SimulatorConfig.from_dict(json.loads(file.attrs["simulator"])) == SimulatorConfig()
        ((100, 32, 32, 2), True)
    """
    _errors.integer("events", events, 1, 2**40)
    _errors.integer("threads", threads, 1, 1024)
    _errors.integer("block", block, 1, 2**40)
    config = known_config(config)
    generator = EventGenerator(config, seed)
    step = -(-block // _GROUP) * _GROUP
    rows = min(events, CHUNK)
    X = np.empty((rows, SIDE, SIDE, 2), np.float32)
    y = np.empty(rows, np.float32)
    with (
        _hdf5.new_file(path) as (file, check),
        ThreadPoolExecutor(threads) as pool,
    ):
        file.attrs[_ATTRIBUTE] = json.dumps(config.to_dict())
        file.attrs["seed"] = seed
        images = file.create_dataset("X", (events, *X.shape[1:]), X.dtype, chunks=X.shape, compression="lzf")
        labels = file.create_dataset("y", (events,), y.dtype)
        for first in range(0, events, rows):
            count = min(rows, events - first)
            parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
            list(pool.map(lambda part, at=first: generator.fill(at + part.start, X[part], y[part]), parts))
            images[first : first + count] = X[:count]
            labels[first : first + count] = y[:count]
            file.flush()  # HDF5 would keep small chunks until the end
            check()


def simulated_by(path: str | os.PathLike[str]) -> SimulatorConfig | None:
    """With which configuration :func:`write` made a file; None for a file of other origin.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no whole HDF5 file, or says a configuration that there cannot be.
    """
    with _hdf5.opened(Path(path)) as file:
        text = _hdf5.read_attribute(file, _ATTRIBUTE, str(path))
    if text is None:
        return None
    try:
        found: SimulatorConfig = SimulatorConfig.from_dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        _errors.fail_value(f"{path}: {_ATTRIBUTE}", "a configuration of the simulator", str(error))
    return found


class EventGenerator:
    """Events by their places."""

    def __init__(self, config: SimulatorConfig, seed: int) -> None:
        _errors.integer("seed", seed, 0, 2**63 - 1)
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
        energies *= np.sqrt(variance(expected, config))
        energies += expected
        energies *= np.float32(1 / ENERGY_UNIT)
        hit = energies >= threshold(config)
        energies[~hit] = 0
        seen = energies[hit] * np.float32(ENERGY_UNIT)
        late = np.repeat(known.delays[chosen], np.count_nonzero(hit, axis=(1, 2)))
        spread = np.hypot(np.float32(SLOPE * config.noise) / seen, np.float32(FLOOR))
        times = np.zeros_like(energies)
        times[hit] = (late + spread * generator.standard_normal(len(seen), np.float32)) * np.float32(1 / TIME_UNIT)
        return energies, times, labels
