"""What latentcore finds under a torch that lacks one name; `python lacking.py FILE NAME...` writes it down.

For each name a process of its own imports latentcore, which does not find it. The name "" is that of nothing.
"""

import contextlib
import importlib
import os
import pickle
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

MODULES = (
    "latentcore.ops",
    "latentcore.reference",
    "latentcore.training.loop",
    "latentcore.models",
    "latentcore._ambient",
)


@contextlib.contextmanager
def without(name):
    """Inside, who looks for this name does not find it; torch itself, which needs it, does not look for it."""
    with mock.patch.object(pkgutil, "resolve_name", lambda asked: _resolved(asked, name)):
        if not name.startswith("torch.nn.Module."):
            yield
            return
        # an attribute of every instance
        with mock.patch.object(nn.Module, "__init__", lambda self: _make_without(self, name.rpartition(".")[2])):
            yield


_make, _resolve = nn.Module.__init__, pkgutil.resolve_name


def _resolved(asked, lacking):
    if asked == lacking:
        raise AttributeError(asked)
    return _resolve(asked)


def _make_without(module, attribute):
    _make(module)
    del vars(module)[attribute]


def found():
    """Tensors by what they are of: whatever a caller may ask for."""
    from latentcore import ops
    from latentcore._ambient import torch_as_usual
    from latentcore.training.config import TrainConfig
    from latentcore.training.processes import precision_of

    torch.manual_seed(0)
    logits, target = torch.randn(4, 6), torch.rand(4, 6)
    mu, logvar = torch.randn(4, 2), torch.randn(4, 2)
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0])

    def loss(logits, mu, logvar, weight=weight, beta=0.5):
        return ops.vae_loss(logits, target[: len(logits)], mu, logvar, beta=beta, sample_weight=weight)[0]

    def of_row(logits, mu, logvar, weight):
        return loss(logits[None], mu[None], logvar[None], weight[None])

    x, means, factors = torch.randn(5, 2), torch.randn(3, 2), torch.eye(2).repeat(3, 1, 1)

    def log_prob(x):
        return ops.gmm_log_prob(x, means, factors)

    def density(x):
        return log_prob(x).square().sum()

    def slope(grad):
        return torch.autograd.grad(density(several), several, grad)[0]

    learned = [tensor.clone().requires_grad_() for tensor in (logits, mu, logvar)]
    (first,) = torch.autograd.grad(loss(*learned), learned[0], create_graph=True)
    several = x.clone().requires_grad_()
    dual = torch.ones(5, 2)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(density(forward_ad.make_dual(x, dual))).tangent
    graph = make_fx(lambda weight: loss(logits, mu, logvar, weight))(weight)
    with torch.device("meta"), torch_as_usual():
        where = torch.ones(2)
    for bad in (lambda: loss(logits, mu, logvar, weight - 3), lambda: loss(logits, mu, logvar, weight * 0)):
        with contextlib.suppress(ValueError):
            bad()
            raise AssertionError("wrong weights pass")
    return {
        "loss": loss(logits, mu, logvar),
        "a beta in a tensor": loss(logits, mu, logvar, beta=torch.tensor(0.5)),
        "gradient": first,
        "second derivative": torch.autograd.grad(first.square().sum(), learned[0])[0],
        "map": torch.vmap(of_row)(logits, mu, logvar, weight),
        "gradients of rows": torch.vmap(torch.func.grad(of_row))(logits, mu, logvar, weight),
        "Hessian": torch.func.hessian(density)(x),
        "forward": tangent,
        "forward by torch.func": torch.func.jvp(density, (x,), (dual,))[1],
        "older map": torch.autograd.functional.jacobian(
            lambda t: ops.gmm_log_prob(t, means, factors), x, vectorize=True
        ),
        "derivative of a map": torch.vmap(lambda g: torch.autograd.grad(density(several), several, g)[0])(
            torch.ones(2)
        ),
        "moved": ops.rotate(torch.rand(2, 1, 5, 5), torch.tensor([10.0, 20.0])),
        "mapped rotations": torch.vmap(lambda a: ops.rotate(torch.ones(1, 1, 5, 5), a))(torch.tensor([[10.0], [20.0]])),
        "written down": graph(weight),
        "device": where,
        "trained": _trained(),
        "precision": torch.tensor(precision_of(TrainConfig(precision="auto")) == "32-true"),
    }


def _trained():
    """A network that has learned in steps enough to be recorded, with batch normalisation that is frozen in time."""
    from latentcore.models.objectives import CrossEntropy
    from latentcore.training import TrainConfig, create_run
    from latentcore.training.loop import minimise
    from latentcore.training.sources import LabelledImages

    torch.manual_seed(3)
    images = torch.randint(0, 256, (120, 1, 4, 4), dtype=torch.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            epochs=12, batch_size=2, checkpoint_every=50, freeze_normalisation_at=0.2, precision="32-true"
        )
        create_run("test", {}, Path(folder) / "run")
        source = LabelledImages(images, torch.arange(3).repeat(40))
        minimise(model, CrossEntropy(), source, config, Path(folder) / "run")
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def _answer(name):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with without(name):
            for module in MODULES:
                importlib.import_module(module)
        private = importlib.import_module("latentcore._torch_private")
        values = {key: value.detach().double().numpy() for key, value in found().items()}
    words = [str(one.message) for one in said if "latentcore" in str(one.message) or "steps" in str(one.message)]
    return {"values": values, "lacking": private.LACKING, "said": words}


def main(file, names):
    """Each name in a process of its own, which has what torch needs already."""
    torch.set_num_threads(1)
    answers = {}
    for name in names:
        answer = Path(f"{file}.{len(answers)}")
        if (child := os.fork()) == 0:
            answer.write_bytes(pickle.dumps(_answer(name)))
            os._exit(0)
        os.waitpid(child, 0)
        answers[name] = pickle.loads(answer.read_bytes()) if answer.exists() else None
    Path(file).write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
