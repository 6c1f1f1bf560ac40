"""A page about a run of ``fastsgd train``: what was made of the columns, and what the model is worth."""
from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastsgd
from fastsgd.cli import scores
from fastsgd.cli.console import printable, warn
from fastsgd.cli.report import Report
from fastsgd.cli.scorecard import COVERAGE, ClassScores, QuantityScores, number
from fastsgd.engine.machine import cpu_name
from fastsgd.tables.columns import Number
from fastsgd.tabular.fitting import Fitted, Rows
from fastsgd.tabular.model import TabularModel

MOST_COLUMNS, MOST_CLASSES = 200, 30           # that the tables of the page have
MOST_CONFUSED = 8                              # classes that have a column each
MOST_LEVELS = 256                              # of a category, for gradient boosting


@dataclass(frozen=True)
class Outcome:
    """What a run by recipe has learned, and what it is worth on rows that it has not seen.

    ``outputs`` are of the held-out rows, each by members that were not trained on it. ``importances`` are measured
    where there is to be a report. ``remarks`` are what was noticed about the table.
    """

    model: TabularModel
    fitted: Fitted
    rows: Rows
    held_out: Rows
    outputs: np.ndarray
    card: ClassScores | QuantityScores
    importances: np.ndarray | None          # of the encoding's columns
    remarks: list[str]

    @property
    def which_rows(self) -> str:
        """What figures are of."""
        return "held-out rows" if self.fitted.held_out else "rows that were trained on, as none can be held out"


def report_of(options: argparse.Namespace, outcome: Outcome) -> bytes:
    """The page. Pictures need matplotlib, the comparison scikit-learn."""
    encoding, name = outcome.model.encoding, outcome.model.encoding.target.name
    report = Report(f"{printable(name)} from {printable(Path(options.data).name)}")
    kind = f"{len(encoding.classes)} classes" if encoding.classes else "a quantity"
    report.text(f"{len(outcome.rows):,} rows, {len(encoding.columns)} columns to predict {printable(name)} from, "
                f"{kind}. Quality {options.quality}: {outcome.model.net.architecture.members} networks side by side, "
                f"{outcome.model.net.params.size:,} parameters.")
    pictures = importlib.util.find_spec("matplotlib") is not None
    if not pictures:
        report.text('Pictures need matplotlib: pip install "fastsgd[plot]".')
    _quality(report, options, outcome)
    if pictures:
        _pictures(report, outcome)
    importances = outcome.importances
    assert importances is not None
    _columns(report, outcome, importances)
    if pictures:
        from fastsgd import plots
        unit = "log loss" if encoding.classes else f"RMSE of {name}"
        names = [column.name for column in encoding.columns]
        _picture(report, lambda: plots.importances(names, importances, unit=unit),
                 "How much worse predictions of held-out rows become where a column is shuffled among them.")
        _picture(report, lambda: plots.history(outcome.fitted.folds[0].history),
                 "The learning curve" + " of the first fold" * (len(outcome.fitted.folds) > 1) + ".")
    return report.html(f"fastsgd {fastsgd.__version__}, {cpu_name()}, {time.strftime('%d %B %Y')}; seed {options.seed}")


def _quality(report: Report, options: argparse.Namespace, outcome: Outcome) -> None:
    """Figures of the held-out rows beside a constant's and, if asked for, gradient boosting's."""
    card = outcome.card
    report.heading(f"Quality on {card.rows:,} {outcome.which_rows}")
    if isinstance(card, QuantityScores):
        target = card.targets[0]
        figures = [(name, value, baseline, f"predicting {what}") for name, value, baseline, what in target.measured]
        figures.append(("R^2", target.r2, 0.0, "predicting the mean"))
    else:
        figures = [("accuracy", card.accuracy, float(card.shares.max()), "always the most frequent class"),
                   ("log loss", card.log_loss, card.log_loss_of_shares, "the classes' shares")]
        figures += [("AUC", card.auc, 0.5, "guessing")] * bool(np.isfinite(card.auc))
    other = _boosting(options, outcome) if options.compare else {}
    head = ["", "fastsgd", *(["gradient boosting"] if other else []), "baseline", "which is"]
    report.table(head, [[name, _number(value), *([_number(other[name]) if name in other else ""] if other else []),
                         _number(baseline), what] for name, value, baseline, what in figures])
    report.text("These rows chose the epochs and set the probabilities or quantiles right, so that new rows may fare a "
                "little worse.")
    if not isinstance(card, QuantityScores) and len(card.classes) <= MOST_CLASSES:
        _confusion(report, card)


def _confusion(report: Report, card: ClassScores) -> None:
    """How many rows of each class are found, and what the others are taken for."""
    names = [printable(level) for level in card.classes]
    shown = len(names) if len(names) <= MOST_CONFUSED else 0
    counts = card.confusion.sum(axis=1)
    recall = card.confusion.diagonal() / np.maximum(1, counts)
    report.table(["class", "rows", "found", *(f"taken for {name:.20}" for name in names[:shown])], [
        [name, f"{int(count):,}", f"{share:.1%}", *(f"{int(number):,}" for number in taken[:shown])]
        for name, count, share, taken in zip(names, counts, recall, card.confusion, strict=True)])


def _boosting(options: argparse.Namespace, outcome: Outcome) -> dict[str, float]:
    """The same figures of scikit-learn's gradient boosting: trained and judged on the same rows, fold by fold."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        warn('--compare needs scikit-learn: pip install "fastsgd[sklearn]"')
        return {}
    encoding, rows, found = outcome.model.encoding, outcome.rows, []
    kind = HistGradientBoostingClassifier if encoding.classes else HistGradientBoostingRegressor
    categories = [column for column, levels in encoding.categories().items() if levels < MOST_LEVELS]
    for fold in outcome.fitted.folds:
        kept = np.setdiff1d(np.arange(len(rows)), fold.numbers)                # type: ignore[arg-type]
        model = kind(early_stopping=True, max_iter=1000, random_state=options.seed, categorical_features=categories)
        model.fit(_with_gaps(rows.X[kept], categories), rows.y[kept])
        X = _with_gaps(fold.held_out.X, categories)
        if encoding.classes:
            p = np.zeros((len(X), len(encoding.classes)))
            p[:, model.classes_] = model.predict_proba(X)
            found.append(p)
        else:
            found.append(model.predict(X))
    predicted, y = np.concatenate(found), outcome.held_out.y
    if not isinstance(encoding.target, Number):
        return {"accuracy": float((predicted.argmax(axis=1) == y).mean()), "log loss": scores.log_loss(y, predicted),
                "AUC": scores.auc_of_classes(y, predicted)}
    y, a = encoding.target.in_own_units(y), encoding.target.in_own_units(predicted)
    return {"RMSE": scores.rmse(y, a), "MAE": scores.mae(y, a), "R^2": scores.r2(y, a)}


def _with_gaps(X: np.ndarray, categories: list[int]) -> np.ndarray:
    """Codes of no level are missing."""
    X = X.astype(float)
    for column in categories:
        X[X[:, column] < 0, column] = np.nan
    return X


def _pictures(report: Report, outcome: Outcome) -> None:
    from fastsgd import plots
    encoding, y = outcome.model.encoding, outcome.held_out.y
    if encoding.classes:
        _picture(report, lambda: plots.reliability(y, outcome.outputs), "How often the class that is named is right, "
                 "against how probable the model says that is.")
        return
    target = outcome.card.targets[0]                           # type: ignore[union-attr]
    interval = np.column_stack(target.interval)                # type: ignore[arg-type]
    _picture(report, lambda: plots.predicted(target.y, target.predicted[:, 0], interval, name=target.name),
             f"What held-out rows were against what was predicted, with the interval of {100 * COVERAGE:g} %.")


def _columns(report: Report, outcome: Outcome, importances: np.ndarray) -> None:
    report.heading("Columns")
    encoding = outcome.model.encoding
    order = np.argsort(-importances, kind="stable")[:MOST_COLUMNS]
    rows = []
    for place in order:
        column = encoding.columns[place]
        about = (f"mean {_number(column.offset + column.mean)}" if isinstance(column, Number) else
                 "with gaps" * getattr(column, "gaps", False))
        rows.append([printable(column.name), column.kind, about, _number(importances[place])])
    report.table(["column", "recognised as", "about", "importance"], rows)
    for text in outcome.remarks:
        report.text(f"{printable(text[:1].upper() + text[1:])}.")
    if len(encoding.columns) > MOST_COLUMNS:
        report.text(f"{len(encoding.columns) - MOST_COLUMNS:,} more columns are not shown.")


def _number(value: float) -> str:
    return number(value) if abs(value) >= 1e-4 or not value else f"{value:.5f}"


def _picture(report: Report, draw: Callable[[], Any], caption: str) -> None:
    from fastsgd.plots._axes import last_picture_of
    report.picture(last_picture_of(draw()), caption)
