"""A further prior is a class, a dataclass that says where it is, and a word in a union."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import nn

from latentcore import _config, _settings
from latentcore.models import VAE, Prior, StandardNormal, StandardNormalConfig, VAEConfig
from latentcore.models.parts import BuiltConfig


class Laplace(Prior):
    def __init__(self, latent, scale):
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((latent,), scale).log())

    def log_prob(self, z):
        return torch.distributions.Laplace(0.0, self.log_scale.exp(), validate_args=False).log_prob(z).sum(1)

    def sample(self, n, generator=None):
        sign, size = torch.rand(2, n, len(self.log_scale), generator=generator)
        return torch.sign(sign - 0.5) * -torch.log1p(-size) * self.log_scale.exp()


@dataclass(frozen=True)
class LaplaceConfig(BuiltConfig):
    builds: ClassVar[str] = f"{__name__}:Laplace"
    kind: Literal["laplace"] = field(default="laplace", kw_only=True)
    scale: float = 1.0


@dataclass(frozen=True)
class Config(VAEConfig):
    prior: StandardNormalConfig | LaplaceConfig = field(default_factory=StandardNormalConfig)


def test_it_is_built_saved_and_set_by_words():
    assert type(VAE(Config()).prior) is StandardNormal
    config = _settings.changed(Config(), {"prior.scale": "0.5", "prior.kind": "laplace"})
    assert config.prior == LaplaceConfig(0.5)
    assert _config.from_plain(Config, _config.to_plain(config)) == config
    model, images = VAE(config), torch.rand(4, 1, 28, 28)
    assert torch.equal(model.prior.log_scale, torch.full((2,), 0.5).log())
    model.objective()(model, (images, images), beta=1.0, seed=0).loss.backward()
    assert model.prior.log_scale.grad.all()
    assert model.prior.sample(5).shape == (5, 2)
    other = VAE(Config(prior=LaplaceConfig(0.25)))
    assert "_extra_state" in model.state_dict()
    assert other.get_extra_state()["prior"] == {"kind": "laplace", "scale": 0.25}
