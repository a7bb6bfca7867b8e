"""Blocks of events on their way from HDF5 files into memory that is used again and again."""

import mmap
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _errors, _hdf5
from latentcore._hdf5 import unpacking
from latentcore._memory import bounded
from latentcore.data.egamma.format import EventFile, check_finite, images_of, name_of

# shapes: K slots of R rows of H×W cells in C channels, n events of a piece

_BLOCK = 2**23  # bytes of a block where chunks are smaller: long enough to read, short enough to mix
_THREADS = 4
PIECE = 64  # events that are handled at once: they stay in the cache


@dataclass(frozen=True)
class Block:
    """Rows that are read together: whole chunks, one after the other.

    Attributes:
        file: The number of the file.
        begin: The first row in that file.
        end: The row after the last.
        offset: The number of the first row over all files.
    """

    file: int
    begin: int
    end: int
    offset: int


def rows_of_block(file: EventFile) -> int:
    """How many rows a block of a file has: a chunk, or several where they are small."""
    # HDF5 reads parts of chunks only where nothing packs them
    chunk = file.chunks[0] if file.chunks is not None and file.filters else 1
    return chunk * max(1, _BLOCK // (4 * int(np.prod(file.shape[1:]))) // chunk)


def blocks_of(files: Sequence[EventFile]) -> list[Block]:
    """All blocks of all files in their order."""
    found, offset = [], 0
    for number, file in enumerate(files):
        step = rows_of_block(file)
        starts = range(0, len(file), step)
        found += [Block(number, begin, min(begin + step, len(file)), offset + begin) for begin in starts]
        offset += len(file)
    return found


class Reader:
    """Reads blocks into memory of the caller's, in any thread.

    HDF5 holds a lock while it unpacks. So chunks that lie in the file as they are wanted are taken packed, which is
    short, and unpacked outside of the lock, straight into their place; all others are left to HDF5.
    """

    def __init__(self, files: Sequence[EventFile]) -> None:
        self._files = files
        self._spare: list[np.ndarray] = []  # for packed chunks

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._data = [_same(file, stack.enter_context(_hdf5.opened(file.path))) for file in self._files]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, block: Block, into: np.ndarray) -> None:
        """The block's rows as the first of `into`, (R, H, W, C), whose dtype they get; the others may change."""
        file, data = self._files[block.file], self._data[block.file]
        decode = _decoder_of(file, data, into.dtype)
        # the last chunk of a file is packed as a whole too, and wants the place of a whole one
        step = block.end - block.begin if decode is None or file.chunks is None else file.chunks[0]
        for begin in range(block.begin, block.end, step):
            place = begin - block.begin
            if decode is not None and self._unpack(block.file, begin, into[place : place + step], decode):
                continue
            end = min(begin + step, block.end)
            _hdf5.read_into(data, into[place:], begin, end, name_of(file.path, begin, end))

    def rest(self) -> None:
        """Give back what only reading needs."""
        self._spare.clear()

    def announce(self, block: Block) -> None:
        """Have the system fetch the block from the disk, if it will; this takes no memory of the process."""
        file, data = self._files[block.file], self._data[block.file]
        with suppress(*_hdf5.ERRORS):
            if file.chunks is not None:
                for begin in range(block.begin, block.end, file.chunks[0]):
                    chunk = data.id.get_chunk_info_by_coord((begin, 0, 0, 0))
                    if chunk.byte_offset is not None:
                        handle = data.file.id.get_vfd_handle()
                        os.posix_fadvise(handle, chunk.byte_offset, chunk.size, os.POSIX_FADV_WILLNEED)

    def _unpack(self, number: int, begin: int, into: np.ndarray, decode: unpacking.Decoder) -> bool:
        """Whether the chunk was there and packed by all of its filters, which it need not be."""
        file, data = self._files[number], self._data[number]
        where, end = (begin, 0, 0, 0), min(begin + len(into), len(file))
        try:
            chunk = data.id.get_chunk_info_by_coord(where)
            if chunk.byte_offset is None or chunk.filter_mask:
                return False
            buffer = self._spare.pop() if self._spare else np.empty(0, np.uint8)
            if len(buffer) < chunk.size:
                # chunks are of similar sizes; a mapping goes back to the system, where malloc keeps what is freed
                buffer = np.frombuffer(mmap.mmap(-1, chunk.size * 5 // 4), np.uint8)
            data.id.read_direct_chunk(where, out=buffer[: chunk.size])
        except _hdf5.ERRORS as error:
            _errors.fail_value(name_of(file.path, begin, end), "whole chunks", _hdf5.reason(error))
        if not decode(buffer[: chunk.size], into):
            got = f"bytes that {file.filters[0]} cannot unpack"
            _errors.fail_value(name_of(file.path, begin, end), "whole chunks", got)
        self._spare.append(buffer)
        return True


def windows_in_memory(
    reader: Reader, windows: Sequence[Sequence[Block]], memory: Tensor
) -> Generator[tuple[Sequence[Block], list[int]], None, None]:
    """Groups of blocks, each with the slots in which they lie until the next group is asked for.

    Args:
        reader: It is open.
        windows: The groups in order, none with more blocks than there are slots. Of a later group as many blocks are
            read ahead as there are free slots.
        memory: (K, R, H, W, C).
    """
    slots, order = memory.numpy(), [block for window in windows for block in window]
    free, reading = deque(range(len(slots))), deque[tuple[int, Future[None]]]()
    most = max(map(len, windows), default=1)
    threads = min(_THREADS, max(most, len(slots) - most), len(os.sched_getaffinity(0)))
    pool = ThreadPoolExecutor(threads, "latentcore-reader")
    given = 0
    try:
        for window in bounded(windows):
            while free and given < len(order):
                slot = free.popleft()
                reading.append((slot, pool.submit(reader.read, order[given], slots[slot])))
                given += 1
            taken = []
            for _ in window:
                slot, done = reading.popleft()
                done.result()
                taken.append(slot)
            if not reading:
                reader.rest()
            for block in order[given : given + len(window)]:
                pool.submit(reader.announce, block)
            yield window, taken
            free.extend(taken)
    finally:
        pool.shutdown(cancel_futures=True)


def slots_for(files: Sequence[EventFile], count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory for so many blocks of any of the files, (K, R, H, W, C)."""
    return torch.empty((count, max(map(rows_of_block, files)), *files[0].shape[1:]), dtype=dtype)


def picked(memory: Tensor, places: Tensor) -> Tensor:
    """The events at some places of all slots' rows, (n, C, H, W)."""
    # first whole events, then their cells: the second copy stays in the cache
    rows = memory.view(-1, *memory.shape[2:]).index_select(0, places)
    return rows.permute(0, 3, 1, 2).contiguous()


def in_order(
    files: Sequence[EventFile], rows: np.ndarray, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Some rows in their order, piece by piece: their numbers over all files, and the events (n, C, H, W)."""
    wanted = [(block, own) for block in blocks_of(files) if len(own := within(rows, block))]
    memory = slots_for(files, min(2, len(wanted)), dtype)
    blocks = [[block] for block, _ in wanted]
    with Reader(files) as reader, closing(windows_in_memory(reader, blocks, memory)) as reading:
        for (_, own), (window, slots) in zip(wanted, reading, strict=True):
            for piece in np.split(own, range(PIECE, len(own), PIECE)):
                places = piece - window[0].offset + slots[0] * memory.shape[1]
                images = picked(memory, torch.from_numpy(places))
                check_finite(images, piece, files)
                yield piece, images


def within(rows: np.ndarray, block: Block) -> np.ndarray:
    """Those of some sorted rows that lie in a block."""
    first, last = np.searchsorted(rows, (block.offset, block.offset + block.end - block.begin))
    return rows[first:last]


def _same(file: EventFile, opened: h5py.File) -> h5py.Dataset:
    """The images, which are those that were looked at."""
    images = images_of(file.path, opened)
    found = images.shape, images.dtype, images.chunks, _hdf5.named_filters(images)
    expected = file.shape, file.dtype, file.chunks, file.filters
    if found != expected:
        _errors.fail_value(f"{file.path}: X", f"the data set that was there at first, {expected}", found)
    return images


def _decoder_of(file: EventFile, data: h5py.Dataset, dtype: np.dtype[Any]) -> unpacking.Decoder | None:
    """What unpacks a chunk into an array of this dtype, where it has whole rows of such numbers."""
    as_wanted = file.dtype == dtype and data.id.get_type() == h5py.h5t.py_create(dtype)  # HDF5 has more types
    if not as_wanted or file.chunks is None or file.chunks[1:] != file.shape[1:]:
        return None
    if file.filters == ("lzf",):
        return unpacking.lzf()
    return unpacking.inflate if file.filters == ("gzip",) else None
