"""An epoch over an HDF5 file of electrons and photons against plain h5py, and what memory it takes.

usage: python -m benchmarks.egamma_reader [--events N] [--turns N] [--json FILE]

The file has events of 32×32 cells in 2 channels, float32, of which a tenth are not zero, in chunks of 9,960 rows
packed by lzf; it is in the page cache. An epoch gives batches of 64 in a mixed order. The other side reads the chunks
one after the other and puts channels first, without batches or mixing. Turns alternate; figures are medians; the
seconds of the processor are of all threads of the process. Memory is that of an epoch in a process of its own, above
the imports. A DataLoader that takes row after row unpacks a chunk for each: it is timed on 200 rows drawn at random and
scaled.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.quality.figures import machine
from latentcore._files import write_json
from latentcore.data.egamma import EgammaFiles
from latentcore.terminal.tables import show

_CHUNK, _BATCH, _ROWS = 9_960, 64, 200

_MEMORY = """
import sys
from latentcore.data.egamma import EgammaFiles
from latentcore.testing import peak_memory_mb
before = peak_memory_mb()
for batch in EgammaFiles(sys.argv[1]).stream(batch_size=64).epoch(0):
    pass
print(peak_memory_mb() - before)
"""


class RowByRow(Dataset[tuple[Tensor, Tensor]]):
    """Events as the usual loader takes them, from an open file."""

    def __init__(self, file: h5py.File, rows: np.ndarray) -> None:
        self.images, self.labels, self.rows = file["X"], file["y"], rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = int(self.rows[index])
        return torch.from_numpy(self.images[row]).permute(2, 0, 1), torch.tensor(int(self.labels[row]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "events.h5", arguments.events)
        result = measured(path, arguments.turns)
    show(f"an epoch of {arguments.events:,} events", words(result))
    if arguments.json is not None:
        write_json(arguments.json, {"machine": machine(), "events": arguments.events} | result)


def write(path: Path, events: int) -> Path:
    """A file of events at random."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        chunks = (min(_CHUNK, events), 32, 32, 2)
        images = file.create_dataset("X", (events, 32, 32, 2), "f4", chunks=chunks, compression="lzf")
        file["y"] = random.integers(0, 2, events).astype(np.float32)
        for begin in range(0, events, _CHUNK):
            count = min(_CHUNK, events - begin)
            hit = random.random((count, 32, 32, 1), dtype=np.float32) < 0.1
            images[begin : begin + count] = hit * random.random((count, 32, 32, 2), dtype=np.float32)
    return path


def words(result: dict[str, Any]) -> dict[str, str]:
    """The figures for people."""
    return {
        "streamed, mixed": f"{result['stream_s']:.2f} s, {result['stream_processor_s']:.2f} s of the processor",
        "h5py, chunk by chunk": f"{result['plain_s']:.2f} s, {result['plain_processor_s']:.2f} s of the processor",
        "ratio": f"{result['ratio']:.2f}",
        "memory": f"{result['memory_mb']:.0f} MB",
        "DataLoader, row by row": f"{result['row_by_row_s']:,.0f} s, scaled from {_ROWS} rows",
    }


def measured(path: Path, turns: int) -> dict[str, Any]:
    """All figures."""
    stream = EgammaFiles(path).stream(batch_size=_BATCH)
    epochs = iter(range(turns))
    sides: dict[str, Callable[[], int]] = {
        "stream": lambda: sum(len(batch.labels) for batch in stream.epoch(next(epochs))),
        "plain": lambda: plain(path),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, run in sides.items():
            times[name].append(seconds(run, expected=len(stream.rows)))
    wall = {name: statistics.median(whole for whole, _ in found) for name, found in times.items()}
    processor = {name: statistics.median(busy for _, busy in found) for name, found in times.items()}
    command = [sys.executable, "-c", _MEMORY, str(path)]
    return {
        "stream_s": wall["stream"],
        "plain_s": wall["plain"],
        "ratio": wall["plain"] / wall["stream"],
        "stream_processor_s": processor["stream"],
        "plain_processor_s": processor["plain"],
        "memory_mb": float(subprocess.run(command, capture_output=True, text=True, check=True).stdout),
        "row_by_row_s": row_by_row(path),
        "stream_s_of_turns": [whole for whole, _ in times["stream"]],
        "plain_s_of_turns": [whole for whole, _ in times["plain"]],
    }


def plain(path: Path) -> int:
    """Read all chunks, put channels first, and say how many events there were."""
    count = 0
    with h5py.File(path) as file:
        images = file["X"]
        for begin in range(0, len(images), images.chunks[0]):
            part = torch.from_numpy(images[begin : begin + images.chunks[0]])
            count += len(part.permute(0, 3, 1, 2).contiguous())
    return count


def row_by_row(path: Path) -> float:
    """Seconds of an epoch through a DataLoader, scaled."""
    with h5py.File(path) as file:
        total = len(file["y"])
        rows = np.random.default_rng(1).choice(total, min(_ROWS, total), replace=False)
        loader = DataLoader(RowByRow(file, rows), _BATCH)
        whole, _ = seconds(lambda: sum(len(labels) for _, labels in loader), expected=len(rows))
    return whole / len(rows) * total


def seconds(run: Callable[[], int], expected: int) -> tuple[float, float]:
    """Of the clock, and of the processor."""
    began, busy = time.perf_counter(), time.process_time()
    count = run()
    assert count == expected, (count, expected)
    return time.perf_counter() - began, time.process_time() - busy


if __name__ == "__main__":
    main()
