"""Steps that read all that changes from the device."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from latentcore import ops
from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.models.objectives import NegativeELBO
from latentcore.training import Augmentation, TrainConfig, recorded
from latentcore.training.gradients import Gradients
from latentcore.training.plan import Plan
from latentcore.training.sources import Images

IMAGES = torch.randint(256, (70, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
CONFIG = TrainConfig(
    epochs=4,
    batch_size=16,
    beta_warmup=0.5,
    gradient_clip=0.1,
    freeze_normalisation_at=0.5,
    augmentation=Augmentation(degrees=20, translate=1, full_until=0.25, zero_from=0.75),
)


def model_of():
    torch.manual_seed(0)
    return VAE(
        VAEConfig(
            image_shape=(1, 12, 12),
            noise=0.1,
            network=MLPConfig(hidden=(8,), decoder_hidden=(8,), normalisation="batch"),
        )
    )


def plan_of(device="cpu", config=CONFIG):
    return Plan(config, Images(IMAGES.to(device), config.augmentation))


def gradients_of(device, epochs, config=CONFIG, *, wrapped=True):
    """The gradients of every step of some epochs, and the totals; the weights move a little by each."""
    fabric = Fabric(accelerator=device, devices=1)
    plain = model_of().to(fabric.device)
    plan = plan_of(fabric.device, config)
    gradients = Gradients(fabric, fabric.setup(plain) if wrapped else plain, plain, NegativeELBO(), plan)
    found = []
    for epoch in epochs:
        gradients.begin(epoch)
        torch.manual_seed(epoch)
        for _ in range(plan.steps):
            gradients()
            found.append(torch.cat([p.grad.flatten().cpu() for p in plain.parameters()]))
            with torch.no_grad():
                for p in plain.parameters():
                    p -= 0.1 * p.grad
        found.append(gradients.totals.cpu().clone())
    return [*found, *plain.buffers()]


def test_a_step_has_the_gradients_of_its_batch():
    model, plan = model_of(), plan_of()
    first, *_ = gradients_of("cpu", [1])
    inputs = plan.inputs(1)
    now = inputs.at(torch.tensor([0]))
    batch, target = plan.source.batch(now.rows, now.draws)
    torch.manual_seed(1)
    out = model.train()(batch, seed=plan.noise_seed(plan.steps))
    ops.vae_loss(out.logits, target, out.mu, out.logvar, beta=plan.beta(plan.steps)).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.gradient_clip)
    assert torch.equal(first, torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert float(first.norm()) == pytest.approx(CONFIG.gradient_clip, rel=1e-4)


def test_an_epoch_does_not_depend_on_those_before_but_by_the_weights():
    plan = plan_of()
    kept, fresh = plan.inputs(0), plan.inputs(1)
    kept.take_over(fresh)
    for a, b in zip(kept, fresh, strict=True):
        assert torch.equal(a, b)


def test_steps_recorded_on_the_cpu_are_the_steps_themselves(monkeypatch):
    """Over epochs in which augmentation and the growth of beta end and batch normalisation is frozen."""
    programs = []
    monkeypatch.setattr(recorded.Recorded, "_replay", _counting(programs, recorded.Recorded._replay))
    config = replace(CONFIG, epochs=400)
    epochs = [0, 199, 200, 201, 310]  # with fewer than a hundred left, nothing is recorded
    for eager, replayed in zip(
        gradients_of("cpu", epochs, config),
        gradients_of("cpu", epochs, config, wrapped=False),
        strict=True,
    ):
        assert torch.equal(eager, replayed)
    assert len(programs) == 2 * plan_of().steps - 2, "of epochs 200 and 201, without the two in which they are recorded"


def _counting(calls, function):
    def called(self):
        calls.append(self)
        return function(self)

    return called


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_recorded_steps_are_the_steps_themselves():
    """Over epochs in which augmentation ends and batch normalisation is frozen, each of which records anew."""
    for cpu, cuda in zip(gradients_of("cpu", range(4)), gradients_of("cuda", range(4)), strict=True):
        assert float((cpu - cuda).norm() / cpu.norm()) < 1e-3
