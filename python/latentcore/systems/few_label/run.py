"""A trained few-label system, ready for use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import inside
from latentcore.mixture.files import load_mixture
from latentcore.systems.few_label.config import FewLabelConfig
from latentcore.systems.few_label.mixture import mixture_path
from latentcore.training.run import CodingRun


class FewLabelRun(CodingRun[FewLabelConfig]):
    """A trained few-label system.

    Attributes:
        mixture: The mixture in the latent space, which knows what its components stand for.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], config: FewLabelConfig, model: nn.Module) -> None:
        super().__init__(folder, about, config, model)
        path, latent = mixture_path(folder), self.model.config.latent
        if not path.exists():
            raise FileNotFoundError(f"{path}: expected the mixture of a finished run, found none; resume the training")
        self.mixture = load_mixture(inside(folder, path))
        if (found := self.mixture.n_features_in_) != latent:
            _errors.fail_value(str(path), f"a mixture in the {latent} latent axes of the model", f"{found} axes")

    @torch_as_usual(gradients=False)
    def classify(self, images: Any) -> Tensor:
        """Labels (N,), int64, of images as `encode` takes them."""
        labels: Tensor = self.mixture.predict_label(self.encode(images))
        return labels

    @torch_as_usual(gradients=False)
    def predict_proba(self, images: Any) -> Tensor:
        """Class probabilities (N, C) of images, columns in the order of `mixture.classes_`."""
        probabilities: Tensor = self.mixture.predict_label_proba(self.encode(images))
        return probabilities
