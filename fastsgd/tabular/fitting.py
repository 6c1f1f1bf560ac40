"""From encoded rows to a trained network: rows held out, members trained, probabilities and quantiles calibrated."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from fastsgd.data.advice import warn
from fastsgd.engine import elementary
from fastsgd.layers import Columns, PiecewiseLinear, quantile_edges
from fastsgd.losses import CrossEntropy, Loss, MeanQuantiles
from fastsgd.network.calibration import divide_logits, temperature_together
from fastsgd.network.network import Network
from fastsgd.optimizers import AdamW, ParameterGroup
from fastsgd.runs.callback import Callback
from fastsgd.runs.callbacks import EarlyStopping, TimeLimit
from fastsgd.runs.checkpoint import Checkpoint
from fastsgd.runs.feeds import steps_in
from fastsgd.runs.history import History
from fastsgd.schedules import OneCycle
from fastsgd.tabular.linear import as_member, fits, train_linear
from fastsgd.tabular.recipe import Recipe
from fastsgd.training import train

QUANTILES = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
EDGES_FROM = 100_000         # rows, at most, that quantiles of a column are taken from
PRIOR = 5.0                  # rows that say, by their log loss, that no temperature is needed
LEAST = 1e-7                 # a probability counts as no less
LEAST_HALVED = 4             # members of a fold of which half tell how the temperature depends on their number
MOST_SHARPENED = 1.25
TRIAL_SHARE = 0.05           # of the time limit, that measuring the speed may take


@dataclass(frozen=True)
class Rows:
    """Encoded rows: X float32, y class numbers or standardised quantities (rows,), weights or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None

    def part(self, rows: np.ndarray) -> Rows:
        """Some of them."""
        return Rows(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    @property
    def as_tuple(self) -> tuple:
        """X, y and weight, as ``train`` takes validation rows."""
        return self.X, self.y, self.weight

    def __len__(self) -> int:
        return len(self.X)


@dataclass(frozen=True)
class Fold:
    """Rows held out, and the members that were not trained on them: their numbers, their history, the best step.

    ``numbers`` are those of the rows among the rows of the fit, None where they were given beside these.
    """

    held_out: Rows
    numbers: np.ndarray | None
    members: slice
    history: History
    best_step: int


@dataclass
class Fitted:
    """A trained network, with an output for each class, or for the mean and each of QUANTILES.

    Where no row could be ``held_out``, a fold holds those that were trained on.
    """

    net: Network
    recipe: Recipe
    folds: list[Fold]
    linear: int = 0              # of each fold's members, how many are copies of its linear model
    held_out: bool = True


# ---- rows that are held out ----

def hold_out(y: np.ndarray, fraction: float, classes: int, rng: np.random.Generator) -> np.ndarray:
    """The numbers of rows to hold out, in order: of each class the same part, but of no class all rows.

    Where the classes are too small for that, a row of some of them; none of fewer than 4 rows.
    """
    groups = _groups(y, classes, rng)
    held = [group[:min(round(fraction * len(group)), len(group) - 1)] for group in groups if len(group)]
    if len(y) >= 4 and not sum(map(len, held)):
        spare = [group[:1] for group in groups if len(group) > 1]
        held += [spare[place] for place in rng.permutation(len(spare))[:max(1, round(fraction * len(y)))]]
    return np.sort(np.concatenate(held))


def folds_of(y: np.ndarray, count: int, classes: int, rng: np.random.Generator) -> list[np.ndarray]:
    """So many parts of the rows, each with the same part of each class; fewer of fewer rows, and none of 2 or 3."""
    count = min(count, len(y) // 2)
    if count < 2:
        return []
    number = np.empty(len(y), dtype=int)
    begin = 0
    for group in _groups(y, classes, rng):
        number[group] = (begin + np.arange(len(group))) % count
        begin += len(group)
    return [np.flatnonzero(number == fold) for fold in range(count)]


def _groups(y: np.ndarray, classes: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of each class in a random order; of a quantity all rows."""
    order = rng.permutation(len(y))
    return [order[y[order] == label] for label in range(classes)] if classes else [order]


# ---- training ----

def fit(rows: Rows, recipe: Recipe, categories: dict[int, int], classes: int, *, seed: int,
        validation: Rows | None = None, fraction: float = 0.2, threads: int | None = None,
        time_limit: float | None = None, callbacks: Iterable[Callback] = (),
        checkpoint: Callable[[int], Checkpoint] | None = None, resume: bool = False) -> Fitted:
    """Trains what the recipe says on rows, of which a part is held out where no ``validation`` rows are given.

    ``categories`` are the inputs that hold codes, with their numbers of levels. The same seed gives the same bits for
    any number of threads, but not with a ``time_limit`` that is reached. ``checkpoint`` gives that of a fold, from
    which with ``resume`` its training goes on.
    """
    rng = np.random.default_rng(seed)
    end = None if time_limit is None else time.perf_counter() + time_limit
    if validation is not None or recipe.folds == 1:
        recipe = replace(recipe, folds=1)
        held = [] if validation is not None else [hold_out(rows.y, fraction, classes, rng)]
    else:
        held = folds_of(rows.y, recipe.folds, classes, rng)
    layers = _layers(rows, recipe, categories, classes)
    if end is not None:
        recipe = _in_time(rows, recipe, layers, classes, seed, threads, end)
        held = held[:recipe.folds]
    all_rows = np.arange(len(rows))
    parts: list[tuple] = [(rows, validation, None)] if validation is not None else [
        (rows.part(np.setdiff1d(all_rows, out)), rows.part(out), out) for out in held if len(out)]
    held_out = bool(parts)
    if not held_out:
        warn(f"none of the {len(rows)} rows can be held out: those that are trained on choose the epoch and set the "
             "probabilities or quantiles right, so that figures of them are too good")
        parts = [(rows, rows, all_rows)]
    if validation is None and rows.weight is not None and not all(
            part.weight.any() for each in parts for part in each[:2]):
        raise ValueError(f"weights are above 0 in {np.count_nonzero(rows.weight):,} of {len(rows):,} rows, too few for "
                         "some to be held out and others to be trained on; leave out the rows of weight 0, or give "
                         "X_val and y_val")
    nets, linear, runs = [], [], []
    for number, (kept, check, out) in enumerate(parts):
        net = _network(recipe, layers, classes, seed + number * recipe.members)
        stopping = EarlyStopping(recipe.patience)
        limits = [] if end is None else [TimeLimit(max(0.01, (end - time.perf_counter()) / (len(parts) - number)))]
        history = _train(net, kept, recipe, seed + number * recipe.members, threads, check.as_tuple,
                         [stopping, *limits, *callbacks], checkpoint and checkpoint(number), resume)
        nets.append(net)
        runs.append((check, out, history, stopping.best_step or history.steps))
        if end is None and fits(layers):
            linear.append(train_linear(layers, _loss(classes), kept.X, kept.y, kept.weight,
                                       check.as_tuple, recipe.batch_size, seed + number, threads))
    checks = [check for check, *_ in runs]
    for each in filter(None, (nets, linear) if classes else ()):
        _divide(each, temperature_together(each, [own.as_tuple for own in checks], PRIOR, threads))
    counts = _counts(nets, linear, checks, recipe.members, classes, threads)
    if classes and len(nets) > 1 and counts[0] >= LEAST_HALVED:
        _divide([*nets, *linear], _temperature_of_all(nets, checks, threads))
    made = _side_by_side(nets, linear, counts, recipe, layers, classes)
    folds = [Fold(check, out, slice(number * sum(counts), (number + 1) * sum(counts)), history, best_step)
             for number, (check, out, history, best_step) in enumerate(runs)]
    if not classes:
        _shift_quantiles(made, folds, threads)
    return Fitted(made, replace(recipe, members=counts[0]), folds, counts[1], held_out)


def _layers(rows: Rows, recipe: Recipe, categories: dict[int, int], classes: int) -> list:
    """The layers, from the columns on."""
    columns = rows.X.shape[1]
    numbers = [column for column in range(columns) if column not in categories]
    encoding = None
    if numbers:
        some = rows.X[::-(-len(rows) // EDGES_FROM), numbers]
        encoding = PiecewiseLinear(quantile_edges(some, recipe.bins), extrapolate=False, with_numbers=True)
    return [columns, Columns(categories, numbers=encoding, lazy=False), *[recipe.width] * recipe.depth,
            classes or 1 + len(QUANTILES)]


def _loss(classes: int) -> Loss:
    return CrossEntropy() if classes else MeanQuantiles(QUANTILES)


def _network(recipe: Recipe, layers: list, classes: int, seed: int) -> Network:
    return Network(layers, recipe.activation, _loss(classes), seed=seed, members=recipe.members)


def _train(net: Network, rows: Rows, recipe: Recipe, seed: int, threads: int | None, validation: tuple | None,
           callbacks: Iterable[Callback], checkpoint: Checkpoint | None = None, resume: bool = False) -> History:
    steps = steps_in(len(rows), recipe.batch_size)
    optimizer = AdamW(OneCycle(recipe.learning_rate, steps * recipe.epochs), weight_decay=recipe.weight_decay,
                      groups={"bias": ParameterGroup(1.0, 0.0)})
    return train(net, rows.X, rows.y, optimizer=optimizer, batch_size=recipe.batch_size, epochs=recipe.epochs,
                 seed=[seed + number for number in range(recipe.members)] if recipe.members > 1 else seed,
                 threads=threads, sample_weight=rows.weight, dropout=recipe.dropout, validation=validation,
                 callbacks=callbacks, checkpoint=checkpoint, resume=resume)


def _in_time(rows: Rows, recipe: Recipe, layers: list, classes: int, seed: int, threads: int | None,
             end: float) -> Recipe:
    """The recipe, or a smaller one where a part of an epoch says that it would take too long."""
    left = end - time.perf_counter()
    part = rows.part(np.arange(min(len(rows), 4 * recipe.batch_size)))
    net, done, began = _network(recipe, layers, classes, seed), 0, time.perf_counter()
    while not done or (time.perf_counter() - began < TRIAL_SHARE * left and done < len(rows)):
        _train(net, part, replace(recipe, epochs=1), seed, threads, None, ())
        done += len(part)
    per_epoch = (time.perf_counter() - began) / done * len(rows)
    return recipe.within(1.1 * per_epoch, end - time.perf_counter())


# ---- what held-out rows tell ----

def _counts(nets: list[Network], linear: list[Network], checks: list[Rows], members: int, classes: int,
            threads: int | None) -> tuple[int, int]:
    """How many networks of a fold, and copies of its linear model beside them, predict held-out rows best.

    Networks alone, where the others are no better.
    """
    if not linear:
        return members, 0
    few = max(1, members // 4)
    choices = [(members, 0), *sorted({(members, 1), (members, few), (members, max(1, members // 2)), (members, members),
                                      (few, 2 * few), (few, 4 * few), (0, 1)}, reverse=True)]
    predicted = [[net.predict(own.X, threads=threads).astype(float) for net, own in zip(each, checks, strict=True)]
                 for each in (nets, linear)]
    rows = together(checks)
    of_networks, of_linear = map(np.concatenate, predicted)

    def cost(counts: tuple[int, int]) -> float:
        share = counts[1] / sum(counts)
        return mean_cost((1 - share) * of_networks + share * of_linear, rows, classes)

    return min(choices, key=cost)


def mean_cost(outputs: np.ndarray, rows: Rows, classes: int) -> float:
    """The log loss, or the mean squared error of the mean."""
    each = -elementary.log(np.maximum(outputs[np.arange(len(rows)), rows.y].astype(float), LEAST)) if classes else (
        outputs[:, 0].astype(float) - rows.y) ** 2
    return float(np.average(each, weights=rows.weight))


def _divide(nets: list[Network], temperature: float) -> None:
    for net in nets:
        divide_logits(net, temperature)


def _temperature_of_all(nets: list[Network], checks: list[Rows], threads: int | None) -> float:
    """Of the members of all folds together, which no held-out row has seen, where those of one fold have 1.

    The more members, the less sure is their mean of itself. The inverse of the best temperature is taken to be linear
    in the inverse of their number, through that of half of a fold's members and that of all of them.
    """
    members = nets[0].architecture.members
    half = members // 2
    temperature = temperature_together(nets, [own.as_tuple for own in checks], PRIOR, threads, half)
    slope = (1 - 1 / temperature) / (1 / half - 1 / members)
    return 1 / min(max(1 + slope * (1 / members - 1 / (members * len(nets))), 1), MOST_SHARPENED)


def together(parts: list[Rows]) -> Rows:
    """All of them, with weights where they have any."""
    weights = [part.weight for part in parts if part.weight is not None]
    return Rows(np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts]),
                np.concatenate(weights) if weights else None)


def _side_by_side(nets: list[Network], linear: list[Network], counts: tuple[int, int], recipe: Recipe, layers: list,
                  classes: int) -> Network:
    """One network of the members of all folds, of each first its networks and then copies of its linear model."""
    if len(nets) == 1 and counts == (recipe.members, 0):
        return nets[0]
    made = _network(replace(recipe, members=sum(counts) * len(nets)), layers, classes, 0)
    for fold, net in enumerate(nets):
        first = fold * sum(counts)
        for number in range(sum(counts)):
            member = made.member(first + number)
            if number < counts[0]:
                member.params[:] = net.member(number).params
            else:
                as_member(linear[fold], member)
    return made


def _shift_quantiles(net: Network, folds: list[Fold], threads: int | None) -> None:
    """Moves each quantile so that of the held-out rows just its part lies below it.

    (Conformalized quantile regression, Romano, Patterson and Candes 2019, arXiv 1905.03222, for each side alone.)
    """
    rows = together([fold.held_out for fold in folds])
    errors = rows.y[:, np.newaxis] - np.concatenate(
        [predict_fold(net, fold, fold.held_out.X, threads)[:, 1:] for fold in folds])
    shifts = [_quantile(errors[:, i], level, rows.weight) for i, level in enumerate(QUANTILES)]
    for number in range(net.architecture.members):
        net.member(number).biases[-1][1:] += shifts


def predict_fold(net: Network, fold: Fold, X: np.ndarray, threads: int | None) -> np.ndarray:
    """What the members say that were not trained on a fold's held-out rows."""
    count = fold.members.stop - fold.members.start
    if count == net.architecture.members:
        return net.predict(X, threads=threads)
    return np.mean([net.member(number).predict(X, threads=threads)
                    for number in range(fold.members.start, fold.members.stop)], axis=0)


def _quantile(values: np.ndarray, level: float, weight: np.ndarray | None) -> float:
    """Below which lies a part ``level`` of the weights and of one more mean weight."""
    order = np.argsort(values)
    below = np.cumsum(np.ones(len(values)) if weight is None else weight[order])
    return float(np.interp(level * (below[-1] + below[-1] / len(values)), below, values[order]))
