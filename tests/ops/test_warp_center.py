"""The fixed point of a rotation or an affine map: numbers, or tensors with gradients."""

import pytest
import torch

from latentcore import ops
from latentcore.testing import assert_near


@pytest.mark.parametrize(
    "center", [torch.tensor([1.0, 2.5]), torch.tensor([[1.0, 2.5]] * 3), (torch.full((3,), 1.0), 2.5), [1, 2.5]]
)
def test_a_center_in_any_form(center):
    images, angles = torch.rand(3, 1, 7, 6), torch.tensor([[10.0, 90.0], [20.0, 200.0], [0.0, 1.0]])
    for angle in (30.0, angles[:, 0], angles):
        assert_near(ops.rotate(images, angle, center=center), ops.rotate(images, angle, center=(1.0, 2.5)))
    assert_near(ops.affine(images, angle=30.0, center=center), ops.affine(images, angle=30.0, center=(1.0, 2.5)))


def test_gradients_of_a_center_of_its_own_for_each_image():
    images, angle = torch.randn(2, 1, 6, 5, dtype=torch.float64), torch.tensor([[20.3, 81.0], [3.0, 170.5]]).double()
    center = torch.tensor([[1.2, 2.3], [4.1, 0.4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: ops.rotate(images, angle, center=c), (center,))
    assert torch.autograd.gradcheck(lambda c: ops.affine(images, angle=angle[:, 0], scale=1.3, center=c), (center,))
