"""Gaussian mixtures: where they lie, how their fit went, and which of them the data ask for."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from latentcore import _errors
from latentcore.plots import plane
from latentcore.plots.style import PALETTE, new_figure, tidy

# shapes: N samples, K Gaussians, T covariance types

_GREY = "#9A9A9A"


def gaussian_ellipses(
    means: Any,
    covariances: Any,
    *,
    covariance_type: str = "full",
    weights: Any = None,
    X: Any = None,
    labels: Any = None,
) -> Figure:
    r"""A mixture in the plane: each Gaussian's ellipses of one and two standard deviations, over samples if given.

    .. math::

        (x - \mu_k)^\top \Sigma_k^{-1} (x - \mu_k) = 1 \quad \text{and} \quad 4,

    inside which 39 % and 86 % of the component's samples lie.

    Args:
        means: (K, 2), K >= 1, in the units of X.
        covariances: "full" (K, 2, 2), "tied" (2, 2), "diag" (K, 2), "spherical" (K,), squared units of X.
        covariance_type: Which of them.
        weights: (K,), in [0, 1]; a heavier component is filled more. ``None`` fills all alike.
        X: Samples, drawn behind. (N, 2), or ``None``.
        labels: The samples' components, in [0, K), as `predict` gives them; colours them as their ellipses. (N,), or
            ``None`` for grey samples.

    Returns:
        The figure.

    Raises:
        ValueError: A shape or a value does not fit, or there are labels without samples.

    Example:
        >>> figure = gaussian_ellipses([[0, 0], [5, 1]], [1.0, 0.5], covariance_type="spherical", weights=[0.7, 0.3])
        >>> len(figure.axes[0].patches)
        4

    Reference:
        Bishop, "Pattern recognition and machine learning", 2006, section 9.2.
    """
    means, covariances = plane.gaussians(means, covariances, covariance_type)
    opacities = _opacities(weights, len(means))
    colours = [colour for colour, _ in zip(cycle(PALETTE), means, strict=False)]
    figure = new_figure(5, 4.2)
    panel = figure.subplots()
    if X is not None:
        _add_clouds(panel, X, labels, colours)
    elif labels is not None:
        _errors.fail_value("labels", "None without X", "labels")
    for mean, covariance, colour, opacity in zip(means, covariances, colours, opacities, strict=True):
        plane.add_ellipses(panel, mean, covariance, colour, float(opacity))
        panel.plot(*mean, "o", markersize=5, color=colour, markeredgecolor="white")
    panel.set_xlabel("$x_1$")
    panel.set_ylabel("$x_2$")
    tidy(panel)
    return figure


def log_likelihood_curve(lower_bounds: Sequence[float] | Mapping[str, Sequence[float]]) -> Figure:
    r"""The mean log-likelihood of the samples over the iterations of EM, which never falls.

    .. math::

        \ell_t = \frac{1}{N} \sum_n \log p(x_n \mid \theta_{t-1})

    Args:
        lower_bounds: ``lower_bounds_`` of a fitted mixture, nats, at least one; NaN at the end is left out. Or several,
            by the names that the legend shows.

    Returns:
        The figure.

    Raises:
        ValueError: There is no curve, or one without a value or of more than one dimension.

    Example:
        >>> figure = log_likelihood_curve({"full": [-3.0, -2.5, -2.4], "diag": [-3.1, -2.9]})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['full', 'diag']

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
    """
    named = lower_bounds if isinstance(lower_bounds, Mapping) else {"": lower_bounds}
    if not named:
        _errors.fail_value("lower_bounds", "at least one curve", "none")
    curves = {name: _curve(name, values) for name, values in named.items()}
    figure = new_figure(4.6, 3.2)
    panel = figure.subplots()
    for (name, curve), colour in zip(curves.items(), cycle(PALETTE), strict=False):
        panel.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=1.8, label=name)
        panel.plot(len(curve), curve[-1], "o", markersize=4, color=colour)
    if isinstance(lower_bounds, Mapping):
        panel.legend(frameon=False, fontsize=9)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.set_xlabel("iteration")
    panel.set_ylabel("mean log-likelihood (nats)")
    tidy(panel)
    return figure


def criterion_table(
    n_components: Sequence[int],
    covariance_types: Sequence[str],
    values: Any,
    *,
    name: str = "BIC",
    differences: bool = True,
) -> Figure:
    """An information criterion of mixtures, lower is better, as a table whose cells are the darker the better.

    The best cell has a frame; a grey one stands for a mixture that could not be fitted. The shades follow the
    logarithm of the difference to the best.

    Args:
        n_components: Numbers of components, a column each.
        covariance_types: Covariance types, a row each, T.
        values: The criterion; NaN where it is missing. (T, columns).
        name: Its name.
        differences: Whether the cells say by how much they are worse than the best, instead of the values themselves.

    Returns:
        The figure.

    Raises:
        ValueError: A shape does not fit, or no value is finite.

    Example:
        >>> figure = criterion_table([1, 2, 3], ["full", "diag"], [[250.0, 210.0, 222.0], [251.0, 214.5, float("nan")]])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['40', '0', '12', '41', '4.5', '–']

    Reference:
        Schwarz, "Estimating the dimension of a model", Annals of Statistics 1978.
        Fraley and Raftery, "Model-based clustering, discriminant analysis, and density estimation", JASA 2002.
    """
    table = _checked_table(values, (len(covariance_types), len(n_components)))
    best = float(np.nanmin(table))
    worse = table - best
    rows, columns = table.shape
    figure = new_figure(1.2 + 0.62 * columns, 0.9 + 0.4 * rows)
    panel = figure.subplots()
    # logarithmic: most mixtures are far worse than the best, and what matters are those that are not
    shade = 1 - np.log1p(worse) / max(float(np.log1p(np.nanmax(worse))), 1e-9)
    panel.pcolormesh(shade, cmap="Blues", vmin=0, vmax=1.2, edgecolors="white", linewidth=1.5)
    panel.invert_yaxis()
    for (row, column), value in np.ndenumerate(worse if differences else table):
        _add_cell(panel, row, column, float(value), dark=bool(shade[row, column] > 0.6))
    row, column = np.argwhere(table == best)[0]
    panel.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=PALETTE[5], linewidth=2.5))
    panel.set_xticks(np.arange(columns) + 0.5, [str(n) for n in n_components])
    panel.set_yticks(np.arange(rows) + 0.5, list(covariance_types))
    panel.set_xlabel("components")
    panel.set_title(f"{name} above its least value, {best:,.1f}" if differences else name, fontsize=11)
    panel.tick_params(length=0, labelsize=9)
    panel.spines[:].set_visible(False)
    return figure


def _opacities(weights: Any, components: int) -> np.ndarray:
    """How far the ellipses are filled, (K,)."""
    if weights is None:
        return np.full(components, 0.12)
    given = np.asarray(weights, dtype=float)
    if given.shape != (components,) or not ((given >= 0) & (given <= 1)).all():
        _errors.fail_value("weights", f"{components} numbers in [0, 1]", given.tolist())
    return np.asarray(0.25 * given / given.max(initial=1e-300))


def _add_clouds(panel: Axes, X: Any, labels: Any, colours: Sequence[str]) -> None:
    """The samples, in their components' colours with a legend, or grey."""
    x, names = plane.samples("X", X, labels)
    if labels is None:
        plane.add_samples(panel, x, names, [_GREY])
        return
    present = np.unique(names)
    if present.dtype.kind not in "iu" or (len(present) and not 0 <= present[0] <= present[-1] < len(colours)):
        _errors.fail_value("labels", f"components in [0, {len(colours)})", present.tolist())
    size = plane.add_samples(panel, x, names, [colours[k] for k in present])
    plane.add_legend(panel, "component", size)


def _curve(name: str, values: Any) -> np.ndarray:
    curve: np.ndarray = np.asarray(values, dtype=float)
    of_which = f" of {name!r}" if name else ""
    if curve.ndim != 1:
        _errors.fail_value(f"lower_bounds{of_which}", "a sequence of numbers", f"shape {curve.shape}")
    curve = curve[~np.isnan(curve)]
    if len(curve) == 0 or np.isinf(curve).any():
        _errors.fail_value(f"lower_bounds{of_which}", "at least one value, all finite", curve.tolist())
    return curve


def _checked_table(values: Any, shape: tuple[int, int]) -> np.ndarray:
    """The values as an array, NaN where one is not finite."""
    table = np.array(values, dtype=float)
    if table.shape != shape:
        _errors.fail_value("values", f"shape {shape}", table.shape)
    finite = np.isfinite(table)
    if not finite.any():
        _errors.fail_value("values", "at least one finite number", table.tolist())
    table[~finite] = np.nan
    return table


def _add_cell(panel: Axes, row: int, column: int, value: float, *, dark: bool) -> None:
    """The number in a cell; a cell without one is grey."""
    missing = np.isnan(value)
    if missing:
        panel.add_patch(Rectangle((column, row), 1, 1, facecolor="#E6E6E6", edgecolor="white", linewidth=1.5))
    digits = 0 if abs(value) >= 10 or value == 0 else 1
    text = "–" if missing else f"{value:,.{digits}f}"
    panel.text(
        column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5, color="white" if dark else "black"
    )
