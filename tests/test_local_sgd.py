"""The arithmetic of distributed rounds, without a cluster: shares, sums, outer steps, transfers."""
from dataclasses import replace

import numpy as np
import pytest

import fastsgd
from fastsgd.distributed import Nesterov, local_sgd
from fastsgd.distributed.bundles import bundles_of
from fastsgd.distributed.local_sgd import Chunk, Outcome, Recipe, RoundStart, Share, add, segments_of
from fastsgd.distributed.outer import outer_step
from fastsgd.distributed.transfer import pack, unpack

ROWS = 360


def parts_of(X, y, partitions, weight=None, chunks=1):
    """The rows as chunks of partitions."""
    found = []
    for rows in np.array_split(np.arange(len(y)), partitions):
        found.append([Chunk(np.ascontiguousarray(X[own]), y[own], None if weight is None else weight[own])
                      for own in np.array_split(rows, chunks)])
    return found


def simulate(net, parts, rounds, local_steps=None, outer=None, threads=1, **options):
    """What a cluster does, in this process; the shares of a round are computed from the last to the first."""
    recipe = Recipe(net.architecture, **{"optimizer": fastsgd.SGD(0.1), "batch_size": 20, "seed": 0, **options})
    params, momentum = net.params.copy(), np.zeros_like(net.params)
    slots, kept, carried = None, [None] * len(parts), [()] * len(parts)
    costs = []
    for number in range(1, rounds + 1):
        start = RoundStart(recipe, number, params.copy(), slots)
        outcomes = [None] * len(parts)
        for p in reversed(range(len(parts))):
            rows = [len(chunk) for chunk in parts[p]]
            steps = local_steps or sum(-(-count // recipe.batch_size) for count in rows)
            before = (number - 1) * steps
            share = Share(p, segments_of(recipe, p, rows, before, steps), before, steps * rounds, carried[p])
            progress = local_sgd.begin(start, share, kept[p])
            for segment in share.segments:
                local_sgd.advance(start, share, segment, progress, parts[p][segment.chunk], threads)
            outcomes[p], kept[p] = local_sgd.finish(start, share, progress, kept[p])
        total = add(outcomes)
        outer_step(outer, params, momentum, total.change / params.dtype.type(total.weight))
        slots = None if total.slots is None else total.slots / params.dtype.type(total.weight)
        carried = [total.carried[p] for p in range(len(parts))]
        costs.append(total.cost / total.counted)
    return params, costs


@pytest.fixture
def rows(digits):
    (X, y), _ = digits
    return X[:ROWS].astype(float), y[:ROWS].astype(np.int32)


@pytest.mark.parametrize("optimizer", [
    fastsgd.SGD(0.2), fastsgd.SGD(0.1, momentum=0.9), fastsgd.SGD(0.1, momentum=0.9, nesterov=True, l2=1e-3),
    fastsgd.SGD(fastsgd.schedules.Cosine(0.3), momentum=0.5, weight_decay=1e-3)], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_one_local_step_is_synchronous_sgd(rows, optimizer, weighted):
    """The steps of one machine whose batches are the union of the partitions'."""
    X, y = rows
    weight = np.random.default_rng(0).random(len(y)) if weighted else None
    partitions, batch, rounds = 4, 15, 3 * 6
    net = fastsgd.Network([64, 16, 10], seed=0, dtype="float64")
    parts = parts_of(X, y, partitions, weight)
    params, costs = simulate(net, parts, rounds, local_steps=1, optimizer=optimizer, batch_size=batch)
    recipe = Recipe(net.architecture, optimizer, batch, 0)
    order, first = [], [0, *np.cumsum([len(part[0]) for part in parts])]
    for step in range(rounds):
        for p in range(partitions):
            (_, epoch, at, _), = segments_of(recipe, p, [len(parts[p][0])], step, 1)
            own = recipe.generator(local_sgd.ORDER_OF_ROWS, p, epoch, 0).permutation(len(parts[p][0]))
            order.extend(first[p] + own[at * batch:(at + 1) * batch])
    one = net.copy()
    history = fastsgd.train(one, X[order], y[order], optimizer=optimizer, batch_size=partitions * batch, epochs=1,
                            shuffle=False, sample_weight=None if weight is None else weight[order])
    np.testing.assert_allclose(params, one.params, rtol=1e-11, atol=1e-13)
    if not weighted:
        assert np.mean(costs) == pytest.approx(history.cost[0], rel=1e-12)


def test_a_share_may_be_computed_again(rows):
    """It has the same bits, in any order of the partitions and with any number of threads; nothing given is changed."""
    X, y = rows
    net = fastsgd.Network([64, 16, 10], seed=0)
    parts = parts_of(X.astype(np.float32), y, 5, chunks=2)
    options = {"optimizer": fastsgd.AdamW(fastsgd.schedules.OneCycle(0.01)), "dropout": (0.25,), "memory": "keep",
               "transfer": "bfloat16"}
    before = [chunk.X.copy() for part in parts for chunk in part]
    one, _ = simulate(net, parts, 4, outer=Nesterov(), **options)
    two, _ = simulate(net, parts, 4, outer=Nesterov(), threads=2, **options)
    assert one.tobytes() == two.tobytes()
    assert all((then == now.X).all() for now, then in zip((c for part in parts for c in part), before, strict=True))


@pytest.mark.parametrize("memory", local_sgd.MEMORIES)
@pytest.mark.parametrize("optimizer", [fastsgd.SGD(0.1, momentum=0.9), fastsgd.Adam(0.01), fastsgd.NAdamW(0.01),
                                       fastsgd.Muon(0.02), fastsgd.SGD(0.5, l1=1e-4, cumulative_l1=True)],
                         ids=lambda optimizer: type(optimizer).__name__)
def test_every_memory_learns(rows, memory, optimizer):
    X, y = rows
    net = fastsgd.Network([64, 16, 10], seed=0)
    params, costs = simulate(net, parts_of(X.astype(np.float32), y, 3), 8, optimizer=optimizer, memory=memory)
    assert np.isfinite(params).all()
    assert costs[-1] < 0.6 * costs[0]


def test_one_partition_alone_is_one_machine(rows):
    """To rounding: the change is added to the parameters that it was taken from."""
    X, y = rows
    net = fastsgd.Network([64, 16, 10], seed=0, dtype="float64")
    (chunk,), = parts_of(X, y, 1)
    params, _ = simulate(net, [[chunk]], 3, optimizer=fastsgd.Adam(0.01))
    recipe, one = Recipe(net.architecture, fastsgd.Adam(0.01), 20, 0), net.copy()
    orders = [recipe.generator(local_sgd.ORDER_OF_ROWS, 0, epoch, 0).permutation(ROWS) for epoch in range(3)]
    fastsgd.train(one, X[np.concatenate(orders)], y[np.concatenate(orders)], optimizer=fastsgd.Adam(0.01),
                  batch_size=20, epochs=1, shuffle=False)
    np.testing.assert_allclose(params, one.params, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 3, 7, 20])
def test_segments_cover_every_epoch_once(steps):
    """Whatever the length of a round, each chunk's batches come once an epoch, in its order."""
    recipe = Recipe(fastsgd.Network([2, 2], seed=0).architecture, fastsgd.SGD(0.1), 10, 0)
    rows, seen, first = [25, 10, 41], [], 0
    while first < 5 * 9:
        for segment in segments_of(recipe, 3, rows, first, steps):
            assert segment.steps > 0
            seen += [(segment.epoch, segment.chunk, segment.first + i) for i in range(segment.steps)]
        first += steps
    seen = seen[:5 * 9]
    for epoch in range(5):
        own = [entry for entry in seen if entry[0] == epoch]
        assert sorted(own) == [(epoch, chunk, batch) for chunk, count in enumerate((3, 1, 5)) for batch in range(count)]
        assert all(batch == sum(other[1] == chunk for other in own[:i]) for i, (_, chunk, batch) in enumerate(own))
    orders = {tuple(dict.fromkeys(entry[1] for entry in seen if entry[0] == epoch)) for epoch in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize("partitions", [1, 2, 3, 5, 8, 13, 16])
def test_sums_are_the_same_whoever_adds_up(partitions):
    """Bundles of any cut and sums of sums: one tree, by the numbers of the partitions."""
    rng = np.random.default_rng(partitions)
    sizes = 10.0 ** rng.integers(-3, 4, partitions)
    each = [Outcome((rng.standard_normal(50) * sizes[p]).astype(np.float32), None, 1.0, 1.0, 0.0, 0.0, 1, {p: ()})
            for p in range(partitions)]
    whole = add(each).change.tobytes()
    for slots in (1, 2, 3, 4, 7):
        for salt in range(5):
            apart = np.random.default_rng(salt).random(partitions + 1) < 0.5
            blocks = bundles_of(partitions, slots, lambda block, apart=apart: not apart[block.start])
            assert [p for block in blocks for p in block] == list(range(partitions))
            assert add([add([each[p] for p in block]) for block in blocks]).change.tobytes() == whole


def test_sums_count_what_was_moved():
    one, two = (Outcome(np.zeros(10, np.float32), None, 1.0, 1.0, 0.0, 0.0, 1, {p: ()}, worker=where)
                for p, where in enumerate(("a", "b")))
    assert add([one, two], "a").moved == 40
    assert add([add([one, two], "a")], "").moved == 80


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 5, 8, 16])
def test_bundles_do_not_make_a_round_longer(slots):
    for partitions in range(1, 33):
        blocks = bundles_of(partitions, slots, lambda block: True)
        assert len(blocks) <= partitions
        longest = -(-len(blocks) // slots) * max(map(len, blocks))
        assert longest <= max(-(-partitions // slots), 1)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_numbers_are_the_nearest(kind, dtype):
    values = (np.random.default_rng(0).standard_normal(1000) * 1e-3).astype(dtype)
    packed = pack(values, kind)
    assert packed.nbytes == 2000
    off = abs(unpack(packed) - values) / np.maximum(abs(values), 1e-3 * abs(values).max())
    assert unpack(packed).dtype == dtype
    assert off.max() <= {"float16": 2**-11, "bfloat16": 2**-8}[kind] * 1.01
    assert (unpack(pack(np.zeros(3, dtype), kind)) == 0).all()
    assert unpack(pack(np.array([1e30, 1.0], dtype), kind))[0] == pytest.approx(1e30, rel=0.01)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_what_rounding_leaves_over_comes_with_the_next_change(rows, kind):
    """With error feedback the parameters stay near those of full changes; half of the bytes travel."""
    X, y = rows
    net = fastsgd.Network([64, 16, 10], seed=0)
    parts = parts_of(X.astype(np.float32), y, 3)
    full, _ = simulate(net, parts, 12)
    packed, costs = simulate(net, parts, 12, transfer=kind)
    moved = np.linalg.norm(full - net.params)
    assert np.linalg.norm(packed - full) < 1e-2 * moved
    assert costs[-1] < costs[0]


def test_nesterov_is_pytorchs(rows):
    """torch.optim.SGD(nesterov=True) with the mean change for a negative gradient."""
    torch = pytest.importorskip("torch")
    changes = np.random.default_rng(0).standard_normal((5, 4))
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.7, momentum=0.9, nesterov=True)
    params, momentum = np.zeros(4), np.zeros(4)
    for change in changes:
        w.grad = torch.from_numpy(-change)
        optimizer.step()
        outer_step(Nesterov(), params, momentum, change.copy())
        np.testing.assert_allclose(params, w.detach().numpy(), rtol=1e-12)


def test_partitions_count_by_their_rows_or_alike():
    X = np.array([[1.0], [1.0], [1.0], [1.0]], np.float32)
    y = np.array([[0.0], [0.0], [0.0], [4.0]], np.float32)
    net = fastsgd.Network([1, 1], loss="squared_error", seed=0)
    net.params = np.zeros(2)
    parts = [[Chunk(X[:3], y[:3])], [Chunk(X[3:], y[3:])]]
    weighted, _ = simulate(net, parts, 1, batch_size=10)
    alike, _ = simulate(net, parts, 1, batch_size=10, equal=True)
    assert alike[0] == pytest.approx(2 * weighted[0])


def test_a_nan_cost_names_the_partition(rows):
    X, y = rows
    net = fastsgd.Network([64, 16, 10], seed=0)
    with pytest.raises(FloatingPointError, match="partition 2: the cost or a parameter stopped being finite in round"):
        simulate(net, parts_of(X.astype(np.float32), y, 3), 1, optimizer=fastsgd.SGD(1e30))


def test_a_reset_memory_counts_schedules_on(rows):
    """Moments begin afresh in every round, while learning rates, weight decay and dropout go by all steps before."""
    X, y = rows
    seen = []

    def decay(step):
        seen.append(step)
        return 1e-3

    net = fastsgd.Network([64, 16, 10], seed=0)
    simulate(net, parts_of(X.astype(np.float32), y, 1), 3, memory="reset",
             optimizer=fastsgd.AdamW(0.01, weight_decay=decay))
    steps = -(-ROWS // 20)
    assert sorted(set(seen)) == list(range(3 * steps))


def test_members_train_in_rounds(rows):
    X, y = rows
    for sharing in ("none", "batch", "mini"):
        net = fastsgd.Network([64, 16, 10], members=3, sharing=sharing, seed=0)
        params, costs = simulate(net, parts_of(X.astype(np.float32), y, 3), 6, optimizer=fastsgd.Adam(0.01))
        assert np.isfinite(params).all()
        assert costs[-1] < costs[0]


def test_outcomes_say_what_they_weigh():
    outcome = Outcome(np.zeros(10), np.zeros((2, 10)), 1.0, 1.0, 0.0, 0.0, 1, {0: ()})
    assert outcome.nbytes == 240
    assert replace(outcome, change=pack(np.zeros(10), "float16"), slots=None).nbytes == 20
