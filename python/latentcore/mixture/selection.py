"""How many components, and of which covariance type: mixtures of all kinds, compared by information criteria."""

import math
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore.mixture._stream import opened
from latentcore.mixture.estimator import GaussianMixture
from latentcore.reference import COVARIANCE_TYPES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CRITERIA = ("bic", "aic", "icl")
_HEADER = ("covariance", "K", "parameters", "log-likelihood", "BIC", "AIC", "ICL", "iterations", "seconds", "")


@dataclass(frozen=True)
class SweepRow:
    """One mixture of a `Sweep`; criteria and log-likelihood are NaN where it could not be fitted.

    Attributes:
        covariance_type: "full", "tied", "diag" or "spherical".
        n_components: K.
        n_parameters: Its free parameters; 0 where it could not be fitted.
        log_likelihood: The mean log-likelihood of the samples, nats.
        bic: Bayesian information criterion; as all three, the lower, the better.
        aic: Akaike's information criterion.
        icl: Integrated completed likelihood.
        n_iter: Iterations of the kept restart.
        converged: Whether it met ``tol``.
        seconds: What the fit took.
        failure: Why the mixture could not be fitted, or "".
    """

    covariance_type: str
    n_components: int
    n_parameters: int = 0
    log_likelihood: float = math.nan
    bic: float = math.nan
    aic: float = math.nan
    icl: float = math.nan
    n_iter: int = 0
    converged: bool = False
    seconds: float = 0.0
    failure: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row as the table of a `Sweep` shows it."""
        names = (self.covariance_type, str(self.n_components))
        if self.failure:
            return (*names, *("-",) * 7, "failed")
        criteria = (f"{value:.1f}" for value in (self.bic, self.aic, self.icl))
        figures = (str(self.n_parameters), f"{self.log_likelihood:.4f}", *criteria, str(self.n_iter))
        return (*names, *figures, f"{self.seconds:.3f}", "" if self.converged else "not converged")


@dataclass(frozen=True)
class Sweep:
    """What `sweep` found; as text, it is a table in which a star marks the best mixture.

    Attributes:
        rows: A row for every mixture, in the order in which they were fitted.
        models: The fitted mixtures, by (covariance type, number of components).
        criterion: "bic", "aic" or "icl": which one says what is best.
    """

    rows: list[SweepRow]
    models: dict[tuple[str, int], GaussianMixture]
    criterion: str

    @property
    def best_row(self) -> SweepRow:
        """The row of the mixture whose criterion is the lowest."""
        return min((row for row in self.rows if not row.failure), key=lambda row: float(getattr(row, self.criterion)))

    @property
    def best(self) -> GaussianMixture:
        """The fitted mixture whose criterion is the lowest."""
        return self.models[self.best_row.covariance_type, self.best_row.n_components]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts: ``pandas.DataFrame(found.to_dicts())`` is a table of them."""
        return [asdict(row) for row in self.rows]

    def figure(self, criterion: str | None = None) -> "Figure":
        """The criterion of all mixtures as a picture (`latentcore.plots.criterion_table`); ``None``: the sweep's."""
        from latentcore import plots  # matplotlib takes a while to import, and few who fit mixtures want it

        chosen = self.criterion if criterion is None else criterion
        _errors.one_of("criterion", chosen, _CRITERIA)
        values = {(row.covariance_type, row.n_components): getattr(row, chosen) for row in self.rows}
        kinds, counts = (list(dict.fromkeys(names)) for names in zip(*values, strict=True))
        table = [[values[kind, count] for count in counts] for kind in kinds]
        return plots.criterion_table(counts, kinds, table, name=chosen.upper())

    def __str__(self) -> str:
        best = self.best_row
        lines = [_HEADER, *(row.cells() for row in self.rows)]
        marks = [" ", *("*" if row is best else " " for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = (" ".join((mark, *_aligned(line, widths))).rstrip() for mark, line in zip(marks, lines, strict=True))
        notes = [f"* lowest {self.criterion.upper()}"]
        if any(row.failure for row in self.rows):
            notes.append("failed: the rows' failure says why")
        return "\n".join((*text, *notes))


@torch_as_usual()
def sweep(
    X: Any,
    n_components: Iterable[int] = range(1, 11),
    covariance_types: Sequence[str] = COVARIANCE_TYPES,
    *,
    criterion: str = "bic",
    **options: Any,
) -> Sweep:
    r"""Fit mixtures with several numbers of components and covariance types, and compare them.

    .. math::

        \mathrm{AIC} = -2 L + 2 p, \qquad \mathrm{BIC} = -2 L + p \log N, \qquad
        \mathrm{ICL} = \mathrm{BIC} - 2 \sum_{nk} r_{nk} \log r_{nk}

    with the log-likelihood :math:`L` of the N samples, the number :math:`p` of free parameters and the
    responsibilities :math:`r_{nk}`. BIC finds the mixture that describes the density, ICL one whose components are
    apart from each other, AIC tends to more components than either.

    Args:
        X: Samples. (N, D), array or tensor, or a stream as for `GaussianMixture.fit`.
        n_components: Numbers of components, each >= 1.
        covariance_types: Some of "full", "tied", "diag" and "spherical".
        criterion: "bic", "aic" or "icl": which one says what is best.
        options: Of `GaussianMixture`, for every fit, such as ``n_init`` or ``random_state``.

    Returns:
        `Sweep`: ``best`` is the best mixture, ``rows`` are all figures, `print` shows them as a table. A mixture that
        did not converge has a row that says so, instead of a warning; one that could not be fitted, because a
        component collapsed or there are fewer samples than components, has a row with the reason.

    Raises:
        TypeError: ``n_components`` does not hold ints, or an option is none of `GaussianMixture`'s.
        ValueError: There is nothing to fit, a covariance type, the criterion or an option is wrong, or no mixture
            could be fitted.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 100, axis=0)
        >>> found = sweep(X, range(1, 6), ["full", "spherical"], random_state=0)
        >>> found.best
        GaussianMixture(covariance_type='spherical', n_components=3, random_state=0)
        >>> len(found.rows)
        10

    Reference:
        Akaike, "A new look at the statistical model identification", IEEE Transactions on Automatic Control 1974.
        Schwarz, "Estimating the dimension of a model", Annals of Statistics 1978.
        Biernacki, Celeux and Govaert, "Assessing a mixture model for clustering with the integrated completed
        likelihood", IEEE Transactions on Pattern Analysis and Machine Intelligence 2000.
    """
    _errors.one_of("criterion", criterion, _CRITERIA)
    counts, kinds, X = _checked_counts(n_components), _checked_kinds(covariance_types), opened(X)
    rows, models = [], {}
    for kind in kinds:
        for count in counts:
            model = GaussianMixture(count, covariance_type=kind, **options)
            rows.append(_fitted_row(model, X))
            if not rows[-1].failure:
                models[kind, count] = model
    if not models:
        _errors.fail_value("X", "samples to which at least one of the mixtures can be fitted", rows[0].failure)
    return Sweep(rows, models, criterion)


def _fitted_row(model: GaussianMixture, X: Any) -> SweepRow:
    """Fit the mixture; its figures, or why there are none."""
    row, begin = SweepRow(model.covariance_type, model.n_components), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the row says it
            model.fit(X)
    except InvalidParameterError:  # wrong for all of them
        raise
    except ValueError as error:
        return replace(row, seconds=time.perf_counter() - begin, failure=str(error))
    seconds, parameters, bic = time.perf_counter() - begin, model._n_parameters(), model.bic(X)
    samples = model.n_samples_seen_
    # the log-likelihood and AIC follow from BIC, without further passes over the samples
    twice_negative = bic - parameters * math.log(samples)
    return replace(
        row,
        seconds=seconds,
        n_parameters=parameters,
        log_likelihood=-twice_negative / (2 * samples),
        bic=bic,
        aic=twice_negative + 2 * parameters,
        icl=model.icl(X),
        n_iter=model.n_iter_,
        converged=model.converged_,
    )


def _checked_counts(n_components: Any) -> list[int]:
    if not isinstance(n_components, Iterable):
        _errors.fail_type("n_components", "numbers of components, such as range(1, 11)", type(n_components).__name__)
    counts = list(dict.fromkeys(n_components))
    for count in counts:
        _errors.integer("n_components", count, 1, 2**31 - 1)
    if not counts:
        _errors.fail_value("n_components", "at least one number of components", "none")
    return [int(count) for count in counts]


def _checked_kinds(covariance_types: Any) -> list[str]:
    if isinstance(covariance_types, str):
        _errors.fail_type("covariance_types", "a sequence of covariance types", repr(covariance_types))
    kinds = list(dict.fromkeys(covariance_types))
    for kind in kinds:
        _errors.one_of("covariance_types", kind, COVARIANCE_TYPES)
    if not kinds:
        _errors.fail_value("covariance_types", "at least one covariance type", "none")
    return kinds


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Words to the left, numbers to the right."""
    words = (0, len(cells) - 1)
    pairs = enumerate(zip(cells, widths, strict=True))
    return [f"{cell:<{width}}" if place in words else f"{cell:>{width}}" for place, (cell, width) in pairs]
