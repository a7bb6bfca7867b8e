"""A fit from the estimator's parameters and the user's samples to the mixture that is found."""

import math
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from latentcore import _errors
from latentcore.mixture import _arrays
from latentcore.mixture._batch import pick
from latentcore.mixture._em import Fit, Options, best_of_restarts
from latentcore.mixture._initialise import Given, starts
from latentcore.mixture._priors import Priors
from latentcore.mixture._shard import Shard, picked
from latentcore.mixture._source import Preparation, Resident, Source, exemplars, known_shares, without_gaps
from latentcore.mixture._stream import Stream, opened
from latentcore.mixture.clamped import class_table, components_of_classes
from latentcore.mixture.distributed import Group, group_of
from latentcore.mixture.labels import check_labels, classes_of, decode_from_labels
from latentcore.mixture.streaming import Draw, Streamed, survey
from latentcore.reference import MixtureParameters

if TYPE_CHECKING:
    from latentcore.mixture._bar import Bar

# shapes: (N, D) samples of this process, K components, C classes


@dataclass(frozen=True)
class Found:
    """What a fit found.

    Attributes:
        fit: The mixture.
        dtype: Of the samples.
        samples: How many there were; the sum of their weights.
        classes: The class numbers, (C,), where there were labels.
        table: p(class | component), (K, C), likewise.
    """

    fit: Fit
    dtype: torch.dtype
    samples: float
    classes: Tensor | None = None
    table: Tensor | None = None


def options_of(estimator: Any, device: torch.device) -> Options:
    """What EM needs to know of an estimator with `n_features_in_`."""
    return Options(
        estimator.covariance_type,
        float(estimator.reg_covar),
        float(estimator.tol),
        estimator.max_iter,
        estimator.verbose_interval if estimator.verbose else 0,
        Priors.checked(estimator, device),
        estimator.reseed,
    )


def fit_mixture(estimator: Any, X: Any, sample_weight: Any, labels: Any, group: Any) -> Found:
    """Fit the mixture that an estimator describes; the estimator learns the number of features only."""
    processes = group_of(group)
    with processes.agreeing():
        estimator._validate_params()
        X = opened(X)
    random = processes.random(check_random_state(estimator.random_state))
    with _bar() if estimator.verbose and isinstance(X, Stream) else nullcontext() as bar:
        with processes.agreeing():
            source: Source
            if isinstance(X, Stream):
                source = _streamed(estimator, X, sample_weight, labels, processes, random, bar)
            else:
                source = _resident(estimator, X, sample_weight, labels, processes)
        if group is not None:
            processes.same("sample_weight: whether it is given", sample_weight is not None)
            processes.same("labels: whether they are given", labels is not None)
            _same_in_all(processes, estimator, source)
        return _Fitting(estimator, source, random).run(labelled=labels is not None)


def _same_in_all(processes: Group, estimator: Any, source: Source) -> None:
    """The processes fit the same mixture in the same way: messages of different lengths would never arrive."""
    processes.same("X: the number of features", estimator.n_features_in_)
    processes.same("X: the bytes of a number", source.dtype.itemsize)
    processes.same("X: whether it is a stream", isinstance(source, Streamed))
    # arrays are told apart by their shape; a seed may differ, for the first process's counts
    options = {name: np.shape(value) if np.ndim(value) else value for name, value in estimator.get_params().items()}
    del options["random_state"]
    processes.same("the options, as a number", zlib.crc32(repr(options).encode()))


def _resident(estimator: Any, X: Any, sample_weight: Any, labels: Any, group: Group) -> Resident:
    missing = estimator.missing == "marginalize"
    x = _arrays.samples(estimator, X, reset=True, missing=missing)
    known = None if labels is None else check_labels(labels, len(x), x.device)
    preparation = Preparation(missing, float(estimator.reg_covar))
    return Resident(Shard(x, _arrays.weights(sample_weight, len(x), x), known, group), preparation)


def _bar() -> "AbstractContextManager[Bar | None]":
    """What shows how far a pass is; nothing where rich, which draws it, is not installed."""
    try:
        from latentcore.mixture._bar import Bar
    except ModuleNotFoundError:
        return nullcontext()
    return Bar()


def _streamed(
    estimator: Any,
    stream: Stream,
    sample_weight: Any,
    labels: Any,
    group: Group,
    random: np.random.RandomState,
    bar: "Bar | None",
) -> Streamed:
    missing = estimator.missing == "marginalize"
    # how many samples there are is known after the first pass only
    host = torch.device("cpu")
    given = None if sample_weight is None else _arrays.tensor(sample_weight, host, name="sample_weight")
    known = None if labels is None else check_labels(labels, None, host)
    fits = given is None or given.dim() == 0 or known is None or len(given) == len(known)
    always = exemplars(known, given.expand(len(known)) if given is not None and known is not None and fits else None)
    size = None if estimator.init_size is None else max(estimator.init_size, estimator.n_components)
    draw = Draw(size, random, always, None if given is None or given.dim() == 0 else given.numpy(), stream.length)
    seen = survey(stream, draw, missing=missing, sample_weight=given, bar=bar)
    x, rows = draw.result()
    _arrays.check_features(estimator, x.shape[1], reset=True)
    weight = _arrays.weights(sample_weight, seen.count, x)
    known = None if labels is None else check_labels(labels, seen.count, x.device)
    places = torch.from_numpy(rows).to(x.device)
    drawn = Shard(x, picked(weight, places), picked(known, places), group)
    preparation = Preparation(missing, float(estimator.reg_covar))
    return Streamed(stream, seen, drawn, weight, known, preparation, bar)


def checked_starts(
    estimator: Any,
    shard: Shard,
    means: Tensor | None,
    n_components: int | Sequence[int],
    options: Options,
    random: np.random.RandomState,
) -> MixtureParameters:
    """Where the restarts of an estimator begin, with the features' means for gaps.

    Several numbers of components are those of the classes.
    """
    K = sum(n_components) if isinstance(n_components, Sequence) else int(n_components)
    given = Given.checked(estimator, K, shard.x.device)
    if (counted := shard.counted) < K:
        of_weight = "" if shard.weight is None else " of weight > 0"
        _errors.fail_value("X", f"at least n_components = {K} samples{of_weight}", counted)
    filled, shares = without_gaps(shard, means), None if means is None else known_shares(shard)
    return starts(filled, shares, given, n_components, estimator.init_params, estimator.n_init, options, random)


def continued(estimator: Any, n_components: int, device: torch.device) -> MixtureParameters:
    """The mixture that an estimator already is and goes on from; it has as many components as are asked for."""
    parameters: MixtureParameters = estimator._parameters(device)
    if (count := len(parameters.weights)) != n_components:
        _errors.fail_value("n_components", f"{count}, as many as the mixture has that is continued", n_components)
    return parameters


class _Fitting:
    """One fit of an estimator to a source."""

    def __init__(self, estimator: Any, source: Source, random: np.random.RandomState) -> None:
        self.estimator, self.source, self.random = estimator, source, random
        self.device = source.device
        self.options = options_of(estimator, self.device)

    def run(self, *, labelled: bool) -> Found:
        """The mixture, and how it is read where there are labels."""
        if labelled:
            return self._with_labels()
        if self.estimator.n_components_per_class is not None:
            _errors.fail_value("labels", "class numbers beside n_components_per_class", None)
        return self._found(self._best_fit(self.estimator.n_components))

    def _with_labels(self) -> Found:
        classes = classes_of(self.source)
        self.source = self.source.indexed(classes)
        if self.estimator.n_components_per_class is not None:
            counts = self._components_of_classes(len(classes))
            table = class_table(counts, self.device)
            self.source = self.source.prepared(replace(self.source.preparation, table=table))
            return self._found(self._best_fit(counts), classes, table)
        # the components find their places alone, then their classes, then the labelled samples are held to these
        free = self._best_fit(self.estimator.n_components).parameters
        table = self._decoded(free, len(classes))
        self.source = self.source.prepared(replace(self.source.preparation, table=table))
        fit = best_of_restarts(self.source, pick(free, None), self.options)
        return self._found(fit, classes, self._decoded(fit.parameters, len(classes)))

    def _found(self, fit: Fit, classes: Tensor | None = None, table: Tensor | None = None) -> Found:
        return Found(fit, self.source.dtype, self.source.total, classes, table)

    def _components_of_classes(self, n_classes: int) -> list[int]:
        counts = components_of_classes(self.estimator.n_components_per_class, n_classes)
        if self.estimator.n_components not in (1, sum(counts)):
            expected = f"1 or {sum(counts)}, the components of {n_classes} classes"
            _errors.fail_value("n_components", expected, self.estimator.n_components)
        return counts

    def _decoded(self, parameters: MixtureParameters, n_classes: int) -> Tensor:
        propagation = float(self.estimator.label_propagation)
        return decode_from_labels(
            self.source, parameters, self.options.covariance_type, n_classes, propagation=propagation
        )

    def _best_fit(self, n_components: int | Sequence[int]) -> Fit:
        """The best of the restarts; several numbers of components are those of the classes."""
        estimator, source, options = self.estimator, self.source, self.options
        K = sum(n_components) if isinstance(n_components, Sequence) else int(n_components)
        if estimator.warm_start and hasattr(estimator, "means_"):
            begin = pick(continued(estimator, K, self.device), None)
            return best_of_restarts(source, begin, options, getattr(estimator, "lower_bound_", -math.inf))
        if estimator.init_size is not None and estimator.init_size < K:
            _errors.fail_value("init_size", f"at least n_components = {K}", estimator.init_size)
        part, whole = source.start(estimator.init_size, self.random)
        # there is nothing to try where the user gives all of the start
        given = (estimator.weights_init, estimator.means_init, estimator.precisions_init)
        whole = whole or all(value is not None for value in given)
        begin = checked_starts(estimator, part, source.means, n_components, options, self.random)
        if whole:
            return best_of_restarts(source, begin, options)
        fit = best_of_restarts(Resident(part, source.preparation), begin, options)
        return best_of_restarts(source, pick(fit.parameters, None), options)
