"""Chunks: which filters pack them, and whether they unpack to the size that HDF5 takes for granted."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import product
from math import prod

import h5py
import numpy as np

from latentcore import _errors
from latentcore._hdf5.names import naming
from latentcore._hdf5.unpacking import lzf
from latentcore._memory import available, megabytes

_LZ4, _BITSHUFFLE, _BLOSC, _ZSTD = 32004, 32008, 32001, 32015
_CHECKSUM = 4  # bytes that fletcher32 adds
_STEP = 2**20  # bytes that zlib makes at once
_UNWRITTEN = 2**17  # chunks that any data set may lack; each takes HDF5 some kilobytes and tens of microseconds
_SPARSEST = 200  # beyond that, as how many of all one that is written may stand for

_NAMES = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_LZF: "lzf",
    h5py.h5z.FILTER_SZIP: "szip",
    _LZ4: "lz4",
    _BITSHUFFLE: "bitshuffle",
    _BLOSC: "blosc",
    _ZSTD: "zstd",
}
# others that people meet; HDF5 has no way to say beforehand what their chunks unpack to
_OTHERS = {
    h5py.h5z.FILTER_NBIT: "nbit",
    h5py.h5z.FILTER_SCALEOFFSET: "scaleoffset",
    307: "bzip2",
    32013: "zfp",
    32017: "sz",
    32024: "sz3",
    32026: "blosc2",
}


def filters_of(data: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """The filters that pack a chunk in the order of writing: HDF5's numbers, and their settings."""
    plist = data.id.get_create_plist()
    found = (plist.get_filter(i) for i in range(plist.get_nfilters()))
    return [(code, tuple(settings)) for code, _, settings, _ in found]


def named_filters(data: h5py.Dataset) -> tuple[str, ...]:
    """The filters' names, or HDF5's numbers where they have none."""
    return tuple(_NAMES.get(code, str(code)) for code, _ in filters_of(data))


def size_of_chunk(data: h5py.Dataset) -> int:
    """The bytes of an unpacked chunk as they are in the file."""
    size: int = prod(data.chunks) * data.id.get_type().get_size()
    return size


def check_chunks(data: h5py.Dataset, name: str) -> None:
    """The filters are known and there, and every chunk has its place in the file, and its size if nothing packs it."""
    filters = filters_of(data)
    for code, _ in filters:
        _check_filter(code, name)
    if sum(code not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32) for code, _ in filters) > 1:
        _errors.fail_value(name, "one filter that packs", ", ".join(named_filters(data)))
    size, free = size_of_chunk(data), available()
    if size > free:
        _errors.fail_value(name, f"chunks that fit the memory, {megabytes(free)}", megabytes(size))
    end, every = data.file.id.get_filesize(), (1 << len(filters)) - 1
    wrong: list[str] = []
    written = 0

    def look(chunk: h5py.h5d.StoreInfo) -> object:
        nonlocal written
        written += 1
        if chunk.byte_offset is not None and chunk.byte_offset + chunk.size > end:
            wrong.append(f"one at {chunk.chunk_offset} that ends after the file")
        elif chunk.filter_mask & every == every and chunk.size != size:
            wrong.append(f"one at {chunk.chunk_offset} of {chunk.size} bytes that no filter packs")
        return wrong or None  # anything but None ends the visit

    with naming(name, "whole chunks"):
        data.id.chunk_iter(look)
    if wrong:
        _errors.fail_value(name, f"whole chunks of {size} bytes", wrong[0])
    if (count := chunks_of(data.shape, data.chunks)) > max(_UNWRITTEN, _SPARSEST * written):
        _errors.fail_value(name, f"at most {_SPARSEST} chunks for each that is written", f"{count:,} for {written:,}")


def chunks_of(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    """How many chunks hold so many numbers."""
    return prod(-(-n // step) for n, step in zip(shape, chunks, strict=True))


def check_packed(data: h5py.Dataset, begin: int, end: int, name: str) -> None:
    """The chunks of some rows unpack to their size: HDF5 would read what lies behind a shorter one in memory."""
    filters = filters_of(data) if data.chunks is not None else []
    if not filters:
        return
    size = size_of_chunk(data)
    for corner in _corners(data, begin, end):
        with naming(name, "whole chunks"):
            chunk = data.id.get_chunk_info_by_coord(corner)
            if chunk.byte_offset is None:  # never written
                continue
            mask, packed = data.id.read_direct_chunk(corner)
        found = _unpacked_size(packed, mask, filters, size)
        if found != size:
            got = "bytes that cannot be unpacked" if found is None else f"{found} bytes"
            _errors.fail_value(name, "whole chunks", f"a chunk at {corner} of {got} instead of {size}")


def _corners(data: h5py.Dataset, begin: int, end: int) -> Iterator[tuple[int, ...]]:
    """Where the chunks of some rows begin."""
    first = range(begin // data.chunks[0] * data.chunks[0], end, data.chunks[0])
    return product(first, *(range(0, n, step) for n, step in zip(data.shape[1:], data.chunks[1:], strict=True)))


def _check_filter(code: int, name: str) -> None:
    words = _NAMES.get(code) or _OTHERS.get(code, "unknown")
    if code not in _NAMES:
        _errors.fail_value(name, "filters among " + ", ".join(_NAMES.values()), f"filter {code} ({words})")
    if h5py.h5z.filter_avail(code):
        return
    with suppress(ImportError, OSError):
        import_module("hdf5plugin")  # it makes its filters known to HDF5
    if not h5py.h5z.filter_avail(code):
        _errors.fail_value(name, "a filter that is installed (hdf5plugin has many)", f"filter {code} ({words})")


def _unpacked_size(packed: bytes, mask: int, filters: list[tuple[int, tuple[int, ...]]], size: int) -> int | None:
    """What the filters make of a chunk, in bytes; None if they cannot."""
    found, unpacked = len(packed), False
    for i, (code, settings) in reversed(list(enumerate(filters))):
        if mask >> i & 1 or code == h5py.h5z.FILTER_SHUFFLE:
            continue
        if code == h5py.h5z.FILTER_FLETCHER32:
            found -= _CHECKSUM
        elif not unpacked:
            # a checksum that was added before packing is unpacked too
            inner = size + _CHECKSUM * sum(
                before == h5py.h5z.FILTER_FLETCHER32 and not mask >> j & 1 for j, (before, _) in enumerate(filters[:i])
            )
            made = _SIZES[code](packed[: max(found, 0)], inner, settings)
            if made is None:
                return None
            found, unpacked = made, True
    return found


def _of_gzip(packed: bytes, size: int, _: tuple[int, ...]) -> int | None:
    inflater, found, rest = zlib.decompressobj(), 0, packed
    try:
        while not inflater.eof and found <= size:
            made = len(inflater.decompress(rest, _STEP))
            rest = inflater.unconsumed_tail
            if not made and not rest and not inflater.eof:
                return None
            found += made
    except zlib.error:
        return None
    return found


def _of_lzf(packed: bytes, size: int, _: tuple[int, ...]) -> int | None:
    decode = lzf()
    whole = decode is not None and decode(np.frombuffer(bytearray(packed), np.uint8), np.empty(size, np.uint8))
    return size if whole else None


def _of_zstd(packed: bytes, *_: object) -> int | None:
    """From the head of a frame: the size has 1, 2, 4 or 8 bytes, after 0 to 5 others."""
    if len(packed) < 5 or packed[:4] != b"\x28\xb5\x2f\xfd":
        return None
    descriptor = packed[4]
    single, kind = descriptor >> 5 & 1, descriptor >> 6
    begin = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (single, 2, 4, 8)[kind]
    if not length or len(packed) < begin + length:
        return None
    return int.from_bytes(packed[begin : begin + length], "little") + (256 if kind == 1 else 0)


def _of_blosc(packed: bytes, *_: object) -> int | None:
    return int.from_bytes(packed[4:8], "little") if len(packed) >= 16 else None


def _of_szip(packed: bytes, *_: object) -> int | None:
    return int.from_bytes(packed[:4], "little") if len(packed) >= 4 else None


def _of_lz4(packed: bytes, *_: object) -> int | None:
    return int.from_bytes(packed[:8], "big") if len(packed) >= 12 else None


def _of_bitshuffle(packed: bytes, _: int, settings: tuple[int, ...]) -> int | None:
    """The fifth of its settings says what packs: 0 for nothing."""
    return _of_lz4(packed) if len(settings) > 4 and settings[4] else len(packed)


_SIZES: dict[int, Callable[[bytes, int, tuple[int, ...]], int | None]] = {
    h5py.h5z.FILTER_DEFLATE: _of_gzip,
    h5py.h5z.FILTER_LZF: _of_lzf,
    h5py.h5z.FILTER_SZIP: _of_szip,
    _ZSTD: _of_zstd,
    _BLOSC: _of_blosc,
    _LZ4: _of_lz4,
    _BITSHUFFLE: _of_bitshuffle,
}
