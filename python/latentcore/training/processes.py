"""The processes of a training: one, or those that torchrun has started."""

import os
from collections.abc import Callable
from inspect import signature
from typing import Any, Literal, TypeVar, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.double import DoublePrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from latentcore._torch_private import multiplies_bfloat16
from latentcore.training.config import TrainConfig

# shapes: (N, C, H, W) maps of one process

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")


def alone(config: TrainConfig) -> Fabric:
    """This process by itself, on the configured device."""
    return Fabric(accelerator=config.device, devices=1, **_precision(config))


def together(config: TrainConfig) -> Fabric:
    """This process together with all that torchrun has started, if it has."""
    if not distributed.is_torchelastic_launched():
        return alone(config)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    # statistics are the same in all processes (`synchronised`), so that nobody has to be told of them; torch 2.13 has
    # another word for it
    options = signature(DistributedDataParallel).parameters
    word = "forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers"
    chosen: dict[str, Any] = {word: False}
    strategy = DDPStrategy(**chosen)
    nodes = int(os.environ["WORLD_SIZE"]) // here
    fabric = Fabric(accelerator=config.device, devices=here, num_nodes=nodes, strategy=strategy, **_precision(config))
    fabric.launch()
    return fabric


class _Double(DoublePrecision):
    """Fabric's own rounds what a model gives to the default dtype."""

    def convert_output(self, data: Any) -> Any:
        """As it is."""
        return data


def _precision(config: TrainConfig) -> dict[str, Any]:
    """What Fabric is told."""
    chosen = precision_of(config)
    return {"plugins": _Double()} if chosen == "64-true" else {"precision": chosen}


def precision_of(config: TrainConfig) -> Literal["32-true", "64-true", "bf16-mixed"]:
    """The configured precision; "auto" asks the device."""
    if config.precision != "auto":
        return config.precision
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if on_cuda else multiplies_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def set_up(fabric: Fabric, model: nn.Module, config: TrainConfig) -> nn.Module:
    """The model as a step calls it: behind Fabric's wrapper, but for one process in float32, where it would do nothing.

    A call through it costs as much as a small layer.
    """
    wrapped = fabric.setup(model)
    bare = fabric.world_size == 1 and precision_of(config) == "32-true"
    return model if bare else wrapped


def is_first() -> bool:
    """Whether this is the first process, or the only one: the one that speaks; also before they know each other."""
    if distributed.is_initialized():
        return distributed.get_rank() == 0
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


def from_first(fabric: Fabric, work: Callable[[], T]) -> T:
    """What `work` returns in the first process, which alone does it; where it fails, the others end without a word."""
    result, failure = None, None
    if fabric.is_global_zero:
        try:
            result = work()
        except Exception as error:
            failure = error
    result, failed = fabric.broadcast((result, failure is not None))
    if failure is not None:
        raise failure
    if failed:
        raise SystemExit(1)
    return cast(T, result)


def synchronised(fabric: Fabric, model: M) -> M:
    """The model, whose batch normalisation looks at the batches of all processes."""
    if fabric.world_size == 1:
        return model
    if fabric.device.type == "cuda":
        return cast(M, nn.SyncBatchNorm.convert_sync_batchnorm(model))
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            model.set_submodule(name, SharedBatchNorm.like(layer))
    return model


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Sum.forward(ctx, grad)


def _summed(own: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]  # torch's stub says nothing
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, on the CPU, for which torch has none.

    It takes the place of `nn.BatchNorm1d` too. Every process has as many examples.
    """

    @classmethod
    def like(cls, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> "SharedBatchNorm":
        """A layer with the weights and statistics of another one."""
        shared = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        shared.to(layer.weight).load_state_dict(layer.state_dict())
        return shared.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """(N, C, ...) -> (N, C, ...)."""
        if not self.training:
            known = (self.running_mean, self.running_var, self.weight, self.bias)
            return F.batch_norm(input, *known, training=False, eps=self.eps)
        maps = input if input.dtype == torch.float64 else input.float()
        processes, others = distributed.get_world_size(), [axis for axis in range(maps.dim()) if axis != 1]
        shape = [1, -1, *(1 for _ in others[1:])]
        mean = _summed(maps.mean(others)) / processes
        centred = maps - mean.view(shape)
        variance = _summed(centred.square().mean(others)) / processes
        self._remember(mean.detach(), variance.detach(), processes * maps.numel() // maps.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        normal: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
