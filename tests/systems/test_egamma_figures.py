"""The figures and pictures of a network that tells electrons from photons."""

import csv
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from latentcore import metrics, plots
from latentcore.systems.egamma.evaluation import Scored, figures
from latentcore.systems.egamma.pictures import write_pictures

PICTURES = ["roc", "scores", "calibration", "occupancy"]


def scored(events=600, *, oracle=True, noise=0.5):
    """Scores with a known ratio: normal ones of variance 1 whose means are 1 apart, and noise."""
    generator = np.random.default_rng(0)
    labels = (np.arange(events) % 2).astype(np.uint8)
    ratio = generator.normal(size=events) + labels - 0.5
    occupancy = generator.poisson(50, events)
    return Scored(labels, ratio + noise * generator.normal(size=events), occupancy, ratio if oracle else None)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figures that are drawn of an example, by the names of their files."""

    def draw(of):
        kept = {}
        monkeypatch.setattr(plots, "save_figure", lambda figure, path: kept.update({path.stem: figure}))
        write_pictures(tmp_path, of)
        return kept

    return draw


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_figures_are_scikit_learns():
    events = scored()
    found = figures(events)
    chances = 1 / (1 + np.exp(-events.scores))
    assert found["test_events"] == 600
    assert found["test_accuracy"] == accuracy_score(events.labels, chances > 0.5)
    assert found["test_loss"] == pytest.approx(log_loss(events.labels, chances), rel=1e-12)
    assert found["test_auc"] == pytest.approx(roc_auc_score(events.labels, events.scores), abs=1e-12)
    assert found["test_auc_low"] < found["test_auc"] < found["test_auc_high"]
    assert found["rejection_70"] == metrics.background_rejection(events.labels, events.scores, 0.7)
    assert found["rejection_50"] > found["rejection_70"] > found["rejection_90"] > 1
    assert found["calibration_error"] == pytest.approx(metrics.calibration_error(events.labels, chances))
    assert found["oracle_auc"] == pytest.approx(roc_auc_score(events.labels, events.oracle), abs=1e-12)
    assert found["auc_gap_oracle"] == found["oracle_auc"] - found["test_auc"] > 0
    assert all(type(value) in (int, float) for value in found.values())  # JSON takes them


def test_without_an_oracle_nothing_is_said_of_it():
    assert set(figures(scored())) - set(figures(scored(oracle=False))) == {"oracle_auc", "auc_gap_oracle"}


def test_scores_beyond_all_bounds():
    found = figures(Scored(np.array([0, 1, 0, 1]), np.array([-np.inf, 800.0, -800.0, 3.0]), np.array([1, 2, 3, 4])))
    assert found["test_loss"] == pytest.approx(math.log1p(math.exp(-3)) / 4)
    assert found["rejection_90"] == 2  # photons, of which none passes
    assert Scored(np.array([0]), np.array([-800.0]), np.array([1])).probabilities.tolist() == [0]


def test_pictures_are_files(tmp_path):
    paths = write_pictures(tmp_path / "pictures", scored())
    assert [path.name for path in paths] == [*(f"{name}.png" for name in PICTURES), "occupancy.csv"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == sorted(path.name for path in paths)
    for path in paths[:-1]:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 10


def test_legend_has_areas_and_intervals(drawn):
    panel = drawn(scored())["roc"].axes[0]
    found = figures(scored())
    auc, low, high = (found[f"test_auc{end}"] for end in ("", "_low", "_high"))
    network, oracle = (text.get_text() for text in panel.get_legend().get_texts())
    assert network == f"network: {auc:.3f} ({low:.3f}–{high:.3f})"
    assert oracle.startswith(f"exact likelihood ratio: {found['oracle_auc']:.3f} (")
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("photon efficiency", "electron efficiency")
    assert panel.get_title() == "300 electrons, 300 photons"


def test_each_picture_shows_the_network(drawn):
    events = scored()
    pictures = drawn(events)
    assert list(pictures) == PICTURES
    electrons = pictures["scores"].axes[0].patches[1].get_data()
    chances = events.probabilities[events.labels == 1]
    assert electrons.values.tolist() == (np.histogram(chances, electrons.edges)[0] / 300).tolist()
    assert [text.get_text() for text in pictures["scores"].legends[0].get_texts()] == ["300 electrons", "300 photons"]
    assert pictures["calibration"].axes[1].patches[0].get_data().values.sum() == 600
    assert len(pictures["occupancy"].axes[0].containers) == 2


def test_pictures_without_an_oracle(drawn):
    pictures = drawn(scored(oracle=False))
    assert len(pictures["roc"].axes[0].get_legend().get_texts()) == 1
    assert len(pictures["occupancy"].axes[0].containers) == 1


def test_the_table_has_all_events_in_groups_of_about_the_same_size(tmp_path):
    events = scored(5000)
    rows = table(write_pictures(tmp_path, events)[-1])
    sizes = [int(row["events"]) for row in rows]
    assert len(rows) == 10
    assert sum(sizes) == 5000
    assert max(sizes) < 2 * min(sizes)
    limits = [(int(row["cells_from"]), int(row["cells_to"])) for row in rows]
    assert limits[0][0] == events.occupancy.min()
    assert limits[-1][1] == events.occupancy.max()
    assert all(after[0] == before[1] + 1 for before, after in pairwise(limits))
    inside = (events.occupancy >= limits[4][0]) & (events.occupancy <= limits[4][1])
    row = {name: float(value) for name, value in rows[4].items()}
    assert row["network_auc"] == pytest.approx(roc_auc_score(events.labels[inside], events.scores[inside]))
    one_sigma = metrics.roc_auc_interval(events.labels[inside], events.oracle[inside], level=0.6827)
    assert (row["oracle_auc_low"], row["oracle_auc_high"]) == pytest.approx(one_sigma)
    assert row["electron_share"] == pytest.approx(events.labels[inside].mean())
    assert row["accuracy"] == pytest.approx(((events.scores > 0) == events.labels)[inside].mean())
    assert row["mean_probability"] == pytest.approx(events.probabilities[inside].mean())


def test_a_small_test_set(tmp_path):
    few = Scored(np.array([0, 1, 1]), np.array([-1.0, 0.5, 2.0]), np.array([7, 7, 9]))
    rows = table(write_pictures(tmp_path, few)[-1])
    assert [(row["cells_from"], row["cells_to"], row["events"]) for row in rows] == [("7", "8", "2"), ("9", "9", "1")]
    assert [row["network_auc"] for row in rows] == ["1.0", "nan"]  # the second group has no photon


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: Scored(a, np.zeros(3), a), r"scores: expected shape \(2,\), got \(3,\)"),
        (lambda a: Scored(a, a, np.zeros((2, 1))), r"occupancy: expected shape \(2,\), got \(2, 1\)"),
        (lambda a: Scored(a, a, a, np.zeros(1)), r"oracle: expected shape \(2,\), got \(1,\)"),
        (lambda a: Scored(a, a, a, np.array([1, np.nan])), "oracle: expected no NaN, got 1 of 2"),
        (lambda a: figures(Scored(0 * a, a, a)), "labels: expected 0 and 1, both present"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.array([0, 1]))
