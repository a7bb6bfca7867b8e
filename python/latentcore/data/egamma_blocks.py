"""Blocks of events on their way from HDF5 files into memory that is used again and again."""

import ctypes
import mmap
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _native
from latentcore.data.egamma_files import IMAGES, EventFile, check_finite, damaged, opened

# shapes: K slots of R rows of H×W cells in C channels, n events of a piece

_BLOCK = 2**23  # bytes of a block where chunks are smaller: long enough to read, short enough to mix
_INPUT = 2**14  # bytes that zlib is given at once, since it may make a thousand times as many of them
_THREADS = 4
PIECE = 64  # events that are handled at once: they stay in the cache

Decoder = Callable[[np.ndarray, np.ndarray], bool]


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
            self._data = [stack.enter_context(opened(file.path))[IMAGES] for file in self._files]
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
            try:
                data.read_direct(into[place : place + end - begin], np.s_[begin:end])
            except (OSError, RuntimeError) as error:
                damaged(file.path, begin, end, error)

    def rest(self) -> None:
        """Give back what only reading needs."""
        self._spare.clear()

    def announce(self, block: Block) -> None:
        """Have the system fetch the block from the disk, if it will; this takes no memory of the process."""
        file, data = self._files[block.file], self._data[block.file]
        with suppress(OSError, RuntimeError, ValueError, AttributeError):
            if file.chunks is not None:
                for begin in range(block.begin, block.end, file.chunks[0]):
                    chunk = data.id.get_chunk_info_by_coord((begin, 0, 0, 0))
                    if chunk.byte_offset is not None:
                        handle = data.file.id.get_vfd_handle()
                        os.posix_fadvise(handle, chunk.byte_offset, chunk.size, os.POSIX_FADV_WILLNEED)

    def _unpack(self, number: int, begin: int, into: np.ndarray, decode: Decoder) -> bool:
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
        except (OSError, RuntimeError, ValueError) as error:
            damaged(file.path, begin, end, error)
        if not decode(buffer[: chunk.size], into):
            damaged(file.path, begin, end, f"bytes that {file.filters[0]} cannot unpack")
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
        for window in windows:
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


def _decoder_of(file: EventFile, data: h5py.Dataset, dtype: np.dtype[Any]) -> Decoder | None:
    """What unpacks a chunk into an array of this dtype, where it has whole rows of such numbers."""
    as_wanted = file.dtype == dtype and data.id.get_type() == h5py.h5t.py_create(dtype)  # HDF5 has more types
    if not as_wanted or file.chunks is None or file.chunks[1:] != file.shape[1:]:
        return None
    if file.filters == ("lzf",):
        return _lzf()
    return _inflate if file.filters == ("gzip",) else None


def _inflate(packed: np.ndarray, into: np.ndarray) -> bool:
    """Unpack what zlib packed; whether it was as much as there is room for."""
    room, filled = memoryview(into.data).cast("B"), 0
    inflater = zlib.decompressobj()
    source = packed.data
    try:
        for begin in range(0, len(source), _INPUT):
            part = inflater.decompress(source[begin : begin + _INPUT])
            if filled + len(part) > len(room):
                return False
            room[filled : filled + len(part)] = part
            filled += len(part)
    except zlib.error:
        return False
    return inflater.eof and filled == len(room)


def _lzf() -> Decoder | None:
    """The native decoder, or h5py's where it is missing; either lets other threads run meanwhile."""
    return _native_lzf if _native.cpu_library.loaded else _lzf_of_h5py()


def _native_lzf(packed: np.ndarray, into: np.ndarray) -> bool:
    """Unpack what lzf packed; whether it was as much as there is room for."""
    room = torch.from_numpy(into.reshape(-1).view(np.uint8))
    whole: bool = torch.ops.latentcore.lzf_decompress(torch.from_numpy(packed), room)
    return whole


@cache
def _lzf_of_h5py() -> Decoder | None:
    """The decoder of h5py's own filter, if h5py was built so that it can be called."""
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(h5py.h5z.__file__).lzf_decompress
        function.restype = ctypes.c_uint
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_uint]
        return lambda a, b: function(a.ctypes.data, a.nbytes, b.ctypes.data, b.nbytes) == b.nbytes
    return None
