"""The native decoder of LZF: against what h5py packs, streams written by hand, and damaged ones."""

import sys
import threading

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from tests.data.egamma_events import LAYOUTS, events, joined, write

from latentcore import _native
from latentcore._hdf5 import unpacking
from latentcore.data.egamma import EgammaFiles

GUARD, MARK = 512, 77  # bytes on either side of the room, which must stay as they are
LONGEST, FARTHEST = 264, 8192


class Packer:
    """Writes a stream token by token, and beside it what the stream unpacks to."""

    def __init__(self, stream=b"", data=b""):
        self.stream, self.data = bytearray(stream), bytearray(data)

    def literals(self, values):
        for begin in range(0, len(values), 32):
            part = values[begin : begin + 32]
            self.stream += bytes([len(part) - 1]) + part
            self.data += part

    def copy(self, distance, length):
        high, low = divmod(distance - 1, 256)
        more = [length - 9] if length >= 9 else []
        self.stream += bytes([min(length - 2, 7) << 5 | high, *more, low])
        for _ in range(length):
            self.data.append(self.data[-distance])


@st.composite
def packers(draw):
    """Any literals and any repetitions, short distances and lengths among them."""
    distances = st.integers(1, 40) | st.integers(1, FARTHEST)
    lengths = st.integers(3, 40) | st.integers(3, LONGEST)
    literals = st.binary(min_size=1, max_size=100)
    packer = Packer()
    packer.literals(draw(literals))
    for token in draw(st.lists(literals | st.tuples(distances, lengths), max_size=80)):
        if isinstance(token, bytes):
            packer.literals(token)
        else:
            packer.copy(min(token[0], len(packer.data)), token[1])
    return packer


@st.composite
def contents(draw):
    """Zeros, of which h5py saves enough to keep what it packed; then periods of any length, of few values or many."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = [np.zeros(1000, np.uint8)]
    for _ in range(draw(st.integers(1, 8))):
        period, length = draw(st.integers(1, 300)), draw(st.integers(1, 3000))
        parts.append(np.resize(random.integers(0, draw(st.sampled_from([2, 256])), period, dtype=np.uint8), length))
    return np.concatenate(parts)


def packed_by_h5py(data):
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        stored = file.create_dataset("x", data=data, chunks=data.shape, compression="lzf")
        mask, stream = stored.id.read_direct_chunk((0,))
    assert mask == 0
    return stream


def unpacked(stream, size):
    """Whether the stream filled the room, and the room; nothing is written beside it."""
    # torch allocates no byte more than asked for, so that sanitizers see what is read beyond
    packed = torch.from_numpy(np.frombuffer(stream, np.uint8).copy()).clone()
    room = torch.full((size + 2 * GUARD,), MARK, dtype=torch.uint8)
    out = room[GUARD : GUARD + size]
    whole = torch.ops.latentcore.lzf_decompress(packed, out)
    assert (room[:GUARD] == MARK).all()
    assert (room[GUARD + size :] == MARK).all()
    return whole, out.numpy().tobytes()


def assert_unpacks(stream, data):
    whole, out = unpacked(stream, len(data))
    assert whole
    assert out == bytes(data)


@given(data=contents())
def test_what_h5py_packs_is_unpacked(data):
    assert_unpacks(packed_by_h5py(data), data.tobytes())


@given(packer=packers())
def test_any_stream_is_unpacked(packer):
    assert_unpacks(packer.stream, packer.data)


@pytest.mark.parametrize("distance", [*range(1, 36), 63, 64, 65, 256, 257, FARTHEST - 1, FARTHEST])
def test_every_length_at_the_end_and_in_the_middle(distance):
    random = np.random.default_rng(distance)
    start = Packer()
    start.literals(random.bytes(distance))
    middle = Packer(start.stream, start.data)
    for length in range(3, LONGEST + 1):
        end = Packer(start.stream, start.data)
        end.copy(distance, length)
        assert_unpacks(end.stream, end.data)
        middle.copy(distance, length)
        middle.literals(random.bytes(1 + length % 40))
    assert_unpacks(middle.stream, middle.data)


@given(
    packer=packers(),
    damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, 400),
    longer=st.integers(-400, 400),
)
def test_damaged_streams_write_nowhere_else_and_are_refused_where_h5py_refuses_them(packer, damage, cut, longer):
    stream = packer.stream[: max(1, len(packer.stream) - cut)]
    for place, value in damage:
        stream[place % len(stream)] = value
    for size in (len(packer.data), max(1, len(packer.data) + longer)):
        whole, out = unpacked(stream, size)
        expected = np.empty(size, np.uint8)
        assert whole == unpacking.lzf_of_h5py()(np.frombuffer(stream, np.uint8), expected)
        assert not whole or out == expected.tobytes()


@given(stream=st.binary(max_size=600), size=st.integers(0, 2000))
def test_bytes_at_random_write_nowhere_else(stream, size):
    unpacked(stream, size)


@given(packer=packers(), difference=st.integers(-400, 400))
def test_another_size_is_refused(packer, difference):
    size = max(0, len(packer.data) + difference)
    assert unpacked(packer.stream, size)[0] == (size == len(packer.data))


def test_no_repetition_leaves_a_room_that_is_too_small_for_the_rest():
    # of the stream there is enough left for wide copies
    for distance in (*range(1, 40), 64, 300):
        packer = Packer()
        packer.literals(bytes(range(100)) * 3)
        packer.copy(distance, LONGEST)
        start = len(packer.data)
        packer.literals(bytes(100))
        for more in range(100):
            assert not unpacked(packer.stream, start + more)[0]


@pytest.mark.parametrize(
    "stream",
    [
        *([0x20], [0xE0], [0xE0, 255], [5, 1, 2], [0, 9, 0x20], [0, 9, 0xE0, 0]),  # they end in a token
        *(
            [0x20, 0],
            [0xE0, 255, 0],
            [0, 9, 0x20, 1],
            [0, 9, 0xE0, 0, 1],
            [0, 9, 0x3F, 255],
        ),  # what is repeated is not there
    ],
    ids=str,
)
def test_broken_streams_are_refused_by_any_room(stream):
    for size in range(2 * LONGEST):
        assert not unpacked(bytes(stream), size)[0]


def test_nothing_makes_nothing():
    assert unpacked(b"", 0)[0]
    assert not unpacked(b"", 1)[0]


def test_wrong_tensors_are_errors():
    good = torch.zeros(4, dtype=torch.uint8)
    for packed, out, message in (
        (good.float(), good, "packed: expected dtype Byte, got Float"),
        (good, good.int(), "out: expected dtype Byte, got Int"),
        (good.view(2, 2), good, "packed: expected 1 dimensions, got 2"),
        (good, good[0], "out: expected 1 dimensions, got 0"),
        (good[::2], good, "packed, out: expected contiguous tensors"),
        (good, good[::2], "packed, out: expected contiguous tensors"),
    ):
        with pytest.raises(RuntimeError, match=message):
            torch.ops.latentcore.lzf_decompress(packed, out)


def test_opcheck_of_what_is_written():
    packed = torch.tensor([1, 5, 6, 0x20, 1], dtype=torch.uint8)
    arguments = (packed, torch.zeros(5, dtype=torch.uint8))
    torch.library.opcheck(torch.ops.latentcore.lzf_decompress.default, arguments, test_utils="test_schema")


@pytest.mark.alone
def test_other_threads_run_meanwhile():
    """However long: the stream grows until the other thread has been running before the call was over."""
    start, copy = torch.tensor([2, 1, 2, 3], dtype=torch.uint8), torch.tensor([0x20, 2], dtype=torch.uint8)

    def ran(tokens):
        stream, out = torch.cat((start, copy.repeat(tokens))), torch.empty(3 + 3 * tokens, dtype=torch.uint8)
        return ran_during(lambda: torch.ops.latentcore.lzf_decompress(stream, out))

    assert any(ran(tokens) for tokens in (10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8))


def ran_during(call):
    """Whether another thread takes turns of its own between the beginning and the end of a call of native code."""
    turns, done = 0, threading.Event()

    def count():
        nonlocal turns
        while not done.wait(1e-4):
            turns += 1

    thread = threading.Thread(target=count)
    # who holds the lock is not asked to give it up: what the thread counts, it counts while the call has let go
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread.start()
        before = turns
        assert call()
        found = turns - before
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    return found > 5  # at either end a call may let go of the lock for a moment


def test_the_reader_gives_the_same_events_with_every_decoder(tmp_path, small_blocks, monkeypatch):
    files = EgammaFiles(write(tmp_path / "a.h5", *events(430), **LAYOUTS["lzf"]))
    native, calls = unpacking.native_lzf, []
    monkeypatch.setattr(unpacking, "native_lzf", lambda *chunk: (calls.append(chunk), native(*chunk))[1])

    def everything():
        calls.clear()
        return [*files.load(), *joined(files.stream(batch_size=48).epoch(0))], len(calls)

    expected, count = everything()
    assert count == 2 * 5
    monkeypatch.setattr(_native, "cpu_library", _native.Library("latentcore_cpu", None, "left out"))
    assert unpacking.lzf() is not None
    for other in (unpacking.lzf, lambda: None):
        monkeypatch.setattr(unpacking, "lzf", other)
        found, count = everything()
        assert not count
        assert all(map(torch.equal, found, expected))
