"""The operators on a GPU against plain torch and torch.compile: the same answer, then the time and the memory.

usage: python -m benchmarks.gpu [--json FILE] [--device cuda] [--small]

`--small` shrinks every shape, to check the program itself where there is no GPU (`--device cpu`).
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import Timer

from benchmarks import memory, peers
from latentcore import __version__, _native, ops, reference
from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.testing import relative_error
from latentcore.training import TrainConfig, fit

OURS = "latentcore"
_SECONDS = 0.5  # of each contestant


@dataclasses.dataclass(frozen=True)
class Work:
    """One row of the table.

    `bytes` and `flop` are what the result needs at the least; `goal` is the time to reach, where there is one.
    """

    operator: str
    shape: str
    contestants: Mapping[str, Callable[[], Any]]
    bytes: float
    flop: float = 0
    goal: float | None = None
    tolerance: float = 1e-3
    check: bool = True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    limits = _limits(arguments.device, arguments.small)
    rows = []
    for work in _works(arguments.device, arguments.small):
        rows.append(_measure(work, limits, arguments.device))
        _print(rows[-1])
    rows.append(_epoch(600 if arguments.small else 60000, arguments.device))
    _print(rows[-1])
    machine = {
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "latentcore": __version__,
        "cuda_library": str(_native.cuda_library),
        **limits,
    }
    print(json.dumps(machine, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def _seconds(function: Callable[[], Any]) -> float:
    timer = Timer("function()", globals={"function": function})
    return float(timer.blocked_autorange(min_run_time=_SECONDS).median)


def _limits(device: str, small: bool) -> dict[str, float]:
    """Bytes per second of a large copy and FLOP per second of a large float32 product, measured in this run."""
    size, side = (2**20, 256) if small else (2**29, 8192)
    source = torch.randn(size, device=device)
    target = torch.empty_like(source)
    a = torch.randn(side, side, device=device)
    return {
        "copy_bytes_per_s": 2 * source.nbytes / _seconds(lambda: target.copy_(source)),
        "sgemm_flop_per_s": 2 * side**3 / _seconds(lambda: a @ a),
    }


def _measure(work: Work, limits: dict[str, float], device: str) -> dict[str, Any]:
    errors: dict[str, float] = {}
    seconds: dict[str, float | None] = {}
    peaks: dict[str, int | None] = {}
    expected = _flat(work.contestants[OURS]()) if work.check else None
    for name, contestant in work.contestants.items():
        try:
            if expected is not None:
                errors[name] = max(relative_error(a, e) for a, e in zip(_flat(contestant()), expected, strict=True))
                assert errors[name] <= work.tolerance, f"{work.operator}: {name} differs by {errors[name]:.2g}"
            seconds[name] = _seconds(contestant)
            peaks[name] = memory.peak_bytes(contestant, device)
        except torch.OutOfMemoryError:
            seconds[name] = None
    ours = seconds[OURS]
    others = [value for name, value in seconds.items() if name != OURS and value is not None]
    least = max(work.bytes / limits["copy_bytes_per_s"], work.flop / limits["sgemm_flop_per_s"])
    return {
        "operator": work.operator,
        "shape": work.shape,
        "seconds": seconds,
        "peak_bytes": peaks,
        "ratio": min(others) / ours if others and ours else None,
        "fraction_of_limit": least / ours if ours else None,
        "goal_seconds": work.goal,
        "errors": errors,
    }


def _print(row: dict[str, Any]) -> None:
    costs = ", ".join(
        f"{n} {s * 1e3:.4g} / {memory.megabytes(row['peak_bytes'].get(n))}" if s else f"{n} out of memory"
        for n, s in row["seconds"].items()
    )
    ratio = f"{row['ratio']:.3g} times faster" if row["ratio"] else "no peer"
    limit = f"{row['fraction_of_limit']:.0%} of the limit" if row["fraction_of_limit"] else ""
    goal = f"goal {row['goal_seconds'] * 1e3:g} ms" if row["goal_seconds"] else ""
    print(f"{row['operator']:<32} {row['shape']:<24} ms / MB: {costs}; {ratio}; {limit} {goal}", flush=True)


def _flat(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else [r for r in result if isinstance(r, torch.Tensor)]


def _works(device: str, small: bool) -> Iterator[Work]:
    """Every row; a generator, so that one row's memory is free before the next one is made."""
    yield _reparameterize(64 if small else 65536, 32 if small else 1024, device)
    yield _vae_loss(16 if small else 65536, 1024, device)
    yield _rotate_bytes(20 if small else 60000, device)
    yield _rotate(4 if small else 4096, 64 if small else 256, device)
    for shape in (
        (1_000_000, 64, 64, "diag", 100, 0.05),
        (100_000, 32, 16, "full", 100, 0.02),
        (10_000_000, 2, 10, "full", 1, 50e-6),
    ):
        yield _em(*((500, *shape[1:]) if small else shape), device)
    yield _many_mixtures(3 if small else 100_000, 2 if small else 100, device)


def _gradients(function: Callable[..., Any], leaves: list[torch.Tensor], *others: Any) -> Callable[[], Any]:
    """A call that computes a scalar and its gradients in the leaves."""
    return lambda: torch.autograd.grad(function(*leaves, *others), leaves)


def _reparameterize(B: int, L: int, device: str) -> Work:
    leaves = [torch.randn(B, L, device=device, requires_grad=True) for _ in range(2)]

    def total(function: Callable[..., Any]) -> Callable[..., torch.Tensor]:
        return lambda mu, logvar: sum(r.sum() for r in function(mu, logvar))

    eager, compiled = total(peers.sample_and_divergence), total(torch.compile(peers.sample_and_divergence))
    contestants = {
        OURS: _gradients(total(ops.reparameterize_kl), leaves),
        "eager": _gradients(eager, leaves),
        "compile": _gradients(compiled, leaves),
    }
    # forward: two in, one out; backward: three in, two out; the noise differs
    size = 4 * B * L
    return Work("reparameterize_kl with gradients", f"{B}×{L}", contestants, bytes=8 * size, check=False)


def _vae_loss(B: int, P: int, device: str) -> Work:
    shapes = ((B, P), (B, 32), (B, 32))
    leaves = [torch.randn(shape, device=device, requires_grad=True) for shape in shapes]
    target = torch.rand(B, P, device=device)

    def ours(logits: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        return ops.vae_loss(logits, target, mu, logvar).loss

    def eager(logits: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        return peers.bernoulli_loss(logits, target, mu, logvar)

    contestants = {
        OURS: _gradients(ours, leaves),
        "eager": _gradients(eager, leaves),
        "compile": _gradients(torch.compile(eager), leaves),
    }
    return Work("vae_loss with gradients", f"{B}×{P}", contestants, bytes=3 * 4 * B * P)


def _rotate_bytes(N: int, device: str) -> Work:
    images = torch.randint(0, 256, (N, 1, 28, 28), dtype=torch.uint8, device=device)
    degrees = torch.rand(N, 12, device=device) * 360

    def eager() -> torch.Tensor:
        many = (images.float() / 255).repeat_interleave(12, 0)
        return peers.grid_sample_rotate(many, degrees.flatten()).view(N, 12, 1, 28, 28)

    contestants = {OURS: lambda: ops.rotate(images, degrees, dtype=torch.float32), "eager": eager}
    size = images.nbytes * (1 + 4 * 12)
    return Work("rotate uint8 → float32, 12 angles", f"{N}×28×28", contestants, bytes=size, goal=3e-3)


def _rotate(N: int, side: int, device: str) -> Work:
    images, degrees = torch.rand(N, 3, side, side, device=device), torch.rand(N, device=device) * 360
    compiled = torch.compile(peers.grid_sample_rotate)
    contestants = {
        OURS: lambda: ops.rotate(images, degrees),
        "eager": lambda: peers.grid_sample_rotate(images, degrees),
        "compile": lambda: compiled(images, degrees),
    }
    goal = N / 2e6
    return Work("rotate", f"{N}×3×{side}×{side}", contestants, bytes=2 * images.nbytes, goal=goal, tolerance=2e-3)


def _start(batch: tuple[int, ...], N: int, D: int, K: int, covariance_type: str, device: str) -> list[torch.Tensor]:
    shape = (*batch, *reference.covariance_shape(K, D, covariance_type))
    factors = torch.eye(D).expand(shape).contiguous() if covariance_type == "full" else torch.ones(shape)
    x, means = torch.randn(*batch, N, D, device=device), torch.randn(*batch, K, D, device=device)
    return [x, torch.full((*batch, K), 1 / K, device=device), means, factors.to(device)]


def _iterations(module: Any, start: list[torch.Tensor], covariance_type: str, count: int) -> Callable[[], Any]:
    x, *parameters = start

    def run() -> Any:
        weights, means, factors = parameters
        for _ in range(count):
            found = module.gmm_statistics(x, weights, means, factors, covariance_type)
            new = module.gmm_m_step(found, means, covariance_type, reg_covar=1e-6)
            weights, means, _, factors = (value.to(x.dtype) for value in new)
        return weights, means, factors

    return run


def _em(N: int, D: int, K: int, covariance_type: str, count: int, goal: float, device: str) -> Work:
    start = _start((), N, D, K, covariance_type, device)
    contestants = {
        OURS: _iterations(ops, start, covariance_type, count),
        "eager": _iterations(reference, start, covariance_type, count),
    }
    # whitening and moments of every sample and component
    flop = count * N * K * (D * (D + 1) * 2 if covariance_type == "full" else 8 * D)
    name = f"{count} EM iterations" if count > 1 else "EM iteration"
    shape = f"{N}×{D} K={K} {covariance_type}"
    # a hundred iterations let rounding grow
    return Work(name, shape, contestants, bytes=count * 4 * N * D, flop=flop, goal=goal, check=count == 1)


def _many_mixtures(batch: int, count: int, device: str) -> Work:
    start = _start((batch,), 256, 2, 4, "full", device)
    x, weights, means, factors = start
    contestants = {
        OURS: lambda: ops.gmm_em(x, weights, means, factors, max_iter=count, tol=0.0),
        "statistics and m_step": _iterations(ops, start, "full", count),
    }
    # a component's density takes 17 operations and its moments 15
    flop = count * batch * 256 * 4 * 32
    bytes_ = 4 * batch * 256 * 2
    name = f"{count} EM iterations of many"
    return Work(name, f"{batch}×256×2 K=4", contestants, bytes=bytes_, flop=flop, goal=0.05, check=False)


def _epoch(count: int, device: str) -> dict[str, Any]:
    """The best of five epochs of an MLP VAE 784-400-20, as the training loop itself measures them."""
    images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8)
    model = VAE(VAEConfig(latent=20, network=MLPConfig(hidden=(400,), decoder_hidden=(400,))))
    config = TrainConfig(epochs=6, device="cuda" if device == "cuda" else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoints").mkdir()
        rows = fit(model, images, config, Path(folder))
    seconds = min(row["seconds"] for row in rows[1:])
    shape = f"{count} images, batch {config.batch_size}"
    return {
        "operator": "epoch of the MLP VAE 784-400-20",
        "shape": shape,
        "seconds": {OURS: seconds},
        "peak_bytes": {},
        "ratio": None,
        "fraction_of_limit": None,
        "goal_seconds": 0.05,
        "errors": {},
    }


if __name__ == "__main__":
    main()
