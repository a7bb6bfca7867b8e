import numpy as np

from latentcore.data.egamma.simulator import SimulatorConfig, simulate
from latentcore.data.egamma.templates import templates

EVENTS = 1200
CONFIG = SimulatorConfig()


def one_by_one():
    """The same distribution, an event at a time, as its definition reads."""
    known, generator = templates(CONFIG), np.random.default_rng(0)
    X, y = np.zeros((EVENTS, 32, 32, 2), np.float32), np.arange(EVENTS, dtype=np.float32) % 2
    for event, label in zip(X, y, strict=True):
        prior = known.priors[int(label)]
        template = generator.choice(len(prior), p=prior)
        mean = known.energies[template].astype(np.float64)
        variance = (
            CONFIG.noise**2 + (CONFIG.stochastic**2 + CONFIG.fluctuation**2) * mean + (CONFIG.constant * mean) ** 2
        )
        energy = generator.normal(mean, np.sqrt(variance))
        hit = energy > CONFIG.threshold * CONFIG.noise
        event[hit, 0] = energy[hit] / 50
        event[hit, 1] = generator.normal(known.delays[template], np.hypot(35 * CONFIG.noise / energy[hit], 0.02)) / 50
    return X, y


def figures(result):
    """What samples of one distribution share: electrons, GeV, crystals that are hit, and the spread of times."""
    X, y = result
    hit = X[..., 0] > 0
    return np.array([y.mean(), 50 * X[..., 0].sum() / len(X), hit.sum() / len(X), 50 * X[..., 1][hit].std()])


def test_simulate(timed, benchmark):
    timed(
        operator="simulate electrons and photons",
        shape=f"{EVENTS} events",
        contestants={"latentcore": lambda: simulate(EVENTS), "one event at a time": one_by_one},
        result=figures,
        tolerance=0.02,
        bytes=EVENTS * (32 * 32 * 2 + 1) * 4,
        at_least=None,
        goal=None,
    )
    benchmark.extra_info["events_per_second"] = EVENTS / benchmark.extra_info["seconds"]["latentcore"]
    print(f"{benchmark.extra_info['events_per_second']:.0f} events per second")
