"""The loop's optimiser is torch's."""

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from latentcore.training.optimizer import LeanAdamW


def weights():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=generator).requires_grad_() for size in ((17, 5), (17,), (3,))]


def trained(kind, *, steps, reload_at=None):
    """Weights and state after steps whose gradients are random; the last weight has one from the fourth step on."""
    parameters = weights()
    options = {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.02, "fused": True}
    optimizer = kind(parameters, **options)
    schedule = OneCycleLR(optimizer, 0.1, total_steps=steps)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        if step == reload_at:
            state = optimizer.state_dict()
            optimizer = kind(parameters, **options)
            optimizer.load_state_dict(state)
            schedule.optimizer = optimizer
        for parameter in parameters[: 3 if step > 3 else 2]:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return parameters, optimizer.state_dict()


def test_steps_and_states_are_those_of_torch():
    for reload_at in (None, 7):
        found, state = trained(LeanAdamW, steps=20, reload_at=reload_at)
        expected, wanted = trained(AdamW, steps=20)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert state["param_groups"] == wanted["param_groups"]
        assert state["state"].keys() == wanted["state"].keys()
        for name, own in state["state"].items():
            assert all(torch.equal(own[key], wanted["state"][name][key]) for key in ("step", "exp_avg", "exp_avg_sq"))
