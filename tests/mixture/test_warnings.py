"""Warnings point to the user's line, not to one of this package or of a decorator."""

import inspect
import warnings

import numpy as np
import pytest
from tests.mixture.streams import memory_map

from latentcore.mixture import GaussianMixture, _stream, fit_many, sweep


def lines_of_warnings(call):
    """Where the warnings of a call point to, beside the line of the call here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return {(warning.filename, warning.lineno) for warning in caught}


def here(call):
    return {(__file__, inspect.getsourcelines(call)[1])}


def test_many_mixtures_that_do_not_converge(blobs):
    X = blobs[0].reshape(3, 200, 3)
    call = lambda: fit_many(X, 3, max_iter=1)  # noqa: E731
    assert lines_of_warnings(call) == here(call)


@pytest.mark.parametrize("use", ["fit", "fit_predict"])
@pytest.mark.parametrize("way", ["in memory", "in pieces"])
def test_a_mixture_that_does_not_converge(blobs, use, way):
    X = blobs[0] if way == "in memory" else np.array_split(blobs[0], 3)
    call = lambda: getattr(GaussianMixture(4, max_iter=1, random_state=0), use)(X)  # noqa: E731
    assert lines_of_warnings(call) == here(call)


@pytest.mark.parametrize("use", ["fit", "fit_predict", "predict", "score", "sweep"])
def test_memory_maps_that_are_read_in_pieces(blobs, tmp_path, monkeypatch, use):
    mixture, mapped = GaussianMixture(1).fit(blobs[0]), memory_map(blobs[0], tmp_path)
    monkeypatch.setattr(_stream, "available", lambda: blobs[0].nbytes)
    monkeypatch.setattr(_stream, "_COPIED", 2**10)
    calls = {
        name: lambda name=name: getattr(mixture, name)(mapped) for name in ("fit", "fit_predict", "predict", "score")
    }
    calls["sweep"] = lambda: sweep(mapped, [1], ["full"])
    assert lines_of_warnings(calls[use]) == here(calls[use])
