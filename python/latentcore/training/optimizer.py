"""The optimiser of the training loop, and its learning rate."""

import torch
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from latentcore._torch_private import adamw
from latentcore.training.plan import Plan


class LeanAdamW(AdamW):
    """torch's fused AdamW for parameters of one device and one type, in steps that cost little more than their kernel.

    torch's own step sorts parameters by device and type each time, which takes longer than the update of a small
    network. States and results are the same.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the parameters that have a gradient; of a closure nothing is known here."""
        (group,) = self.param_groups
        moved = [parameter for parameter in group["params"] if parameter.grad is not None]
        if adamw is None or not all(parameter in self.state for parameter in moved):
            super().step()  # which makes the states
            return
        adamw(
            moved,
            [self.state[parameter] for parameter in moved],
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
        )


def schedule_of(optimizer: Optimizer, plan: Plan) -> LRScheduler:
    """The learning rate of each step, as the configuration says."""
    config = plan.config
    if config.schedule == "one-cycle":
        # torch divides by the steps that lead up to the peak less one: a single one is left out
        pct_start = 0.0 if config.pct_start * plan.total == 1 else config.pct_start
        return OneCycleLR(optimizer, config.learning_rate, total_steps=plan.total, pct_start=pct_start)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, plan.total)
    return ConstantLR(optimizer, factor=1.0, total_iters=0)
