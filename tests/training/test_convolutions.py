"""What trainings ask oneDNN for, whose strided 1x1 convolutions can have wrong gradients (`docs/numerics.md`)."""

import pytest
import torch
from first_steps import TRAININGS, gradients_of_first_steps
from torch.utils._python_dispatch import TorchDispatchMode

# of a parameter's gradient between oneDNN's convolutions and torch's own, by norm: room for a ReLU that opens on one
# side alone, none for the factors of 25 and 48 that were seen
TOLERANCE = {"32-true": 0.05, "bf16-mixed": 0.5}
trainings = pytest.mark.parametrize("training", TRAININGS)
precisions = pytest.mark.parametrize("precision", ["32-true", pytest.param("bf16-mixed", marks=pytest.mark.long)])


class NoStridedPointwise(TorchDispatchMode):
    """Fails before a 1x1 convolution with a stride above 1 is computed, forward or backward; counts the others."""

    convolutions = backward = 0

    def __torch_dispatch__(self, operator, types, arguments=(), keywords=None):
        names = [argument.name for argument in operator._schema.arguments]
        given = dict(zip(names, arguments, strict=False)) | (keywords or {})
        if "weight" in given and "stride" in given:
            kernel, stride = given["weight"].shape[2:], given["stride"]
            assert max(kernel) > 1 or max(stride) == 1, f"{operator}: a kernel of {tuple(kernel)} with stride {stride}"
            self.convolutions += 1
            self.backward += "backward" in operator.name()
        return operator(*arguments, **(keywords or {}))


@trainings
@precisions
def test_no_training_asks_for_a_strided_pointwise_convolution(training, precision, tmp_path):
    with NoStridedPointwise() as seen:
        gradients_of_first_steps(training, precision, tmp_path / "run")
    if not training.startswith(("autoencoder", "few_label")):  # of which many have none
        assert seen.convolutions > seen.backward > 0


@pytest.mark.parametrize("transposed", [False, True])
def test_one_would_be_seen(transposed):
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    with NoStridedPointwise(), pytest.raises(AssertionError, match=r"kernel of \(1, 1\) with stride \[2, 2\]"):
        kind(3, 4, 1, stride=2)(torch.rand(2, 3, 8, 8))
    maps = kind(3, 4, 1, stride=2)(torch.rand(2, 3, 8, 8))
    with NoStridedPointwise(), pytest.raises(AssertionError, match="convolution_backward"):
        maps.sum().backward()


@trainings
@precisions
@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of other devices, which switching oneDNN off speaks of
def test_gradients_are_those_without_onednn(training, precision, tmp_path):
    found = gradients_of_first_steps(training, precision, tmp_path / "with")
    with torch.backends.mkldnn.flags(enabled=False):
        expected = gradients_of_first_steps(training, precision, tmp_path / "without")
    for gradients, reference in zip(found, expected, strict=True):
        least = 1e-2 * torch.cat([gradient.flatten() for gradient in reference]).norm()
        for gradient, wanted in zip(gradients, reference, strict=True):
            assert (gradient - wanted).norm() < TOLERANCE[precision] * wanted.norm().clamp_min(least)
