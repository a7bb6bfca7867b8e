"""What is drawn of a model asks its prior."""

from types import SimpleNamespace

import pytest
import torch

from latentcore import plots
from latentcore.evaluate.pictures import prior_grid, ways
from latentcore.models import Mixture, StandardNormal


class AnyOther(StandardNormal):
    """N(0, I), of which nobody knows."""

    standard = False


def test_a_grid_of_the_standard_normal_prior_is_exact():
    assert torch.equal(prior_grid(StandardNormal(2)), plots.normal_grid())
    torch.testing.assert_close(prior_grid(AnyOther(2)), plots.normal_grid(), rtol=0, atol=0.12)
    assert torch.equal(prior_grid(AnyOther(2)), prior_grid(AnyOther(2)))


def test_a_grid_has_as_much_of_the_prior_everywhere_and_nothing_in_a_gap():
    """Of two components, the first of which is wide up and weighs three times as much as the second."""
    prior = Mixture(2, components=2, covariance_type="diag")
    with torch.no_grad():
        prior.density.means.copy_(torch.tensor([[-10.0, 0.0], [10.0, 50.0]]))
        prior.density.logits.copy_(torch.tensor([0.75, 0.25]).log())
        prior.density.log_diagonal[0, 1] = -torch.tensor(4.0).log()
    grid = prior_grid(prior)
    assert grid.shape == (400, 2)
    left = grid[:, 0] < 0
    assert float(left.float().mean()) == pytest.approx(0.75, abs=0.03)
    expected = torch.where(left.unsqueeze(1), torch.tensor([-10.0, 0.0]), torch.tensor([10.0, 50.0]))
    deviations = torch.where(left.unsqueeze(1), torch.tensor([1.0, 4.0]), torch.ones(2))
    assert float(((grid - expected) / deviations).abs().max()) < 4
    rows = grid.view(20, 20, 2)
    assert bool((rows[:, 1:, 0].mean(0) > rows[:, :-1, 0].mean(0)).all())  # right
    assert bool((rows[1:, :, 1] <= rows[:-1, :, 1]).all())  # up
    assert float(rows[0, :14, 1].mean()) == pytest.approx(4 * 1.645, abs=0.4)  # the 95 % quantile


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (SimpleNamespace(prior=StandardNormal(2)), ["linear", "spherical"]),
        (SimpleNamespace(), ["linear", "spherical"]),
        (SimpleNamespace(prior=AnyOther(2)), ["linear"]),
    ],
    ids=["standard", "none", "another"],
)
def test_great_circles_are_those_of_the_standard_normal_prior(model, names):
    run = SimpleNamespace(model=model, decode=lambda z, labels: z.view(-1, 1, 1, 2))
    drawn = ways(run, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 5)
    assert list(drawn) == names
    assert drawn["linear"].shape == (5, 1, 1, 2)
