import json
import math
import resource

import h5py
import numpy as np
import pytest
from scipy import stats

from latentcore.data.egamma import simulator
from latentcore.data.egamma.oracle import Oracle, oracle_auc
from latentcore.data.egamma.simulator import SimulatorConfig, simulate, write
from latentcore.data.egamma.templates import MOST_TEMPLATES, SEED, templates

TINY = SimulatorConfig(positions=2, shares=1, separations=2, noise=0.3, threshold=2.0)
SMALL = SimulatorConfig(positions=3, shares=4, separations=5)
DEFAULT = SimulatorConfig()


@pytest.fixture(scope="module", params=[10_000, pytest.param(20_000, marks=pytest.mark.long)])
def many(once, request):
    """Events, their labels and the oracle's ratios, which nobody can write to."""
    folder = once(f"{request.param} events", lambda folder: simulate_and_judge(folder, request.param))
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y", "ratio"))


def simulate_and_judge(folder, events):
    X, y = simulate(events, seed=7)
    for name, array in (("X", X), ("y", y), ("ratio", Oracle().log_likelihood_ratio(X))):
        np.save(folder / f"{name}.npy", array)


def log_normal(value, mean, sigma):
    return -(((value - mean) / sigma) ** 2) / 2 - math.log(sigma * math.sqrt(2 * math.pi))


def brute_force(X, config):
    """The ratio by the definition: a loop over templates and crystals."""
    known = templates(config)
    resolution = config.stochastic**2 + config.fluctuation**2
    threshold = float(np.float32(config.threshold * config.noise / 50)) * 50
    ratios = []
    for crop in X.astype(np.float64) * 50:
        logs = []
        for template, delay in zip(known.energies.astype(np.float64), known.delays.astype(np.float64), strict=True):
            total = 0.0
            for row in range(32):
                for column in range(32):
                    (energy, when), mean = crop[row, column], template[row, column]
                    sigma = math.sqrt(config.noise**2 + resolution * mean + (config.constant * mean) ** 2)
                    if energy == 0:
                        total += math.log(math.erfc((mean - threshold) / (sigma * math.sqrt(2))) / 2)
                    else:
                        spread = math.hypot(35 * config.noise / energy, 0.02)
                        total += log_normal(energy, mean, sigma) + log_normal(when, delay, spread)
            logs.append(total)
        logs = np.array(logs)
        photon = np.logaddexp.reduce((logs + np.log(known.photon))[known.photon > 0])
        prior = known.electron.mean(0)
        ratios.append(np.logaddexp.reduce((logs + np.log(prior))[prior > 0]) - photon)
    return np.array(ratios)


@pytest.mark.filterwarnings("ignore:divide by zero")  # log of templates that a class never takes
def test_oracle_is_the_definition():
    X, _ = simulate(3, TINY, seed=4)
    assert TINY.templates == 20
    np.testing.assert_allclose(Oracle(TINY).log_likelihood_ratio(X), brute_force(X, TINY), rtol=1e-9, atol=1e-11)


def test_times_count():
    X, _ = simulate(100)
    shifted = X.copy()
    shifted[..., 1][X[..., 0] > 0] += 0.5 / 50  # half a nanosecond: as if everything were bent
    oracle = Oracle()
    assert abs(oracle.log_likelihood_ratio(shifted) - oracle.log_likelihood_ratio(X)).max() > 0.01


@pytest.mark.long
def test_oracle_is_calibrated(many):
    _, y, ratio = many
    probability = 1 / (1 + np.exp(-ratio))
    order = np.argsort(probability)
    statistic, cells = 0.0, np.array_split(order, 25)
    for cell in cells:
        expected = probability[cell]
        statistic += (y[cell].sum() - expected.sum()) ** 2 / (expected * (1 - expected)).sum()
    assert stats.chi2.sf(statistic, len(cells)) > 1e-3
    # a ratio that is wrong by a fifth would be noticed
    wrong = 1 / (1 + np.exp(-1.2 * ratio))
    parts = [(y[c].sum() - wrong[c].sum()) ** 2 / (wrong[c] * (1 - wrong[c])).sum() for c in cells]
    assert stats.chi2.sf(sum(parts), len(cells)) < 1e-4


def test_default_area_is_that_of_the_public_files(many):
    from sklearn.metrics import roc_auc_score

    _, y, ratio = many
    assert roc_auc_score(y, ratio) == pytest.approx(0.81, abs=0.01)


@pytest.mark.long
def test_area_falls_with_the_fluctuation():
    areas = [oracle_auc(SimulatorConfig(fluctuation=f, positions=3), 3000, seed=2) for f in (0.0, 0.1, 0.3, 1.0)]
    assert all(areas[i] > areas[i + 1] + 0.01 for i in range(3))
    assert areas[-1] > 0.55


def test_without_a_field_there_is_next_to_nothing_to_see():
    assert oracle_auc(SimulatorConfig(field=0.0, positions=3), 2000) < 0.56


@pytest.mark.parametrize("events", [1, 1300])
def test_file_is_the_same_for_any_threads_and_blocks(tmp_path, events):
    contents = []
    for threads, block in ((1, 960), (2, 960), (1, 1), (2, 500)):
        path = tmp_path / f"{threads}-{block}.h5"
        write(path, events, SMALL, 3, threads, block=block)
        contents.append(path.read_bytes())
    assert all(content == contents[0] for content in contents)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".h5"] * 4
    write(tmp_path / "other.h5", events, SMALL, 4)
    assert (tmp_path / "other.h5").read_bytes() != contents[0]


def test_fewer_events_are_the_beginning_of_more():
    X, y = simulate(401, SMALL, 5)
    fewer, labels = simulate(130, SMALL, 5)
    np.testing.assert_array_equal(fewer, X[:130])
    np.testing.assert_array_equal(labels, y[:130])
    assert len(np.unique(X[..., 0].sum((1, 2)))) == 401


def test_file_has_the_public_files_format(tmp_path):
    path = tmp_path / "events.h5"
    write(path, 10_050, SMALL, 1, 2)
    X, y = simulate(10_050, SMALL, 1)
    with h5py.File(path) as file:
        assert set(file) == {"X", "y"}
        assert (file["X"].shape, file["X"].dtype) == ((10_050, 32, 32, 2), np.float32)
        assert (file["X"].chunks, file["X"].compression) == ((9960, 32, 32, 2), "lzf")
        assert (file["y"].shape, file["y"].dtype) == ((10_050,), np.float32)
        assert SimulatorConfig.from_dict(json.loads(file.attrs["simulator"])) == SMALL
        assert file.attrs["seed"] == 1
        np.testing.assert_array_equal(file["X"][9900:], X[9900:])
        np.testing.assert_array_equal(file["y"][()], y)
    write(path, 7, SMALL)
    with h5py.File(path) as file:
        assert file["X"].chunks == (7, 32, 32, 2)


def test_classes_are_balanced_and_mixed(many):
    _, y, _ = many
    assert y.dtype == np.float32
    assert y.sum() == len(y) / 2
    np.testing.assert_array_equal(y.reshape(-1, 2).sum(1), 1)
    assert abs(y[::2].mean() - 0.5) < 0.02


def test_values_are_those_of_a_calorimeter(many):
    X, _, _ = many
    energy, when = 50 * X[..., 0], 50 * X[..., 1]
    hit = energy > 0
    assert X.dtype == np.float32
    assert energy[hit].min() >= 0.12 * (1 - 1e-6)
    assert (when[~hit] == 0).all()
    assert 44 < energy.sum((1, 2)).mean() < 52
    bright = energy > 10
    assert when[bright].std() == pytest.approx(0.07, abs=0.03)  # less than 100 ps
    corner = hit[:, :3, :3].mean()
    assert corner == pytest.approx(stats.norm.sf(3), rel=0.2)  # noise alone
    assert np.argmax(energy.mean(0)) == 32 * SEED + SEED


def cluster(energies):
    def around(k):
        part = slice(SEED - k, SEED + k + 1)
        return energies[..., part, part].sum((-2, -1))

    return around(0), around(1), around(2)


def test_whole_photons_have_the_known_lateral_profile():
    known = templates(DEFAULT)
    whole = known.energies[:: DEFAULT.templates // DEFAULT.positions**2]
    one, nine, twenty_five = cluster(whole[len(whole) // 2])  # in the crystal's centre
    assert one / twenty_five == pytest.approx(0.8, abs=0.01)
    one, nine, twenty_five = cluster(whole)
    assert 0.94 < (nine / twenty_five).min() < (nine / twenty_five).max() < 0.96
    assert (whole.sum((1, 2)) <= 50).all()
    assert (whole.sum((1, 2)) > 49).all()
    np.testing.assert_allclose(whole[len(whole) // 2], whole[len(whole) // 2].T, rtol=1e-5)


def test_templates_are_centred_probable_and_nothing_else():
    known = templates(DEFAULT)
    assert len(known.energies) == DEFAULT.templates == 4025 <= MOST_TEMPLATES
    assert (known.energies.reshape(4025, -1).argmax(1) == 32 * SEED + SEED).all()
    np.testing.assert_allclose(known.priors.sum(1), 1)
    assert (known.priors >= 0).all()
    assert not known.energies.flags.writeable
    whole = known.priors.reshape(2, 25, -1)[:, :, 0].sum(1)
    # exp(-7t/9) of photons stay whole, t uniform in 0.4 … 2; nearly all electrons radiate
    assert whole[0] == pytest.approx((math.exp(-2.8 / 9) - math.exp(-14 / 9)) / (7 / 9 * 1.6), abs=0.01)
    assert whole[1] < 0.05
    assert 0 < known.delays.max() < 0.06


def test_electrons_have_a_tail_on_one_side_and_photons_on_both():
    known = templates(DEFAULT)
    kind = np.arange(4025) % 161
    side = np.where(kind == 0, 0, np.where(kind <= 80, -1, 1))  # where the fainter deposit lies
    whole = known.energies[kind == 0].mean(0)
    after, before = slice(SEED + 1, SEED + 13), slice(SEED - 12, SEED)

    def tails(weight):
        """GeV at lower and at higher columns that a whole particle would not leave there."""
        excess = np.tensordot(weight / weight.sum(), known.energies, 1) - whole
        return excess[:, before].sum(), excess[:, after].sum()

    # electrons that keep most of their energy and bend to lower columns: all that they radiate lies higher
    lower, higher = known.electron
    low, high = tails(np.where(side == 1, lower, 0))
    assert high > 2
    assert abs(low) < 0.2 * high
    low, high = tails(np.where(side == -1, higher, 0))
    assert low > 2
    assert abs(high) < 0.2 * low
    # the charges are mirror images
    np.testing.assert_allclose(lower.reshape(25, 161)[:, 1:81], higher.reshape(25, 161)[:, 81:], atol=1e-9)
    both = np.tensordot(known.photon, known.energies, 1)
    right, left = both[:, SEED + 2 : SEED + 13].sum(), both[:, SEED - 12 : SEED - 1].sum()
    assert right == pytest.approx(left, rel=0.02)
    # eta knows nothing of the field
    up, down = both[SEED + 2 : SEED + 13].sum(), both[SEED - 12 : SEED - 1].sum()
    assert up == pytest.approx(down, rel=0.02)
    assert right > 1.5 * up


def spoiled(place, energy, when):
    X, _ = simulate(3, SMALL)
    X[place] = energy, when
    return X


@pytest.mark.parametrize(
    ("energy", "when"),
    [(math.nan, 0.0), (0.5, math.nan), (math.inf, 0.0), (-0.1, 0.0), (0.0, 0.1), (1e-4, 0.0), (0.5, math.inf)],
)
def test_values_that_the_simulator_never_gives(energy, when):
    oracle = Oracle(SMALL)
    with pytest.raises(ValueError, match=r"X\[2, 4, 5\]: expected an energy and a time of the simulator"):
        oracle.log_likelihood_ratio(spoiled((2, 4, 5), energy, when))


def test_wrong_arguments(tmp_path):
    oracle = Oracle(SMALL)
    with pytest.raises(ValueError, match=r"X: expected shape \(N, 32, 32, 2\), got \(2, 2, 32, 32\)"):
        oracle.log_likelihood_ratio(np.zeros((2, 2, 32, 32), np.float32))
    with pytest.raises(TypeError, match="X: expected a NumPy array of floating-point numbers, got int64"):
        oracle.log_likelihood_ratio(np.zeros((2, 32, 32, 2), np.int64))
    with pytest.raises(TypeError, match="got list"):
        oracle.log_likelihood_ratio([])
    assert oracle.log_likelihood_ratio(np.zeros((0, 32, 32, 2))).shape == (0,)
    for arguments in ({"events": 0}, {"events": 1, "seed": -1}):
        with pytest.raises(ValueError, match="expected an int"):
            simulate(**arguments)
    with pytest.raises(TypeError, match="config: expected a SimulatorConfig, got dict"):
        simulate(1, {})
    for arguments in ({"threads": 0}, {"block": 0}):
        with pytest.raises(ValueError, match="expected an int"):
            write(tmp_path / "x.h5", 1, **arguments)
    assert not list(tmp_path.iterdir())
    for fields in (
        {"positions": 6},
        {"noise": 0.0},
        {"material": (2.0, 1.0)},
        {"tracker": (0.0, 2.0)},
        {"threshold": 0.0},
        {"separations": 1},
    ):
        with pytest.raises(ValueError, match="SimulatorConfig"):
            SimulatorConfig(**fields)


def test_a_full_disk_is_noticed_at_once(tmp_path, monkeypatch):
    drawn, limits = [], resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = simulator.EventGenerator.fill
    monkeypatch.setattr(simulator.EventGenerator, "fill", lambda *args: (drawn.append(1), fill(*args)))
    monkeypatch.setattr(simulator, "CHUNK", 120)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*/x\.h5'"):
            write(tmp_path / "x.h5", 1200, SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(drawn) <= 2
    assert not list(tmp_path.iterdir())


def test_nothing_stands_after_a_failure(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(simulator.EventGenerator, "_group", fail)
    with pytest.raises(RuntimeError, match="broken"):
        write(tmp_path / "x.h5", 200, SMALL)
    assert not list(tmp_path.iterdir())
