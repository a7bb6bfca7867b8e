"""Figures of scores, against scikit-learn, brute force and distributions whose figures are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from latentcore import metrics


def gaussian(events, seed, distance=1.0):
    """Scores of variance 1 whose means are `distance` apart: the area is Phi(distance / sqrt(2))."""
    labels = np.arange(events) % 2
    return labels, np.random.default_rng(seed).normal(size=events) + distance * labels


def by_pairs(labels, scores):
    """The area by its definition."""
    labels, scores = np.asarray(labels), np.asarray(scores, float)
    above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def rejection_by_steps(labels, scores, efficiency):
    """Walk down the thresholds, a random share of equal scores passing."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    before = (0.0, 0.0)
    for threshold in sorted(set(scores.tolist()), reverse=True):
        passing = scores >= threshold
        now = passing[labels == 1].mean(), passing[labels == 0].mean()
        if now[0] >= efficiency:
            share = (efficiency - before[0]) / (now[0] - before[0])
            passed = before[1] + share * (now[1] - before[1])
            return 1 / passed if passed else math.inf
        before = now
    raise AssertionError


# few different scores: many ties
two_classes = st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), min_size=2, max_size=40).filter(
    lambda events: len({label for label, _ in events}) == 2
)


@given(two_classes)
def test_area_is_the_share_of_pairs(events):
    labels, scores = zip(*events, strict=True)
    assert metrics.roc_auc(labels, scores) == pytest.approx(by_pairs(labels, scores), abs=1e-12)
    assert metrics.roc_auc(labels, [-s for s in scores]) == pytest.approx(1 - by_pairs(labels, scores), abs=1e-12)


@given(two_classes)
def test_only_the_order_counts(events):
    labels, scores = (np.array(column) for column in zip(*events, strict=True))
    for monotone in (1e-300 * scores, 3.0 * scores - 7, np.exp(scores), np.where(scores == 4, np.inf, scores**3)):
        assert metrics.roc_auc(labels, monotone) == metrics.roc_auc(labels, scores)
        assert metrics.background_rejection(labels, monotone, 0.6) == metrics.background_rejection(labels, scores, 0.6)
        interval = metrics.roc_auc_interval(labels, monotone, resamples=20)
        assert interval == metrics.roc_auc_interval(labels, scores, resamples=20)


@given(two_classes, st.integers(1, 20))
def test_rejection_walks_down_the_thresholds(events, twentieths):
    labels, scores = zip(*events, strict=True)
    expected = rejection_by_steps(labels, scores, twentieths / 20)
    assert metrics.background_rejection(labels, scores, twentieths / 20) == pytest.approx(expected, rel=1e-9)


def test_rejection_at_thresholds_with_the_same_efficiency():
    labels, scores = [1, 0, 0, 1, 0, 0], [6, 5, 4, 3, 2, 1]
    assert metrics.background_rejection(labels, scores, 0.5) == math.inf  # not 2, which the threshold 4 would give
    assert metrics.background_rejection(labels, scores, 1) == 2
    assert metrics.background_rejection([0, 1, 0, 1], [7, 7, 7, 7], 0.25) == 4


def test_curve_has_the_area():
    labels, scores = gaussian(500, 0)
    rates = metrics.roc_curve(labels, scores.round(1))
    assert np.trapezoid(rates[1], rates[0]) == pytest.approx(roc_auc_score(labels, scores.round(1)), abs=1e-12)
    assert rates[0][0] == rates[1][0] == 0
    assert rates[0][-1] == rates[1][-1] == 1


def test_all_kinds_of_arrays():
    labels, scores = gaussian(100, 1)
    half = torch.tensor(scores, dtype=torch.bfloat16, requires_grad=True)
    assert metrics.roc_auc(torch.tensor(labels), half) == metrics.roc_auc(labels, half.detach().double().numpy())
    assert metrics.roc_auc((labels == 1).tolist(), scores.tolist()) == metrics.roc_auc(labels.astype(np.uint8), scores)


@given(two_classes, st.integers(0, 5))
def test_each_resample_is_an_area_of_drawn_events(events, seed):
    """The percentiles of two resamples are these, drawn in the same order, counted pair by pair."""
    labels, scores = (np.array(column) for column in zip(*events, strict=True))
    signal, background = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    generator, areas = np.random.default_rng(seed), []
    for _ in range(2):
        zeros = background[generator.integers(len(background), size=len(background))]
        ones = signal[generator.integers(len(signal), size=len(signal))]
        areas.append(by_pairs([0] * len(zeros) + [1] * len(ones), [*zeros, *ones]))
    interval = metrics.roc_auc_interval(labels, scores, level=1 - 1e-12, resamples=2, seed=seed)
    assert interval == pytest.approx(sorted(areas), abs=1e-9)


@pytest.mark.long
def test_interval_covers_the_truth_as_often_as_it_says():
    truth = stats.norm.cdf(1 / math.sqrt(2))
    for level, least, most in ((0.95, 0.91, 0.99), (0.6827, 0.60, 0.76)):
        intervals = [
            metrics.roc_auc_interval(*gaussian(200, seed), level=level, resamples=200, seed=seed) for seed in range(200)
        ]
        assert least < np.mean([low < truth < high for low, high in intervals]) < most


def test_interval_has_the_width_of_theory():
    labels, scores = gaussian(4000, 3)
    low, high = metrics.roc_auc_interval(labels, scores)
    area = metrics.roc_auc(labels, scores)
    # DeLong's variance: that of each event's share of pairs
    signal, background = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    of_signal = np.searchsorted(background, signal) / len(background)
    of_background = np.searchsorted(signal, background) / len(signal)
    sigma = math.sqrt(of_signal.var() / len(signal) + of_background.var() / len(background))
    assert (area - low) / sigma == pytest.approx(1.96, rel=0.1)
    assert (high - area) / sigma == pytest.approx(1.96, rel=0.1)
    assert metrics.roc_auc_interval(labels, scores) == (low, high)
    assert metrics.roc_auc_interval(labels, scores, seed=1) != (low, high)


def test_interval_of_many_events():
    """Pairs of them, 10^10, would be more than the memory or the test's time can hold."""
    labels, scores = gaussian(200_000, 0)
    low, high = metrics.roc_auc_interval(labels, scores, resamples=50)
    assert low < metrics.roc_auc(labels, scores) < high < low + 0.01


def test_perfect_scores_have_no_width():
    assert metrics.roc_auc_interval([0, 0, 1, 1], [1, 2, 3, 4]) == (1, 1)


def test_groups_are_those_of_a_histogram():
    labels, scores = gaussian(300, 5)
    values = np.random.default_rng(6).integers(0, 7, 300).astype(float)
    values[0] = math.nan
    edges = [1, 3, 4, 6]
    groups = metrics.auc_by(labels, scores, values, edges, resamples=50, level=0.9, seed=4)
    assert groups.events.tolist() == np.histogram(values[1:], edges)[0].tolist()
    inside = (values >= 4) & (values <= 6)
    assert groups.auc[2] == roc_auc_score(labels[inside], scores[inside])
    interval = metrics.roc_auc_interval(labels[inside], scores[inside], resamples=50, level=0.9, seed=4)
    assert (groups.low[2], groups.high[2]) == interval


def test_groups_without_a_class_have_no_area():
    groups = metrics.auc_by([1, 1, 0, 1], [1, 2, 3, 4], [0, 0, 2, 2], [0, 1, 2, 3])
    assert groups.events.tolist() == [2, 0, 2]
    for figures in (groups.auc, groups.low, groups.high):
        assert np.isnan(figures).tolist() == [True, True, False]


def test_reliability_is_scikit_learns():
    labels, scores = gaussian(500, 2)
    chances = 1 / (1 + np.exp(-scores))
    chances[:5] = 0, 0.2, 0.4, 0.6, 1  # edges
    found = metrics.reliability(labels, chances, 10)
    share, probability = calibration_curve(labels, chances, n_bins=10)
    np.testing.assert_allclose(found.share[found.events > 0], share, rtol=1e-12)
    np.testing.assert_allclose(found.probability[found.events > 0], probability, rtol=1e-12)
    assert found.events.sum() == 500


def test_calibrated_probabilities():
    generator = np.random.default_rng(0)
    chances = generator.random(100_000)
    labels = (generator.random(100_000) < chances).astype(int)
    found = metrics.reliability(labels, chances)
    pulls = (found.share - found.probability) / np.sqrt(found.probability * (1 - found.probability) / found.events)
    assert stats.chi2.sf((pulls**2).sum(), len(pulls)) > 1e-3
    by_chance = math.sqrt(15 / 100_000) / 3
    assert 0.4 * by_chance < metrics.calibration_error(labels, chances) < 2 * by_chance
    # probabilities that are too sure
    sure = metrics.calibration_error(labels, chances**3 / (chances**3 + (1 - chances) ** 3))
    assert sure > 20 * by_chance


def test_empty_bins_do_not_count():
    found = metrics.reliability([1, 1, 0], [0.9, 0.9, 0.9], 4)
    assert found.events.tolist() == [0, 0, 0, 3]
    assert np.isnan(found.share).tolist() == [True, True, True, False]
    assert metrics.calibration_error([1, 1, 0], [0.9, 0.9, 0.9]) == pytest.approx(0.9 - 2 / 3)
    assert metrics.calibration_error([1, 1], torch.tensor([1.0, 0.5])) == 0.25  # a class alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.roc_auc([0, 1], [1, 2, 3]), r"scores: expected shape \(2,\), got \(3,\)"),
        (lambda: metrics.roc_auc([1, 1], [1, 2]), r"labels: expected 0 and 1, both present, got \[1.0\]"),
        (lambda: metrics.roc_curve([0, 2], [1, 2]), r"labels: expected 0 and 1, both present, got \[0.0, 2.0\]"),
        (lambda: metrics.roc_auc([0, 1, math.nan], [1, 2, 3]), "labels: expected 0 and 1"),
        (lambda: metrics.roc_auc([], []), r"labels: expected shape \(N,\), N >= 1, got \(0,\)"),
        (lambda: metrics.roc_auc([[0, 1]], [[0, 1]]), r"labels: expected shape \(N,\)"),
        (lambda: metrics.roc_auc_interval([0, 1], [1, math.nan]), "scores: expected no NaN, got 1 of 2"),
        (lambda: metrics.roc_auc_interval([0, 1], [1, 2], level=1), r"level: expected a number in \(0, 1\), got 1"),
        (lambda: metrics.roc_auc_interval([0, 1], [1, 2], resamples=0), r"resamples: expected an int in \[1, "),
        (lambda: metrics.roc_auc_interval([0, 1], [1, 2], seed=-1), r"seed: expected an int in \[0, "),
        (lambda: metrics.background_rejection([0, 1], [1, 2], 0), r"efficiency: expected a number in \(0, 1\], got 0"),
        (lambda: metrics.background_rejection([0, 1], [1, 2], math.nan), "efficiency: expected a number"),
        (lambda: metrics.auc_by([0, 1], [1, 2], [1], [0, 1]), r"values: expected shape \(2,\), got \(1,\)"),
        (lambda: metrics.auc_by([0, 1], [1, 2], [1, 2], [0, 1, 1]), "edges: expected at least two numbers, each above"),
        (lambda: metrics.auc_by([0, 1], [1, 2], [1, 2], [0]), "edges: expected at least two numbers"),
        (lambda: metrics.reliability([0, 1], [0.5, 1.5]), r"probabilities: expected numbers in \[0, 1\], got \(0.5"),
        (lambda: metrics.reliability([0, 1], [0.5, math.nan]), "probabilities: expected no NaN"),
        (lambda: metrics.reliability([0, 1], [0.5, 1], 0), r"bins: expected an int in \[1, "),
        (lambda: metrics.calibration_error([0, 3], [0.5, 1]), r"labels: expected 0 or 1, got \[0.0, 3.0\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_types():
    with pytest.raises(TypeError, match="efficiency: expected a number, got str"):
        metrics.background_rejection([0, 1], [1, 2], "0.5")
    with pytest.raises(TypeError, match="resamples: expected an int, got float"):
        metrics.roc_auc_interval([0, 1], [1, 2], resamples=10.0)
