"""Figures of a table's model on some rows, in the target's own units, each beside a baseline.

A baseline is the best that a constant does on the same rows: the most frequent class, the classes' frequencies, the
mean, the median, a quantile.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fastsgd.cli import scores
from fastsgd.cli.console import printable
from fastsgd.losses import Loss, as_loss
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.tabular.model import TabularModel

MAX_LINES = 30             # of a table with a line per class
MAX_COLUMNS, WIDEST = 20, 120                  # of a confusion table, in classes and in characters
MAX_CONFUSIONS = 12        # that are named where it would be larger
MIN_ROWS = 10            # below which no doubt is raised
MAX_IN_JSON = 100          # classes of a confusion table there
COVERAGE = 0.9           # of the interval whose rows are counted


def scorecard(model: TabularModel, X: np.ndarray, y: np.ndarray,
              outputs: np.ndarray | None = None) -> ClassScores | QuantityScores:
    """Of a model on rows and targets as ``encoding.rows`` and ``encoding.targets`` give them.

    ``outputs`` are what the network says of them, where that is not what it predicts: of rows that some of its members
    were trained on.
    """
    net, encoding = model.net, model.encoding
    cost, metric = net.evaluate(X, y)
    if encoding.classes:
        kind, outputs = net.architecture.loss_type.targets, model.outputs(X) if outputs is None else outputs
        table = scores.confusion(y, labels_of(outputs, kind), len(encoding.classes))
        outputs = probabilities_of(outputs, kind)
        return ClassScores(len(X), cost, tuple(map(str, encoding.classes)), table, scores.log_loss(y, outputs),
                           scores.auc_of_classes(y, outputs), kind.in_order)
    predicted = model.outputs(X) if outputs is None else model.in_own_units(outputs)
    predicted, deviations = np.split(predicted, [net.architecture.targets], axis=1)
    truth, names = np.asarray(y, float).reshape(len(X), -1), encoding.target_names
    truth = np.repeat(truth, predicted.shape[1] // truth.shape[1], axis=1)
    if not encoding.own_units:
        truth = truth * encoding.target_scale() + encoding.target_offset()
    if encoding.mean_and_quantiles:
        low, high = model.quantiles(predicted, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)).T
        return QuantityScores(len(X), cost, scores.r2(truth[:, 0], predicted[:, 0]), (
            Quantity(names[0], "squared_error", truth[:, 0], predicted[:, :1], interval=(low, high)),))
    each = predicted.shape[1] // len(names)
    levels = tuple(level for level in encoding.quantiles if level is not None)
    return QuantityScores(len(X), cost, metric, tuple(
        Quantity(name, net.loss_function, truth[:, i * each], predicted[:, i * each:(i + 1) * each],
                 levels, deviations[:, i] if deviations.size else None)
        for i, name in enumerate(names)))


@dataclass(frozen=True)
class ClassScores:
    """Of a model of classes: ``confusion`` as :func:`fastsgd.cli.scores.confusion` gives it."""

    rows: int
    cost: float
    classes: tuple[str, ...]
    confusion: np.ndarray
    log_loss: float
    auc: float
    in_order: bool = False

    @property
    def accuracy(self) -> float:
        """The part of the rows whose class is found."""
        return float(self.confusion.trace()) / self.rows

    @property
    def shares(self) -> np.ndarray:
        """The part of the rows that each class has."""
        return self.confusion.sum(axis=1) / self.rows

    @property
    def distance(self) -> tuple[float, float]:
        """How many places lie between a row's class and the one that is found, on average; and between that and the
        median class."""
        places = np.arange(len(self.classes))
        counts = self.confusion.sum(axis=1)
        median = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
        return (float((self.confusion * abs(places[:, np.newaxis] - places)).sum()) / self.rows,
                float((counts * abs(places - median)).sum()) / self.rows)

    @property
    def log_loss_of_shares(self) -> float:
        """The log loss of predicting these for every row."""
        there = self.shares[self.shares > 0]
        return float(-(there * np.log(there)).sum())

    def line(self) -> str:
        """All in one line."""
        parts = [f"accuracy {self.accuracy:.4f} on {self.rows:,} rows (always {self._frequent()}: "
                 f"{self.shares.max():.4f})",
                 f"log loss {self.log_loss:.4f} (the classes' shares: {self.log_loss_of_shares:.4f})"]
        if self.in_order:
            parts.insert(1, "distance {:.4f} places (the median class: {:.4f})".format(*self.distance))
        return ", ".join(parts + [f"AUC {self.auc:.4f}"] * math.isfinite(self.auc))

    def doubt(self) -> str | None:
        """Where the model is no better than a constant, that in words."""
        if self.accuracy > self.shares.max() or self.shares.max() == 1 or self.rows < MIN_ROWS:
            return None
        found = scores.recall(self.confusion)
        mean = float(np.nanmean(found))
        said = (f"accuracy {self.accuracy:.4f} is no better than always predicting {self._frequent()} "
                f"({self.shares.max():.4f})")
        if mean > 1.1 / np.isfinite(found).sum():
            said += f"; rare classes are found more often than by that, though: the mean recall is {mean:.4f}"
        elif self.tells_more:
            said += (f"; the probabilities tell more, though: the AUC is {self.auc:.4f} (training with --class-weight "
                     "balanced names rare classes more often)")
        return said

    @property
    def tells_more(self) -> bool:
        """Whether the probabilities rank rows well, whatever the accuracy is."""
        return self.auc > 0.6

    def text(self) -> str:
        """Figures, classes and a confusion table."""
        told = [("accuracy", self.accuracy, f"{self.shares.max():.4f} by always predicting {self._frequent()}"),
                ("log loss", self.log_loss, f"{self.log_loss_of_shares:.4f} by predicting the classes' shares")]
        if self.in_order:
            told.insert(1, ("distance", self.distance[0], f"places; {self.distance[1]:.4f} by the median class"))
        if math.isfinite(self.auc):
            told.append(("AUC", self.auc, "0.5 by guessing" if len(self.classes) == 2 else
                         "each class against the rest, the mean; 0.5 by guessing"))
        lines = [f"{self.rows:,} rows  cost {self.cost:.4f}"]
        lines += [f"{name:9} {value:.4f}  ({baseline})" for name, value, baseline in told]
        width = max(5, *(len(_short(name, 24)) for name in self.classes))
        right, found = scores.precision(self.confusion), scores.recall(self.confusion)
        lines += ["", f"{'class':{width}}  {'rows':>8}  precision  recall"]
        for i in range(min(len(self.classes), MAX_LINES)):
            lines.append(f"{_short(self.classes[i], 24):{width}}  {self.confusion[i].sum():8,}  "
                         f"{_figure(right[i]):>9}  {_figure(found[i]):>6}")
        if len(self.classes) > MAX_LINES:
            lines.append(f"and {len(self.classes) - MAX_LINES} classes more, which --json names")
        return "\n".join([*lines, "", *self._confusions()])

    def _confusions(self) -> list[str]:
        names = [_short(name, 10) for name in self.classes]
        widths = [max(len(name), len(f"{count:,}")) for name, count in
                  zip(names, self.confusion.max(axis=0), strict=True)]
        first = max(10, *map(len, names))
        if len(names) <= MAX_COLUMNS and first + sum(widths) + 2 * len(names) + 15 <= WIDEST:
            head = "  ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
            return [f"{'true':{first}}  {head}   <- predicted"] + [
                f"{name:{first}}  " + "  ".join(f"{count:{width},}" for count, width in
                                                zip(counts, widths, strict=True))
                for name, counts in zip(names, self.confusion.tolist(), strict=True)]
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSIONS]
        pairs = [(int(at) // len(wrong), int(at) % len(wrong)) for at in order]
        return ["most frequent confusions"] + [
            f"{_short(self.classes[i], 24)} taken for {_short(self.classes[j], 24)}: {wrong[i, j]:,} of "
            f"{self.confusion[i].sum():,} rows" for i, j in pairs if wrong[i, j]]

    def _frequent(self) -> str:
        return repr(_short(self.classes[int(self.shares.argmax())], 24))

    def figures(self) -> dict:
        """For JSON."""
        right, found = scores.precision(self.confusion), scores.recall(self.confusion)
        figures: dict = {"rows": self.rows, "cost": self.cost, "accuracy": self.accuracy, "log_loss": self.log_loss,
                         "auc": self.auc, "baseline": {"accuracy": float(self.shares.max()),
                                                       "log_loss": self.log_loss_of_shares},
                         "classes": {name: {"rows": int(self.confusion[i].sum()), "precision": float(right[i]),
                                            "recall": float(found[i])} for i, name in enumerate(self.classes)}}
        if self.in_order:
            figures["distance"], figures["baseline"]["distance"] = self.distance
        if len(self.classes) <= MAX_IN_JSON:
            figures["confusion"] = self.confusion.tolist()
        return _finite(figures)


@dataclass(frozen=True)
class Quantity:
    """One target: its values y (rows,) and predictions (rows, 1), or (rows, quantiles)."""

    name: str
    loss: str | Loss
    y: np.ndarray = field(repr=False)
    predicted: np.ndarray = field(repr=False)
    quantiles: tuple[float, ...] = ()
    deviation: np.ndarray | None = field(default=None, repr=False)              # (rows,) that is predicted, too
    interval: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)    # that COVERAGE should lie in

    @property
    def measured(self) -> list[tuple[str, float, float, str]]:
        """Each figure: its name, its value, the baseline, and what that is; what is minimised first."""
        y = self.y
        if self.quantiles:
            return [(f"q{q:g} pinball loss", scores.pinball(y, self.predicted[:, i], q),
                     scores.pinball(y, np.full(len(y), np.quantile(y, q, method="inverted_cdf")), q), "a constant")
                    for i, q in enumerate(self.quantiles)]
        loss = as_loss(self.loss)
        a, mean, median = self.predicted[:, 0], np.full(len(y), y.mean()), np.full(len(y), np.median(y))
        found = [("RMSE", scores.rmse(y, a), scores.rmse(y, mean), "the mean"),
                 ("MAE", scores.mae(y, a), scores.mae(y, median), "the median")]
        power = getattr(loss, "power", 0.0)
        if power and y.max() > 0 and a.min() > 0 and (power < 2 or y.min() > 0):
            found.insert(0, ("deviance", scores.deviance(y, a, power), scores.deviance(y, mean, power), "the mean"))
        if self.deviation is not None and y.std() > 0 and self.deviation.min() > 0:
            found.insert(0, ("NLL", scores.negative_log_likelihood(y, a, self.deviation),
                             scores.negative_log_likelihood(y, mean, np.full(len(y), y.std())),
                             "the mean and the deviation"))
        return found[::-1] if loss.name == "absolute_error" else found

    @property
    def r2(self) -> float:
        """R^2; NaN of quantiles and of what does not vary."""
        return math.nan if self.quantiles else scores.r2(self.y, self.predicted[:, 0])

    def below(self) -> list[float]:
        """Of each quantile the part of the rows that are not above it."""
        return [float((self.y <= self.predicted[:, i]).mean()) for i in range(len(self.quantiles))]

    def within(self) -> float:
        """The part of the rows not further from the mean than 1.96 deviations, which should be 0.95."""
        assert self.deviation is not None
        return float((abs(self.y - self.predicted[:, 0]) <= 1.96 * self.deviation).mean())

    def inside(self) -> float:
        """The part of the rows that lie in the interval."""
        assert self.interval is not None
        return float(((self.y >= self.interval[0]) & (self.y <= self.interval[1])).mean())

    def coverage(self) -> list[str]:
        """Of each figure what it says of the part of the rows that a prediction covers, if anything."""
        said = [f"; {part:.1%} of the rows below" for part in self.below()]
        if self.deviation is not None:
            said = [f"; {self.within():.1%} of the rows within 1.96 deviations"]
        if self.interval is not None:
            said = [f"; {self.inside():.1%} of the rows in the interval of {COVERAGE:.0%}"]
        return said + [""] * (len(self.measured) - len(said))

    def doubts(self) -> list[str]:
        """What is minimised, where the model does that no better than a constant."""
        return [f"{name} of {printable(self.name)[:40]!r} {number(value)} ({what}: {number(baseline)})"
                for name, value, baseline, what in self.measured[:max(1, len(self.quantiles))]
                if not value < baseline and (baseline > 0 or name == "NLL") and len(self.y) >= MIN_ROWS]

    def figures(self) -> dict:
        """For JSON."""
        if self.quantiles:
            return {"quantiles": {f"{q:g}": {"pinball_loss": value, "baseline": baseline, "below": below}
                                  for q, (_, value, baseline, _), below in
                                  zip(self.quantiles, self.measured, self.below(), strict=True)}}
        more = {} if self.deviation is None else {"coverage_95": self.within()}
        if self.interval is not None:
            more = {f"coverage_{100 * COVERAGE:g}": self.inside()}
        return {"r2": self.r2, **more, **{name.lower(): value for name, value, _, _ in self.measured},
                "baseline": {name.lower(): baseline for name, _, baseline, _ in self.measured}}


@dataclass(frozen=True)
class QuantityScores:
    """Of a model of quantities; ``r2`` is over all its outputs."""

    rows: int
    cost: float
    r2: float
    targets: tuple[Quantity, ...]

    def line(self) -> str:
        """A line, or one per target."""
        lines = []
        for target in self.targets:
            parts = [f"{name} {number(value)} ({what}: {number(baseline)}{more})"
                     for (name, value, baseline, what), more in zip(target.measured, target.coverage(), strict=True)]
            parts += [f"R^2 {target.r2:.4f}"] * math.isfinite(target.r2)
            name = f"{printable(target.name)[:40]}: " if len(self.targets) > 1 else ""
            lines.append(f"{name}{', '.join(parts)} on {self.rows:,} rows")
        return "\n".join(lines)

    def doubt(self) -> str | None:
        """Where the model is no better than a constant, that in words."""
        found = [doubt for target in self.targets for doubt in target.doubts()]
        return f"no better than the same for every row: {', '.join(found)}" if found else None

    @property
    def tells_more(self) -> bool:
        """Nothing but its figures is looked at."""
        return False

    def text(self) -> str:
        """Figures, each on a line."""
        lines = [f"{self.rows:,} rows  cost {self.cost:.4f}"]
        for target in self.targets:
            if len(self.targets) > 1:
                lines += ["", printable(target.name)[:40]]
            width = max(len(name) for name, *_ in target.measured)
            for (name, value, baseline, what), more in zip(target.measured, target.coverage(), strict=True):
                lines.append(f"{name:{width}}  {number(value)}  ({number(baseline)} by predicting {what}{more})")
            if math.isfinite(target.r2):
                lines.append(f"{'R^2':{width}}  {target.r2:.4f}  (0 by predicting the mean)")
        return "\n".join(lines)

    def figures(self) -> dict:
        """For JSON."""
        each = {target.name: target.figures() for target in self.targets}
        only = next(iter(each.values())) if len(each) == 1 else {"r2": self.r2, "targets": each}
        return _finite({"rows": self.rows, "cost": self.cost, **only})


def number(value: float) -> str:
    """Four digits of a value that may be of any size.

    >>> number(0.51234), number(12345.678), number(1e12)
    ('0.5123', '12,346', '1e+12')
    """
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def _figure(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"


def _short(name: str, most: int) -> str:
    """A name's beginning and end."""
    name = printable(name)
    return name if len(name) <= most else f"{name[:most - most // 2 - 2]}..{name[-(most // 2):]}"


def _finite(figures):
    """The same with None for what is not finite, at any depth."""
    if isinstance(figures, dict):
        return {name: _finite(value) for name, value in figures.items()}
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures
