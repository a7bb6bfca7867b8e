"""What a calorimeter expects of photons and electrons of 50 GeV: crops without noise, and how probable each is."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from latentcore import _config, _errors

N = TypeVar("N", bound=np.floating)

# shapes: T templates, P impact points, S shares, D separations; a crop has 32 rows (eta) and 32 columns (phi)

SIDE = 32
SEED = 15  # row and column of the crystal with the highest expected energy: 15 before it, 16 after it
ENERGY = 50.0  # GeV, of both particles
MOST_TEMPLATES = 4096

_CRYSTAL = 2.2  # cm; PbWO4 in the barrel, 0.0174 in eta and phi
_MOLIERE = 2.2 / _CRYSTAL  # crystals
# E1/E25 = 0.80 and E9/E25 = 0.955 for hits of a crystal's centre
_CORE, _TAIL, _TAIL_SHARE = 0.2 * _MOLIERE, 1.5 * _MOLIERE, 0.16
_CALORIMETER = 1.29  # m, inner radius
_LIGHT = 29.979  # cm/ns
_DARK = 1e-3  # GeV: what a crystal expects below this is taken for nothing
_UNBROKEN = 0.002  # a second deposit with a smaller share (0.1 GeV) is none
_NEAR, _FAR = 0.1, 15.0  # crystals: separations of two deposits

_THICKNESSES, _RADII, _FRACTIONS = 32, 96, 600  # points of the integrals over the latent physics


@dataclass(frozen=True)
class SimulatorConfig(_config.Configuration):
    """The calorimeter, the tracker before it, and the grid of what may happen there.

    A crystal that expects E GeV shows E + sigma * normal, sigma² = noise² + (stochastic² + fluctuation²) E +
    (constant E)². The familiar 0.12 GeV / E of a cluster is the noise of nine crystals, 3 * 40 MeV, and stands in
    `noise`. Defaults are the CMS barrel's, but for `tracker` and `fluctuation`. The latter stands for showers that
    share their energy differently each time, and is what the best possible area under the ROC curve is tuned with. The
    area falls as it grows: 0.845 at 0, 0.827 at 0.1, 0.810 at 0.19, 0.775 at 0.4 (20,000 events, ±0.003), of which 0.81
    is what the best classifiers reach on the public files.

    Attributes:
        noise: Electronic noise of a crystal, GeV.
        stochastic: Stochastic term of the resolution, sqrt(GeV).
        constant: Constant term of the resolution.
        fluctuation: Further stochastic term, sqrt(GeV).
        threshold: Energies below this multiple of the noise are recorded as 0.
        field: Magnetic field, tesla.
        material: Tracker material before the calorimeter, least and most, in radiation lengths; uniform between.
        tracker: Radii between which the material is spread evenly, m. CMS's silicon reaches 1.1 m; the default is
            an effective radius, with which the best classification is that of the public files.
        positions: Impact points along each side of the seed crystal.
        shares: Cells of the share of the fainter of two deposits.
        separations: Cells of their distance. There are positions² (1 + 2 shares separations) templates, at most 4,096.

    Example:
        >>> from latentcore.data.egamma.simulator import SimulatorConfig
        >>> SimulatorConfig.from_dict({"fluctuation": 0.5}).templates
        4025
    """

    _section: ClassVar[str] = "simulator"

    noise: float = 0.04
    stochastic: float = 0.028
    constant: float = 0.003
    fluctuation: float = 0.19
    threshold: float = 3.0
    field: float = 3.8
    material: tuple[float, float] = (0.4, 2.0)
    tracker: tuple[float, float] = (0.03, 0.8)
    positions: int = 5
    shares: int = 8
    separations: int = 10

    def __post_init__(self) -> None:
        _config.check_types(self)
        _config.in_range(self, "noise", 1e-3, 10)
        for name, high in (("stochastic", 10), ("constant", 1), ("fluctuation", 10), ("field", 20)):
            _config.in_range(self, name, 0, high)
        _config.in_range(self, "threshold", 0.1, 100)
        _config.in_range(self, "material", 0.01, 10)
        _config.in_range(self, "tracker", 0, _CALORIMETER)
        for name in ("material", "tracker"):
            low, high = getattr(self, name)
            if low > high:
                _errors.fail_value(f"SimulatorConfig.{name}", "(least, most)", (low, high))
        for name, low in (("positions", 1), ("shares", 1), ("separations", 2)):
            _config.in_range(self, name, low, MOST_TEMPLATES)
        if self.templates > MOST_TEMPLATES:
            _errors.fail_value(
                "SimulatorConfig", f"positions² (1 + 2 shares separations) <= {MOST_TEMPLATES}", self.templates
            )

    @property
    def templates(self) -> int:
        """Templates, T."""
        return self.positions**2 * (1 + 2 * self.shares * self.separations)


@dataclass(frozen=True, eq=False)
class Templates:
    """All that may happen to a particle, and how probable it is.

    Attributes:
        energies: (T, 32, 32), float32, GeV: what each crystal expects; what is less than 1 MeV is 0.
        delays: (T,), float32, ns: mean time of the hits.
        photon: (T,), float64: probabilities given a photon.
        electron: (2, T), float64: probabilities given an electron that bends to lower, and to higher columns.
    """

    energies: NDArray[np.float32]
    delays: NDArray[np.float32]
    photon: NDArray[np.float64]
    electron: NDArray[np.float64]

    @property
    def priors(self) -> NDArray[np.float64]:
        """(2, T), float64: probabilities given a photon, and given an electron of either charge."""
        return np.stack([self.photon, self.electron.mean(0)])


@functools.lru_cache(maxsize=2)
def templates(config: SimulatorConfig) -> Templates:
    """The templates of a configuration.

    **Latent physics.** A particle either arrives whole or as two deposits at the same eta, the fainter at lower or
    higher phi. Their common centre lies anywhere in a crystal with the same chance (`positions`² points), and the crop
    is centred on the crystal that expects most. In a field B a charge with momentum p (GeV) from radius r (m) is
    displaced at the calorimeter, radius R, by delta / p in phi against a straight path from there, with

        delta = 0.3 B (R - r)² / (2 R),

    at 50 GeV from r = 0 by 0.0147 rad = 0.84 crystals. The material t before the calorimeter is uniform in `material`
    and spread evenly over the radii of the tracker.

    * An electron keeps a fraction z with -ln z ~ Gamma(t / ln 2) (Bethe and Heitler), mean e^-t, and radiates the rest
      at a radius uniform in the material: shares z and 1 - z, separation delta / (z p), on the side of its charge.
    * A photon converts with probability 1 - exp(-7t/9), after a depth whose density is exp(-7t'/9), into charges with
      shares u and 1 - u, density proportional to 1 - 4/3 u (1 - u): separation delta / (u (1 - u) p), on both sides.

    **One grid for both classes.** The templates stand on a grid of (impact, side, share of the fainter deposit,
    separation); a template's probability is the integral of the physics over its cell. Both classes share the
    templates and differ in probabilities alone: with a grid each, say of radii, the points themselves would betray
    the class to whoever knows them.

    **Shower.** Lateral profile f(r) = 2 r R² / (r² + R²)² (Grindhammer and Peters), 84 % with R = 0.2 and 16 % with
    R = 1.5 Moliere radii, integrated over crystals in closed form. Two deposits arrive late by
    s * 2/3 (separation)² / (R c), the longer way of the bent one weighted with the share s: a few picoseconds.

    Returns:
        Read-only arrays, made once for all callers.

    Example:
        >>> from latentcore.data.egamma.templates import SimulatorConfig, templates
        >>> whole = templates(SimulatorConfig(positions=1))
        >>> whole.energies.shape, whole.priors.sum(1)
        ((161, 32, 32), array([1., 1.]))
    """
    shares, share_edges = _shares(config.shares)
    separations, separation_edges = _separations(config.separations)
    photon, electron = _probabilities(config, share_edges, separation_edges)
    points = (np.arange(config.positions) + 0.5) / config.positions - 0.5
    crops = [_crops(row, column, shares, separations) for row in points for column in points]
    late = 2 / 3 * (separations * _CRYSTAL) ** 2 / (100 * _CALORIMETER * _LIGHT)
    delays = np.append(0.0, np.broadcast_to(shares[:, None] * late, (2, len(shares), len(separations))))
    count = len(crops)
    return Templates(
        _frozen(np.concatenate(crops)),
        _frozen(np.tile(delays, count).astype(np.float32)),
        _frozen(np.tile(photon, count) / count),
        _frozen(np.tile(electron, (1, count)) / count),
    )


def _shares(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and edges of the cells: narrow where a deposit is faint."""
    edges = _UNBROKEN + (0.5 - _UNBROKEN) * np.linspace(0, 1, count + 1) ** 2
    return (edges[1:] + edges[:-1]) / 2, edges


def _separations(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and edges of the cells, in crystals; what is farther than the last belongs to the last."""
    edges = np.append(0.0, np.geomspace(_NEAR, _FAR, count))
    return np.append(_NEAR / 2, np.sqrt(edges[2:] * edges[1:-1])), edges


def _probabilities(
    config: SimulatorConfig, share_edges: NDArray[np.float64], separation_edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the cells (1 + 2SD,), for a photon, and (2, 1 + 2SD) for an electron of either charge."""
    least, most = config.material
    thickness = (least + (most - least) * (np.arange(_THICKNESSES) + 0.5) / _THICKNESSES)[:, None]
    depth = (np.arange(_RADII) + 0.5) / _RADII  # share of the material that was crossed
    inner, outer = config.tracker
    radius = inner + (outer - inner) * depth
    # at the full energy, in crystals
    bend = 0.3 * config.field * (_CALORIMETER - radius) ** 2 / (2 * ENERGY) * 100 / _CRYSTAL

    def cells(
        left: NDArray[np.float64], separation: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probabilities (1 + 2SD,) from points with the share of the deposit at lower phi."""
        share = np.minimum(left, 1 - left)
        s = np.clip(np.searchsorted(share_edges, share, "right") - 1, -1, len(share_edges) - 2)
        d = np.clip(np.searchsorted(separation_edges, separation, "right") - 1, 0, len(separation_edges) - 2)
        sides, rest = (left > 0.5).astype(np.int64), len(separation_edges) - 1
        index = np.where(s < 0, 0, 1 + (sides * (len(share_edges) - 1) + s) * rest + d)
        size = 1 + 2 * (len(share_edges) - 1) * rest
        return np.bincount(index.ravel(), np.broadcast_to(weight, index.shape).ravel(), size).astype(np.float64)

    # electron: narrow bins of the radiated fraction, for most radiate little or nearly all
    angle = np.linspace(0, np.pi / 2, _FRACTIONS + 1)
    kept = np.cos((angle[1:] + angle[:-1]) / 2) ** 2
    with np.errstate(divide="ignore"):
        lost = torch.from_numpy(np.broadcast_to(-2 * np.log(np.cos(angle)), (_THICKNESSES, len(angle))).copy())
    lost[:, -1] = math.inf
    chance = torch.special.gammainc(torch.from_numpy(thickness / math.log(2)).expand_as(lost), lost).numpy()
    radiated = np.diff(chance, axis=1).mean(0) / _RADII
    kept, apart = np.broadcast_arrays(kept, bend[:, None] / kept)
    electron = np.stack([cells(left, apart, radiated) for left in (kept, 1 - kept)])

    # photon
    converted = (7 / 9 * thickness * np.exp(-7 / 9 * thickness * depth)).mean(0) / _RADII
    chance_of_any = -np.expm1(-7 / 9 * thickness).mean()
    converted *= chance_of_any / converted.sum()
    first = (np.arange(_FRACTIONS) + 0.5) / _FRACTIONS
    sharing = 1 - 4 / 3 * first * (1 - first)
    first, apart = np.broadcast_arrays(first, bend[:, None] / (first * (1 - first)))
    photon = cells(first, apart, converted[:, None] * sharing / sharing.sum())
    photon[0] += 1 - chance_of_any
    return photon / photon.sum(), electron / electron.sum(1, keepdims=True)


def _crops(
    row: float, column: float, shares: NDArray[np.float64], separations: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Expected energies (1 + 2SD, 32, 32) around a place in a crystal, given in crystals from its centre."""
    side, share, separation = np.broadcast_arrays(
        np.array([-1.0, 1.0])[:, None, None], shares[:, None], separations[None, :]
    )
    faint = np.append(0.0, side * (1 - share) * separation) + column
    bright = np.append(0.0, -side * share * separation) + column
    share = np.append(0.0, share)[:, None, None]

    def seen(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Energies of crystals in rows (R,) and columns (1 + 2SD, C)."""
        near, far = (_deposits(rows - row, columns - place[:, None]) for place in (bright, faint))
        return ENERGY * ((1 - share) * near + share * far)

    wide = np.arange(-SIDE // 2, SIDE // 2)
    hottest = wide[seen(np.zeros(1, np.int64), np.tile(wide, (len(bright), 1)))[:, 0].argmax(1)]
    around = np.arange(SIDE) - SEED
    crops = seen(around, hottest[:, None] + around)
    crops[crops < _DARK] = 0
    return crops.astype(np.float32)


def _deposits(rows: NDArray[np.floating], columns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shares (T, R, C) of a shower's energy in crystals whose centres lie in rows (R,) and columns (T, C) around it.

    The profile is the density R² / (pi (x² + y² + R²)²), whose integral from the origin to (x, y) is
    (x/a atan(y/a) + y/b atan(x/b)) / (2 pi) with a² = x² + R², b² = y² + R².
    """
    y = np.append(rows - 0.5, rows[-1] + 0.5)[:, None]
    x = np.append(columns - 0.5, columns[:, -1:] + 0.5, axis=1)[:, None, :]
    total = np.zeros((len(columns), len(rows), columns.shape[1]))
    for radius, share in ((_CORE, 1 - _TAIL_SHARE), (_TAIL, _TAIL_SHARE)):
        a, b = np.hypot(x, radius), np.hypot(y, radius)
        integral = (x / a * np.arctan(y / a) + y / b * np.arctan(x / b)) / (2 * np.pi)
        total += share * np.diff(np.diff(integral, axis=1), axis=2)
    return total


def _frozen(array: NDArray[N]) -> NDArray[N]:
    array.flags.writeable = False  # one copy serves all callers
    return array
