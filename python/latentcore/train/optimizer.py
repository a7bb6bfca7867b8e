"""The optimiser of the training loop."""

import torch
from torch.optim import AdamW


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
        if not all(parameter in self.state for parameter in moved):
            super().step()  # which makes the states
            return
        states = [self.state[parameter] for parameter in moved]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            moved,
            [parameter.grad for parameter in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
