"""What a crystal shows of the energy that it expects: units, resolution and threshold."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latentcore import _errors
from latentcore.data.egamma.templates import SimulatorConfig

A = TypeVar("A", NDArray[np.float32], Tensor)

ENERGY_UNIT, TIME_UNIT = 50.0, 50.0  # GeV and ns, by which the public files divide
SLOPE, FLOOR = 35.0, 0.02  # ns: resolution of the time of an amplitude of A sigmas, 35 / A and 20 ps


def variance(expected: A, config: SimulatorConfig) -> A:
    """Of a crystal's energy, GeV²."""
    linear = config.stochastic**2 + config.fluctuation**2
    return (config.constant**2 * expected + linear) * expected + config.noise**2


def threshold(config: SimulatorConfig) -> np.float32:
    """In the file's units: as float32, in which energies are compared with it."""
    return np.float32(config.threshold * config.noise / ENERGY_UNIT)


def known_config(config: SimulatorConfig | None) -> SimulatorConfig:
    """The configuration, or the default one for None; anything else is a TypeError."""
    if config is None:
        return SimulatorConfig()
    if not isinstance(config, SimulatorConfig):
        _errors.fail_type("config", "a SimulatorConfig", type(config).__name__)
    return config
