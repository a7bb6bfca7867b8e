"""Electrons and photons in a calorimeter: files of events, the simulator that writes some, and its exact oracle."""

from latentcore.data.egamma.files import EgammaFiles, Split, inspect
from latentcore.data.egamma.stream import Events
from latentcore.data.egamma.sums import Normalisation

__all__ = ["EgammaFiles", "Events", "Normalisation", "Split", "inspect"]
