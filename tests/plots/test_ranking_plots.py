"""Pictures of classifiers of two classes: they show the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from scipy.stats import binomtest

from latentcore import metrics, plots
from latentcore.plots.style import PALETTE

RATES = ([0, 0.2, 1], [0, 0.7, 1])


def bars(container):
    """Lower and upper ends of the bars that are seen."""
    (lines,) = container.lines[2]
    return [segment[:, 1].tolist() for segment in lines.get_segments() if len(segment)]


def test_roc_curves_stand_over_the_diagonal():
    figure = plots.roc_curves(
        {"network": RATES, "oracle": ([0, 0.1, 1], [0, 0.8, 1])},
        xlabel="photon efficiency",
        ylabel="electron efficiency",
        title="test events",
        legend_title="AUC",
    )
    panel = figure.axes[0]
    diagonal, network, oracle = panel.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert network.get_xydata().tolist() == [[0, 0], [0.2, 0.7], [1, 1]]
    assert (network.get_color(), oracle.get_color()) == PALETTE[:2]
    assert network.get_linestyle() != oracle.get_linestyle()  # told apart in print without colours too
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["network", "oracle"]
    assert panel.get_legend().get_title().get_text() == "AUC"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("photon efficiency", "electron efficiency")
    assert panel.get_title() == "test events"
    assert panel.get_xlim() == panel.get_ylim() == (0, 1)


def test_histograms_of_classes_sum_to_one():
    values = {"electrons": np.random.default_rng(0).random(70), "photons": [0, 1, 0.5]}
    figure = plots.score_histograms(values, bins=20, xlabel="probability")
    panel = figure.axes[0]
    outlines = panel.patches[1::2]
    for outline, given in zip(outlines, values.values(), strict=True):
        shares, edges, _ = outline.get_data()
        assert shares.sum() == pytest.approx(1)
        assert shares.tolist() == (np.histogram(given, edges)[0] / len(given)).tolist()
    assert [to_hex(outline.get_edgecolor()).upper() for outline in outlines] == list(PALETTE[:2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["electrons", "photons"]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("probability", "share of events / 0.05")


def test_reliability_has_points_with_wilsons_intervals_and_counts_below():
    figure = plots.reliability_diagram([0.2, np.nan, 0.9], [0.25, np.nan, 1], [40, 0, 10], title="network")
    panel, below = figure.axes
    diagonal, points = panel.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert points.get_xydata().tolist() == [[0.2, 0.25], [0.9, 1]]
    expected = [binomtest(k, n).proportion_ci(0.682689492137, "wilson") for k, n in ((10, 40), (10, 10))]
    np.testing.assert_allclose(bars(panel.containers[0]), [[one.low, one.high] for one in expected], rtol=1e-9)
    counts, edges, _ = below.patches[0].get_data()
    assert counts.tolist() == [40, 0, 10]
    np.testing.assert_allclose(edges, [0, 1 / 3, 2 / 3, 1])
    assert (panel.get_ylabel(), below.get_ylabel()) == ("share of signal", "events")
    assert below.get_xlabel() == "mean probability of signal"
    assert panel.get_title() == "network"
    assert panel.get_xlim() == below.get_xlim()


def test_areas_stand_in_their_groups():
    nan = np.nan
    curves = {
        "network": ([0.7, 0.8, nan], [0.6, 0.75, nan], [0.8, 0.79, nan]),  # an interval beside its point
        "oracle": ([0.75, 0.9, nan], [0.7, 0.85, nan], [0.8, 0.95, nan]),
    }
    figure = plots.auc_by_quantile([0, 10, 30, 40], curves, xlabel="cells")
    panel = figure.axes[0]
    network, oracle = (container.lines[0].get_xydata() for container in panel.containers)
    assert network[:2, 1].tolist() == [0.7, 0.8]
    assert 0 < network[0, 0] < 5 < oracle[0, 0] < 10 < network[1, 0] < 20 < oracle[1, 0] < 30
    assert network[0, 0] + oracle[0, 0] == pytest.approx(10)
    np.testing.assert_allclose(bars(panel.containers[0]), [[0.6, 0.8], [0.75, 0.8]])
    spans = panel.collections[0].get_segments()
    assert [span[:, 0].tolist() for span in spans[:2]] == [[0, 10], [10, 30]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["network", "oracle"]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("cells", "area under the ROC curve")


def test_one_curve_stands_in_the_middle():
    panel = plots.auc_by_quantile([2, 4], {"network": ([0.7], [0.6], [0.8])}).axes[0]
    assert panel.containers[0].lines[0].get_xdata().tolist() == [3]


def test_many_curves():
    assert len(plots.roc_curves({str(i): RATES for i in range(12)}).axes[0].lines) == 13


def test_many_events_are_drawn(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(100_000) % 2
    scores = generator.normal(size=100_000) + labels
    rates, chances = metrics.roc_curve(labels, scores), 1 / (1 + np.exp(-scores))
    for figure in (
        plots.roc_curves({"network": rates, "oracle": rates}),
        plots.score_histograms({"signal": chances[labels == 1], "background": chances[labels == 0]}),
        plots.reliability_diagram(*metrics.reliability(labels, chances)),
    ):
        plots.save_figure(figure, tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5
        # an artist for each event would take minutes
        assert sum(len(panel.get_children()) for panel in figure.axes) < 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.roc_curves({}), "curves: expected at least one curve, got none"),
        (lambda: plots.roc_curves({"a": ([0, 1], [0, 0.5, 1])}), r"curves\['a'\]: expected shape \(2,\), got \(3,\)"),
        (lambda: plots.roc_curves({"a": ([0, 2], [0, 1])}), r"curves\['a'\]: expected numbers in \[0, 1\], got \(0.0"),
        (lambda: plots.roc_curves({"a": ([], [])}), r"curves\['a'\]: expected shape \(N,\), N >= 1, got \(0,\)"),
        (lambda: plots.score_histograms({}), "probabilities: expected at least one class, got none"),
        (lambda: plots.score_histograms({"a": [0.5, np.nan]}), r"probabilities\['a'\]: expected numbers in \[0, 1\]"),
        (lambda: plots.score_histograms({"a": []}), r"probabilities\['a'\]: expected shape"),
        (lambda: plots.score_histograms({"a": [0.5]}, bins=0), r"bins: expected an int in \[1, "),
        (lambda: plots.reliability_diagram([0.5], [0.5, 0.5], [1]), r"share: expected shape \(1,\), got \(2,\)"),
        (
            lambda: plots.reliability_diagram([0.5], [1.5], [1]),
            r"share: expected numbers in \[0, 1\], got \(1.5, 1.5\)",
        ),
        (lambda: plots.reliability_diagram([np.nan], [np.nan], [0]), "events: expected bins, at least one of them"),
        (lambda: plots.auc_by_quantile([0, 1], {}), "curves: expected at least one curve"),
        (
            lambda: plots.auc_by_quantile([0, 1], {"a": ([0.5, 0.5], [0.4], [0.6])}),
            r"curves\['a'\]: expected shape \(1,\), got \(2,\)",
        ),
        (
            lambda: plots.auc_by_quantile([1, 1], {"a": ([0.5], [0.4], [0.6])}),
            r"edges: expected at least two numbers, each above the one before, got \[1.0, 1.0\]",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
