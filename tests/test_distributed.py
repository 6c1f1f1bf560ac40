"""fastsgd.distributed on clusters of processes: the same bits whatever becomes of workers, and errors that say why."""
import gc
import hashlib
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("distributed")
import dask
import dask.array as da
from dask.distributed import Client, LocalCluster
from machines import OF_CLIENT, PROCESSES, Fault, Machines, collection, pretend, run_client, start, train, wait_for

import fastsgd
import fastsgd.distributed as fd
from fastsgd.distributed.checkpoint import RoundCheckpoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning",
                                        "ignore::pytest.PytestUnraisableExceptionWarning",
                                        "ignore::pytest.PytestUnhandledThreadExceptionWarning",
                                        "ignore:.*fork.*", "ignore::RuntimeWarning:distributed")
RUNS = 20                               # of each kind of fault; tests/soak/clusters.py makes 200


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as cluster, Client(cluster, set_as_default=False) as found:
        yield found


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with Machines(tmp_path_factory.mktemp("machines"), workers=3) as found:
        yield found


@pytest.fixture(scope="module")
def rows():
    (X, y), _ = fastsgd.datasets.digits()
    return X, y.astype(np.int32)


# ---- one result ----

def test_the_bits_depend_on_the_partitions_alone(client, rows):
    """Not on the workers, on where rows lie, whether they stay there, or how they came; but on the partitions."""
    X, y = rows
    expected, history, net = train(client, collection(rows))
    assert history.rounds == 4
    assert history.steps == 4 * 72
    assert net.score(X, y) > 0.9
    delayed = [dask.delayed(lambda i=i: (X[i:i + 360], y[i:i + 360]))() for i in range(0, len(X), 360)]
    futures = client.compute(delayed)
    for data, options in ((collection(rows), {"persist": False}), (delayed, {}), (futures, {}),
                          (collection(rows), {"persist": True, "transfer": "full", "memory": "average"})):
        assert train(client, data, **options)[0] == expected
    with LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=":0") as cluster, \
            Client(cluster, set_as_default=False) as other:
        assert train(other, collection(rows))[0] == expected
    assert train(client, collection(rows), partitions=2)[0] != expected
    assert train(client, collection(rows), seed=1)[0] != expected


@pytest.mark.parametrize("options", [
    {"memory": "keep", "optimizer": fastsgd.Adam(0.01)}, {"memory": "reset", "optimizer": fastsgd.Adam(0.01)},
    {"transfer": "float16"}, {"transfer": "bfloat16", "memory": "keep"}, {"outer": fd.Nesterov()}, {"outer": "mean"},
    {"local_steps": 7, "partitions": 2}, {"local_epochs": 2, "partitions": 3, "dropout": 0.2, "label_smoothing": 0.1}],
    ids=repr)
def test_every_way_gives_one_result(client, rows, options, tmp_path):
    """Rows kept or read anew, and a run that is cut into two by its checkpoint."""
    expected, _, _ = train(client, collection(rows, 200), **options)
    assert train(client, collection(rows, 200), persist=False, **options)[0] == expected
    path = tmp_path / "run.ckpt"

    class Stop(fastsgd.Callback):
        def on_epoch(self, run):
            run.stop = run.epoch == 2

    train(client, collection(rows, 200), checkpoint=path, callbacks=[Stop()], **options)
    assert RoundCheckpoint.read(path).round == 2
    assert fastsgd.Network.load(path).sizes == (64, 32, 10)
    found, history, _ = train(client, collection(rows, 200), checkpoint=path, resume=True, **options)
    assert found == expected
    assert history.rounds == 4
    assert len(set(history.tasks["round"])) == 2


def test_any_number_of_workers(client, machines, rows):
    """Processes of their own; 1, 2 and 4 workers in turn."""
    expected = train(client, collection(rows))[0]
    for number in (1, 2, 4):
        machines.shrink(min(number, len(machines.workers)))
        machines.grow(number)
        assert [train(machines.client, collection(rows))[0] for _ in range(RUNS)] == [expected] * RUNS


@pytest.mark.parametrize("options", [{}, {"memory": "keep", "optimizer": fastsgd.Adam(0.01), "transfer": "float16"}],
                         ids=["averaged", "kept"])
def test_a_worker_is_killed_in_every_round(machines, rows, options):
    machines.grow(3)
    data = collection((np.tile(rows[0], (12, 1)), np.tile(rows[1], 12)), 360 * 12)     # so that a round takes a while
    options = {"local_epochs": 3, "rounds": 3, **options}
    expected = train(machines.client, data, **options)[0]
    for _ in range(RUNS // 2):
        fault = Fault(lambda run: (machines.kill(), machines.workers.append(machines.add())))
        found, history, _ = train(machines.client, data, callbacks=[fault], **options)
        assert found == expected
        assert fault.round == history.rounds


def test_a_worker_joins_midway(machines, rows):
    expected = train(machines.client, collection(rows), rounds=4)[0]
    for _ in range(RUNS):
        machines.shrink(1)
        joined = []

        def join(run, joined=joined):
            if run.epoch == 1:
                machines.grow(2)
            joined.append(len(machines.client.scheduler_info()["workers"]))

        assert train(machines.client, collection(rows), callbacks=[join], rounds=4)[0] == expected
        assert joined[-1] == 2


def test_a_worker_that_joins_gets_its_part(machines, rows, monkeypatch):
    """Where that is quicker than going on without it: rows are loaded anew, neighbours on one worker."""
    machines.shrink(1)
    monkeypatch.setattr("fastsgd.distributed.run.DistributedRun._seconds_saved", lambda *_: 1e9)
    data = collection((np.tile(rows[0], (12, 1)), np.tile(rows[1], 12)), 360 * 12)

    def join(run):
        if run.epoch == 1:
            machines.grow(2)
            time.sleep(0.5)              # what is known of workers may be that old

    _, history, _ = train(machines.client, data, callbacks=[join], rounds=10)
    by_worker = {worker: {number for number, own in zip(history.tasks["round"], history.tasks["worker"], strict=True)
                          if own == worker} for worker in history.tasks["worker"]}
    assert len(by_worker) == 2
    assert 10 in set.intersection(*by_worker.values())


def test_the_client_is_killed_and_resumes(machines, rows, tmp_path):
    """kill -9 after some round, and another client that resumes: the network of a run that was let alone."""
    machines.grow(2)
    expected = train(machines.client, collection(rows), **OF_CLIENT)[0]
    for run in range(RUNS):
        arguments = machines.address, str(tmp_path / f"{run}.ckpt"), str(tmp_path / f"{run}.safetensors")
        done = PROCESSES.Value("i", 0)
        process = start(run_client, *arguments, done, True)
        wait_for(lambda done=done, run=run: done.value > run % 5, "a round")
        process.kill()
        process.join()
        assert not os.path.exists(arguments[2])
        assert run % 5 == 0 or RoundCheckpoint.read(arguments[1]).round >= run % 5
        process = start(run_client, *arguments, done, False)
        process.join(60)
        assert process.exitcode == 0
        found = fastsgd.Network.load(arguments[2])
        assert hashlib.sha256(found.params.tobytes()).hexdigest() == expected


# ---- what goes wrong ----

def _broken(rows, number, change):
    X, y = rows
    parts = [[X[i:i + 360].copy(), y[i:i + 360].copy()] for i in range(0, len(X), 360)]
    change(parts[number])
    return [dask.delayed(tuple)(part) for part in parts]


def _nan(part):
    part[0][7, 3] = np.nan


def _label(part):
    part[1][5] = 11


def _narrow(part):
    part[0] = part[0][:, :60]


def _short(part):
    part[1] = part[1][:9]


@pytest.mark.parametrize(("change", "kind", "said"), [
    (_nan, ValueError, "partition 2 of data: X[7, 3] is nan"),
    (_label, ValueError, "partition 2 of data: y must be class labels, whole numbers 0 to 9; y[5] is 11"),
    (_narrow, ValueError, "partition 2 of data: X must have shape (rows, 64)"),
    (_short, ValueError, "partition 2 of data: y must have one entry per row of X (360), got 9"),
    (lambda part: part.append(part[1] - 100.0), ValueError, "partition 2 of data: sample_weight must not be negative"),
    (lambda part: part.pop(), TypeError, "partition 2 of data: it must be a pair (X, y)")])
@pytest.mark.parametrize("persist", [True, False])
def test_a_partition_that_cannot_be_is_named(client, rows, change, kind, said, persist):
    net = fastsgd.Network([64, 32, 10], seed=0)
    before = net.params.copy()
    with pytest.raises(kind) as caught:
        train(client, _broken(rows, 2, change), net=net, persist=persist)
    assert str(caught.value).startswith(said), caught.value
    assert (net.params == before).all()


def test_a_partition_that_raises_is_named(client, rows):
    def read(i):
        if i == 2:
            raise OSError("the disk is gone")
        return rows[0][i::4], rows[1][i::4]

    with pytest.raises(RuntimeError, match="partition 2 of data cannot be read: OSError: the disk is gone"):
        train(client, [dask.delayed(read)(i) for i in range(4)])


def test_a_partition_that_raises_later_leaves_the_last_checkpoint(client, rows, tmp_path):
    """Rows that are read anew in every round, from a file that goes away."""
    files = [tmp_path / f"{i}.npy" for i in range(3)]
    for i, file in enumerate(files):
        np.save(file, np.column_stack([rows[0][i::3], rows[1][i::3]]))

    def read(path):
        table = np.load(path)
        return table[:, :64], table[:, 64].astype(int)

    data = [dask.delayed(read)(file) for file in files]
    path, net = tmp_path / "run.ckpt", fastsgd.Network([64, 32, 10], seed=0)

    def remove(run):
        if run.epoch == 2:
            files[1].unlink()

    with pytest.raises(RuntimeError, match="partition 1 of data cannot be read: FileNotFoundError"):
        train(client, data, net=net, persist=False, checkpoint=path, callbacks=[remove])
    saved = RoundCheckpoint.read(path)
    assert saved.round == 2
    assert (saved.params == net.params).all()


def test_a_worker_with_another_version(machines, rows, monkeypatch):
    """One clear error that names the worker, whether it is there at the start or joins."""
    machines.grow(2)
    machines.client.run(pretend, "0.0.1")
    try:
        with pytest.raises(RuntimeError, match=r"worker tcp://[\d.:]+ has fastsgd 0.0.1 with NumPy .*install the same"):
            train(machines.client, collection(rows))
    finally:
        machines.client.run(pretend, None)
    assert train(machines.client, collection(rows))[1].rounds == 4


def test_a_worker_with_another_instruction_set_gives_the_same_bits(machines, rows):
    """The native kernels round alike on all of them, so this is no error."""
    known = [name for name in fastsgd.config()["isa_available"] if name != "baseline"]
    machines.grow(2)
    expected = train(machines.client, collection(rows))[0]
    machines.shrink(1)
    machines.workers.append(machines.add(FASTSGD_ISA=known[0]))
    machines.client.wait_for_workers(2, timeout=60)
    found, history, _ = train(machines.client, collection(rows))
    assert len(set(history.tasks["worker"])) == 2
    assert found == expected


def test_the_scheduler_dies(rows, tmp_path):
    """One error in seconds, the network and the checkpoint those of the last whole round; another cluster resumes."""
    path, net = tmp_path / "run.ckpt", fastsgd.Network([64, 32, 10], seed=0)
    with Machines(tmp_path) as machines:
        expected = train(machines.client, collection(rows), rounds=5)[0]

        def kill(run):
            if run.epoch == 2:
                machines.scheduler.kill()
                machines.scheduler.join()

        with pytest.raises(fd.ClusterError, match=r"round \d+: the scheduler of the cluster is gone.*resume="):
            train(machines.client, collection(rows), net=net, rounds=5, checkpoint=path, callbacks=[kill])
        with pytest.raises(ValueError, match=r"client is c.*make one with client = dask\.distributed\.Client"):
            train(machines.client, collection(rows))
    saved = RoundCheckpoint.read(path)
    assert saved.round == 2
    assert (saved.params == net.params).all()
    (tmp_path / "again").mkdir()
    with Machines(tmp_path / "again", workers=1) as machines:
        assert train(machines.client, collection(rows), rounds=5, checkpoint=path, resume=True)[0] == expected


def test_waits_have_a_limit(client, rows, monkeypatch):
    from fastsgd.distributed import cluster

    def read(i):
        import time
        time.sleep(5 if i == 2 else 0)
        return rows[0][i::4], rows[1][i::4]

    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    with pytest.raises(fd.ClusterError, match="data: no task has come to its end for 1 s"):
        train(client, [dask.delayed(read)(i) for i in range(4)], timeout=1)
    monkeypatch.setattr(cluster, "SECONDS_WITHOUT_WORKERS", 1.0)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty, Client(empty, set_as_default=False) as other, \
            pytest.raises(fd.ClusterError, match="the cluster has had no workers for 1 s"):
        train(other, collection(rows))


def test_rows_that_kill_their_workers(tmp_path, rows):
    """Dask gives up after four workers; the error names the partition."""
    def read(i):
        if i == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows[0][i::2], rows[1][i::2]

    with Machines(tmp_path, workers=5) as machines, \
            pytest.raises(fd.ClusterError, match=r"partition . of data: 4 workers in a row died"):
        train(machines.client, [dask.delayed(read)(i) for i in range(2)])


def test_ctrl_c(client, rows):
    """The network keeps the last whole round."""
    net = fastsgd.Network([64, 32, 10], seed=0)
    params = []

    def interrupt(run):
        params.append(run.net.params.copy())
        if run.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(client, collection(rows), net=net, callbacks=[interrupt])
    assert (net.params == params[-1]).all()


def test_a_divergence_keeps_the_round_before(client, rows, tmp_path):
    net, params = fastsgd.Network([64, 32, 10], seed=0), []
    with pytest.raises(FloatingPointError, match=r"partition \d: the cost or a parameter stopped .* in round 2"):
        train(client, collection(rows), net=net, optimizer=fastsgd.SGD(lambda step: 0.1 if step < 18 else 1e30),
              callbacks=[lambda run: params.append(run.net.params.copy())], rounds=3)
    assert (net.params == params[-1]).all()


# ---- what rows may lie in ----

def test_collections_of_all_kinds(client, rows, tmp_path):
    """Arrays, frames, Parquet and sparse pieces of the same rows train alike."""
    import scipy.sparse

    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y = rows
    expected = train(client, collection(rows))[0]
    names = [f"p{i}" for i in range(64)]
    table = pd.DataFrame(X, columns=names).assign(kind=y, w=1.0)
    frame = dd.from_pandas(table, npartitions=4, sort=False).repartition(divisions=(0, 360, 720, 1080, 1437))
    frame.to_parquet(tmp_path / "parquet", write_index=False)
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", X[360 * i:360 * (i + 1)])
    unknown = da.concatenate([da.from_delayed(dask.delayed(np.load)(tmp_path / f"{i}.npy"), (np.nan, 64), np.float32)
                              for i in range(4)], allow_unknown_chunksizes=True)
    weight = da.ones(len(y), chunks=360)
    for data, options in (
            (frame[[*names, "kind"]], {"target": "kind"}), (frame, {"target": "kind", "weight": "w"}),
            ((frame[names], frame["kind"]), {}), ((unknown, collection(rows)[1]), {}),
            ((*collection(rows), weight), {}), (str(tmp_path / "parquet"), {"target": "kind", "weight": "w"}),
            (str(tmp_path / "parquet" / "*.parquet"), {"target": ["kind"], "weight": "w", "persist": False}),
            ((da.from_array(X, chunks=(360, 30)), da.from_array(y[:, None], chunks=(200, 1))), {}),
            ([dask.delayed((scipy.sparse.csr_matrix(X[i:i + 360]), y[i:i + 360]))
              for i in range(0, len(X), 360)], {})):
        assert train(client, data, **options)[0] == expected


def test_what_cannot_be_rows_is_refused_by_name(client, rows, tmp_path):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    X, y = rows
    frame = dd.from_pandas(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "c": [0, 1]}), npartitions=1)
    unknown = da.concatenate([da.from_delayed(dask.delayed(X), (np.nan, 64), X.dtype)] * 3,
                             allow_unknown_chunksizes=True)
    for data, options, kind, said in (
            ((X, y), {}, TypeError, "data must be a pair"), (collection(rows)[0], {}, TypeError, "data must be a pair"),
            ((unknown, collection(rows)[1]), {}, ValueError, "X in 3, y in 4 chunks of unknown sizes"),
            ((collection(rows)[0], collection(rows)[1][:-1]), {}, ValueError, "X has 1,438 rows and y 1,437"),
            (frame, {"target": "z"}, ValueError, "target: data has no column 'z'; its columns are a, b, c"),
            (frame, {}, ValueError, "target must name the column"),
            (frame, {"target": "c"}, TypeError, "column 'b' holds"),
            (collection(rows), {"target": "c"}, TypeError, "target and weight are names of columns"),
            (str(tmp_path / "*.parquet"), {"target": "c"}, FileNotFoundError, "there are no Parquet files"),
            ([dask.delayed((X[:0], y[:0]))], {}, ValueError, "data has no rows"),
            (collection(rows), {"validation": 0.2}, TypeError, "validation must be rows"),
            (collection(rows), {"partitions": 9}, ValueError, "partitions must be at most 4"),
            (collection(rows), {"local_steps": 3, "local_epochs": 1}, ValueError, "exclude each other"),
            (collection(rows), {"outer": "sum"}, ValueError, "outer must be 'weighted', 'mean' or"),
            (collection(rows), {"memory": "lost"}, ValueError, "memory must be one of 'average', 'keep', 'reset'"),
            (collection(rows), {"transfer": "int8"}, ValueError, "transfer must be one of"),
            (collection(rows), {"timeout": 0}, ValueError, "timeout must be a number of seconds"),
            (collection(rows), {"rounds": -1}, ValueError, "epochs must be at least 0"),
            (collection(rows), {"optimizer": fastsgd.SGD(0.1, average="polyak")}, ValueError, "average of the param")):
        with pytest.raises(kind) as caught:
            train(client, data, **options)
        assert said in str(caught.value)


def test_an_empty_partition_is_left_out_and_told_of(client, rows):
    X, y = rows
    parts = [dask.delayed((X[i:i + 360], y[i:i + 360])) for i in range(0, len(X), 360)]
    with pytest.warns(UserWarning, match="data: partition 2 is empty and left out"):
        found = train(client, [*parts[:2], dask.delayed((X[:0], y[:0])), *parts[2:]])[0]
    assert found == train(client, parts)[0]


def test_weights_and_validation(client, rows):
    """Weights of rows count in costs and steps; validation rows in this process and on the cluster give the same."""
    X, y = rows
    weight = np.random.default_rng(0).random(len(y))
    data = (*collection(rows), da.from_array(weight, chunks=360))
    held_out = X[:300], y[:300], weight[:300]
    on_cluster = tuple(da.from_array(part, chunks=(100, 64) if part.ndim == 2 else 100) for part in held_out)
    one, here, net = train(client, data, validation=held_out, metrics=["f1_macro"] if _has_sklearn() else ())
    two, there, _ = train(client, data, validation=on_cluster)
    assert one == two
    assert here.weighted
    assert here.validation_cost == pytest.approx(there.validation_cost, rel=1e-5)
    assert here.validation_metric == pytest.approx(there.validation_metric, rel=1e-12)
    assert here.validation_cost[-1] == pytest.approx(net.cost(*held_out[:2], sample_weight=held_out[2]))
    assert there.validation_steps == [72, 144, 216, 288]


def _has_sklearn():
    import importlib.util
    return importlib.util.find_spec("sklearn") is not None


def test_quantities(client, rows):
    """R^2 against the spread of all rows, over partitions of unequal size."""
    X, _ = rows
    y = (X @ np.random.default_rng(0).standard_normal((64, 2))).astype(np.float32)
    data = tuple(da.from_array(part, chunks=((700, 438, 300), (part.shape[1],))) for part in (X, y))
    net = fastsgd.Network([64, 16, 2], loss="squared_error", seed=0)
    _, history, _ = train(client, data, net=net, optimizer=fastsgd.Adam(0.01), rounds=20, validation=(X, y))
    assert history.metric_name == "r2"
    assert history.metric[-1] == pytest.approx(history.validation_metric[-2], abs=0.02)
    assert history.validation_metric[-1] == pytest.approx(net.score(X, y))
    assert net.score(X, y) > 0.9


def test_history_and_picture(client, rows, tmp_path):
    _, history, _ = train(client, collection(rows), callbacks=[fastsgd.CSVLogger(tmp_path / "log.csv")])
    assert "4 rounds, 288 steps" in repr(history)
    assert history.seconds == pytest.approx([a + b for a, b in zip(history.compute_seconds, history.waiting_seconds,
                                                                   strict=True)])
    size = fastsgd.Network([64, 32, 10]).params.nbytes
    workers = len(set(history.tasks["worker"]))
    assert history.bytes_out == [size * workers, *[2 * size * workers] * 3]     # momentum, too, once there is some
    assert all(2 * size <= moved <= 2 * size * 8 for moved in history.bytes_back)
    assert history.rows == [1438] * 4
    assert set(history.tasks["partition"]) == {0, 1, 2, 3}
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 5
    assert "tasks" not in history.as_dict()
    pytest.importorskip("matplotlib")
    ax = fastsgd.plots.rounds(history)
    assert len(ax.patches) == 16
    assert "4 partitions" in ax.get_title()
    assert len(fastsgd.plots.rounds(history, first=2, last=3).patches) == 8
    assert fastsgd.plots.history(history).get_xlabel() == "rounds"
    with pytest.raises(ValueError, match="hold none of the rounds 1 to 4"):
        fastsgd.plots.rounds(history, first=7)
    with pytest.raises(TypeError, match="history"):
        fastsgd.plots.rounds(fastsgd.History("accuracy"))


def test_callbacks_work_by_rounds(client, rows, tmp_path, capsys):
    X, y = rows
    stopping = fastsgd.EarlyStopping(2)
    optimizer = fastsgd.SGD(0.5, momentum=0.9)
    options = {"rounds": 60, "validation": (X[::3], y[::3][::-1].copy()), "optimizer": optimizer}
    _, history, net = train(client, collection(rows), callbacks=[stopping, fastsgd.Progress()], **options)
    assert history.stopped
    assert history.rounds < 60
    assert net.cost(X[::3], y[::3][::-1].copy()) == pytest.approx(min(history.validation_cost), rel=1e-6)
    assert "round  1/60  cost" in capsys.readouterr().err
    plateau = fastsgd.ReduceOnPlateau(0.1, 1)
    _, history, _ = train(client, collection(rows), callbacks=[plateau], **{**options, "rounds": 6})
    assert history.learning_rate[-1] < 0.1 * history.learning_rate[0]
    path = tmp_path / "asked.ckpt"
    train(client, collection(rows), callbacks=[lambda run: run.epoch == 2 and run.save(path)])
    assert RoundCheckpoint.read(path).round == 2


def test_a_checkpoint_of_another_run_is_refused(client, rows, tmp_path):
    path = tmp_path / "run.ckpt"
    train(client, collection(rows), checkpoint=path, rounds=2)
    net = fastsgd.Network([64, 32, 10], seed=0)
    before = net.params.copy()
    for options, said in (({"batch_size": 30}, "batch_size: 20 in the checkpoint, 30 here"), ({"seed": 1}, "seed: 0"),
                          ({"partitions": 2}, "partitions"), ({"outer": fd.Nesterov()}, "outer"),
                          ({"optimizer": fastsgd.Adam(0.1)}, "optimizer"), ({"local_epochs": 2}, "steps_of_a_round")):
        with pytest.raises(ValueError, match="is a checkpoint of another run, nothing was changed") as caught:
            train(client, collection(rows), net=net, resume=path, **options)
        assert said in str(caught.value)
    X, y = rows
    with pytest.raises(ValueError, match="data: checksum"):
        train(client, collection((X[::-1].copy(), y[::-1].copy())), net=net, resume=path)
    (tmp_path / "one.ckpt").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"damaged|bytes"):
        train(client, collection(rows), net=net, resume=tmp_path / "one.ckpt")
    fastsgd.train(net.copy(), *rows, epochs=1, checkpoint=tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match=r"is not a checkpoint of fastsgd\.distributed\.train: one of fastsgd\.train"):
        train(client, collection(rows), net=net, resume=tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        fastsgd.train(net.copy(), *rows, epochs=3, resume=path)
    assert (net.params == before).all()
    assert train(client, collection(rows), resume=path, rounds=4, seed=None)[0] == train(client, collection(rows))[0]


def test_threads_are_those_that_dask_gives(rows):
    """Never more at once than threads_per_worker, whatever tasks run at the same time."""
    from fastsgd.distributed.tasks import _Turns
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster, \
            Client(cluster, set_as_default=False) as client:
        assert train(client, collection(rows), partitions=1)[0] == train(client, collection(rows), partitions=1)[0]
    turns, running, most = _Turns(4), [], []

    def work(wanted):
        with turns.take(wanted) as threads:
            running.append(threads)
            most.append(sum(running))
            time.sleep(0.002)
            running.remove(threads)

    import threading
    workers = [threading.Thread(target=work, args=(1 + i % 6,)) for i in range(40)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert max(most) <= 4
    assert len(most) == 40


def test_links_that_lose_packets_change_no_bit():
    from soak import links
    if reason := links.unavailable():
        pytest.skip(reason)
    result = subprocess.run([sys.executable, links.__file__, "--count", "1"], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 of 1 runs to the same bits" in result.stdout


def test_no_client_and_what_is_none(rows):
    with pytest.raises(ValueError, match=r"client: there is none in this process; make one with client = dask\.dist"):
        train(None, collection(rows))
    with pytest.raises(TypeError, match=r"client must be a dask\.distributed\.Client, got str"):
        train("tcp://127.0.0.1:8786", collection(rows))


def test_nothing_stays_on_the_cluster(machines, rows):
    """When a run has ended, or failed, the scheduler has forgotten its tasks."""
    machines.grow(1)
    train(machines.client, collection(rows))
    with pytest.raises(ValueError, match="partition 2 of data"):
        train(machines.client, _broken(rows, 2, _nan))
    gc.collect()                         # frames of the error
    wait_for(lambda: machines.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0,
             "tasks to be forgotten")
