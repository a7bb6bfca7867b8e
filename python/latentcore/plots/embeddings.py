"""Latents in a plane that keeps neighbours together: t-SNE."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latentcore import _errors, _extras
from latentcore.plots import clouds
from latentcore.plots.clouds import Floats
from latentcore.plots.style import new_figure

# shapes: N samples, L latent dimensions

_EXAGGERATED = 250  # iterations in which samples attract each other more than they should, so that groups form
_PLAIN = 500
_EVERY = 10  # iterations between two looks at the progress, which cost next to nothing
_FEW = 2000  # samples that threads would make slower

Callback = Callable[[int, float, Any], None]


def tsne(z: Any, *, perplexity: float = 30, seed: int = 0, progress: bool = True) -> Floats:
    r"""Points in the plane whose neighbours are those of the latents.

    Minimises the Kullback–Leibler divergence

    .. math::

        \sum_{i \ne j} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
        q_{ij} = \frac{(1 + |y_i - y_j|^2)^{-1}}{\sum_{k \ne l} (1 + |y_k - y_l|^2)^{-1}},

    where p are the chances of a Gaussian around each latent, as wide as `perplexity` asks for. Neither distances
    between groups nor their sizes mean anything. 70,000 latents take minutes, on as many threads as torch has.

    Args:
        z: Tensor or array. (N, L), L >= 2.
        perplexity: How many neighbours a latent has, at least 1, at most (N - 1) / 3.
        seed: Any int in [0, 2**32). The same seed, on as many threads, gives the same points.
        progress: Whether a bar is shown while it runs; only where standard error is a terminal.

    Returns:
        (N, 2), float64.

    Raises:
        ModuleNotFoundError: The extra [tsne] is not installed.
        TypeError: `perplexity` is no number, or `seed` no int.
        ValueError: A shape or a number does not fit or is not finite, or all latents are equal.

    Example:
        >>> import torch
        >>> groups = torch.arange(60) % 2
        >>> points = tsne(torch.randn(60, 8) + 9 * groups[:, None], perplexity=10)
        >>> points.shape
        (60, 2)

    Reference:
        van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
        Poličar, Stražar and Zupan, "openTSNE: a modular Python library for t-SNE dimensionality reduction and
        embedding", Journal of Statistical Software 109(3), 2024.
    """
    samples, _ = clouds.samples("z", z, None)
    _check(samples, perplexity)
    _errors.integer("seed", seed, 0, 2**32 - 1)
    module = _open_tsne()
    with _bar(progress) as callback:
        fitted = module.TSNE(
            perplexity=perplexity,
            early_exaggeration_iter=_EXAGGERATED,
            n_iter=_PLAIN,
            random_state=int(seed),
            n_jobs=1 if len(samples) < _FEW else torch.get_num_threads(),
            callbacks=callback,
            callbacks_every_iters=_EVERY,
        ).fit(samples)
    return np.array(fitted, dtype=np.float64)


def tsne_scatter(points: Any, labels: Any = None) -> Figure:
    """The points of `tsne`, coloured by label, in an order by lot, so that no label lies on top of the others.

    There are no axes, since neither directions nor distances between groups mean anything.

    Args:
        points: Tensor or array. (N, 2).
        labels: Numbers or words, or ``None`` for one colour. (N,).

    Returns:
        The figure.

    Raises:
        ValueError: A shape does not fit, or a number is not finite.

    Example:
        >>> figure = tsne_scatter([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], ["cat", "dog", "cat"])
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['cat', 'dog']
    """
    found, names = clouds.samples("points", points, labels)
    if found.shape[1] != 2:
        _errors.fail_value("points", "shape (N, 2)", found.shape)
    colours = clouds.colours_of([names])
    figure = new_figure(6.2, 5.4)
    panel = figure.subplots()
    clouds.add_cloud(panel, found, names, colours)
    panel.set_aspect("equal", adjustable="datalim")
    panel.margins(0.02)
    panel.set_axis_off()
    if labels is not None:
        clouds.add_names(figure, colours, loc="outside right upper")
    return figure


def _check(samples: Floats, perplexity: float) -> None:
    if samples.shape[1] < 2:
        _errors.fail_value("z", "shape (N, L), L >= 2", samples.shape)
    largest = (len(samples) - 1) / 3
    expected = f"a number in [1, {largest:g}], at most a third of the other samples"
    _errors.number("perplexity", perplexity, expected)
    if not 1 <= perplexity <= largest:  # NaN fails
        _errors.fail_value("perplexity", expected, perplexity)
    if np.ptp(samples, axis=0).max() == 0:
        _errors.fail_value("z", "latents that differ", f"{len(samples)} equal ones")


def _open_tsne() -> Any:
    """The package, imported when it is first asked for: that takes seconds."""
    with _extras.named():
        import openTSNE
    return openTSNE


@contextmanager
def _bar(wanted: bool) -> Iterator[Callback | None]:
    """What is to be called every few iterations, so that a bar moves on; None where nobody sees it."""
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("t-SNE: neighbours", total=_EXAGGERATED + _PLAIN, figures="")

        def callback(iteration: int, divergence: float, embedding: Any) -> None:
            bar.update(task, advance=_EVERY, description="t-SNE", figures=f"{divergence:.3f} nats")

        yield callback
