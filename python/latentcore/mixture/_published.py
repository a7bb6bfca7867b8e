"""What a mixture has published as its parameters, so that it sees where its attributes were edited since.

`model._published` holds the covariance type and float64 copies of the attributes, by name. Pickles are without the
copies: the attributes say the same.
"""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from latentcore.mixture import _arrays
from latentcore.reference import MixtureParameters

_OTHER = torch.empty(0, dtype=torch.float64)  # what no attribute is


def unchanged(model: Any) -> MixtureParameters | None:
    """The parameters as they were published, where all attributes are floating and still say so; else None."""
    kind, published = getattr(model, "_published", None) or (None, dict[str, Tensor]())
    if kind != model.covariance_type or published["means_"].shape[-1:] != (getattr(model, "n_features_in_", None),):
        return None
    said = model.__dict__
    if not all(_says(said.get(name), value) for name, value in published.items()):
        return None
    return MixtureParameters(*published.values())


def _says(attribute: Any, value: Tensor) -> bool:
    if type(attribute) is np.ndarray:
        here = attribute.dtype.kind == "f" and value.device.type == "cpu"
        return here and np.array_equal(attribute, value.numpy())
    plain = type(attribute) is Tensor and attribute.is_floating_point() and attribute.layout == torch.strided
    return plain and attribute.device == value.device and torch.equal(attribute.detach().to(value.dtype), value)


class Packed(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose pickles have the names of the attributes that were changed instead of copies of all."""

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if "_published" not in state:
            return state
        kind, published = state["_published"]
        changed = [name for name, value in published.items() if not _says(state.get(name), value)]
        return {**state, "_published": (kind, list(published), changed)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_published" in state:
            kind, names, changed = state["_published"]
            copies = {name: _OTHER if name in changed else _arrays.tensor(state[name]).clone() for name in names}
            self._published = kind, copies
