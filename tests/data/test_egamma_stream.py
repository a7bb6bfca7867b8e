"""Epochs: which rows come, and in which order."""

import numpy as np
import pytest
import torch
from tests.data.egamma_events import events, joined, write

from latentcore.data.egamma import EgammaFiles
from latentcore.data.egamma.blocks import Reader


def test_an_epoch_has_every_row_of_a_part_once(three):
    files, images, labels = three
    for part in files.split((0.8, 0.1, 0.1), seed=3).parts:
        for options in ({}, {"window": 1, "memory_mb": 0}, {"window": 10**6}, {"shuffle": False}):
            stream = files.stream(part, batch_size=37, **options)
            batches = list(stream.epoch(1))
            assert [len(b.labels) for b in batches[:-1]] == [37] * (len(stream) - 1)
            found, found_labels, rows = joined(batches)
            assert (rows.tolist() == part.tolist()) == (not stream.shuffle)
            assert rows.sort().values.tolist() == part.tolist()
            assert torch.equal(found, images[rows])
            assert found_labels.tolist() == labels[rows].tolist()


def test_the_order_is_a_function_of_seed_and_epoch(three):
    files = three[0]

    def order(seed, epoch, **options):
        return joined(files.stream(seed=seed, **options).epoch(epoch))[2].tolist()

    assert order(0, 0) == order(0, 0) == order(0, 0, memory_mb=1000) == order(0, 0, batch_size=7)
    assert len({tuple(order(*numbers)) for numbers in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4


@pytest.mark.parametrize("options", [{}, {"window": 200}, {"window": 1}, {"shuffle": False}])
def test_an_epoch_goes_on_where_it_was_left(three, monkeypatch, options):
    files = three[0]
    stream = files.stream(files.split().train, batch_size=32, seed=5, **options)
    whole = list(stream.epoch(2))
    seen = []
    read = Reader.read
    monkeypatch.setattr(Reader, "read", lambda *args: (seen.append(args[1]), read(*args))[1])
    for start in (0, 1, 7, len(whole) - 1, len(whole)):
        seen.clear()
        rest = list(stream.epoch(2, start=start))
        assert len(rest) == len(whole) - start
        for ours, theirs in zip(rest, whole[start:], strict=True):
            assert all(map(torch.equal, ours, theirs))
        assert len(seen) == len(set(seen))
        windows = stream._windows(2)
        last = [] if start == len(whole) else windows[-1]
        assert set(last) <= set(seen)
        if start >= len(whole) - 1:
            assert len(seen) <= 2 * max(map(len, windows))
    with pytest.raises(ValueError, match=r"start: expected an int in \[0, "):
        stream.epoch(0, start=len(whole) + 1)


def test_an_epoch_may_be_left(three):
    for batch in three[0].stream(batch_size=8).epoch(0):
        assert len(batch.labels) == 8
        break


def test_rows_are_mixed_within_a_window(three):
    rows = joined(three[0].stream(window=10**6).epoch(0))[2].double()
    places = torch.arange(len(rows)).double()
    assert abs(float(torch.corrcoef(torch.stack((rows, places)))[0, 1])) < 0.15


def test_windows_of_files_of_one_class_each_have_both(tmp_path, small_blocks):
    paths = [
        write(tmp_path / f"{label}.h5", events(count)[0], np.full(count, label))
        for label, count in ((0, 600), (1, 600))
    ]
    for batch in EgammaFiles(paths).stream(batch_size=40, window=40).epoch(0):
        assert 0.2 < float(batch.labels.double().mean()) < 0.8
