"""One mixture, several processes: each holds its shard, only sums go round.

    torchrun --nproc-per-node 2 docs/examples/distributed.py

The result is that of one process with all samples: run it without torchrun to compare.
"""

import os
import time

import torch
import torch.distributed as dist

from latentcore import GaussianMixture


def main(samples: int = 400_000) -> None:
    """Fit to this process's part of samples that all processes could draw."""
    group, rank, size = None, 0, 1
    if "RANK" in os.environ:  # torchrun's
        dist.init_process_group("gloo")  # "nccl" for samples on GPUs
        group, rank, size = dist.group.WORLD, dist.get_rank(), dist.get_world_size()
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    generator = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(8, 8, generator=generator, dtype=torch.float64)
    everything = centres[torch.randint(8, (samples,), generator=generator)]
    everything += torch.randn(samples, 8, generator=generator, dtype=torch.float64)
    shard = everything.tensor_split(size)[rank].clone()

    began = time.perf_counter()
    mixture = GaussianMixture(8, n_init=2, random_state=0).fit(shard, group=group)
    seconds = time.perf_counter() - began
    if rank == 0:
        print(f"{size} process(es), {len(shard):,} samples here, {mixture.n_samples_seen_:,.0f} in all")
        print(f"{mixture.n_iter_} iterations, mean log-likelihood {mixture.lower_bound_:.10f}, {seconds:.2f} s")
        print("first mean:", " ".join(f"{number:.8f}" for number in mixture.means_[0].tolist()))
    if group is not None:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
