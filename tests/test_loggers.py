"""Do logs hold what the history holds, and continue where a run resumes?"""
import csv
import errno
import json
import os
import re
import sys
import types

import pytest
from test_checkpoint import interrupt_after

import fastsgd
from fastsgd.runs.loggers import to_json


def start(digits):
    (X, y), _ = digits
    return fastsgd.Network([64, 24, 10], seed=0), X[:600], y[:600]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_the_history(digits, tmp_path):
    net, X, y = start(digits)
    history = fastsgd.train(net, X, y, epochs=3, validation=0.5, callbacks=[fastsgd.CSVLogger(tmp_path / "log.csv")])
    rows = rows_of(tmp_path / "log.csv")
    assert list(rows[0]) == ["epoch", "steps", "seconds", "learning_rate", "cost", "accuracy", "validation_cost",
                             "validation_accuracy"]
    assert [float(row["cost"]) for row in rows] == history.cost
    assert [float(row["validation_accuracy"]) for row in rows] == history.validation_metric
    assert [(row["epoch"], row["steps"]) for row in rows] == [("1", "3"), ("2", "6"), ("3", "9")]
    assert sum(float(row["seconds"]) for row in rows) == pytest.approx(sum(history.seconds))


def test_evaluations_within_an_epoch_have_lines_of_their_own(digits, tmp_path):
    net, X, y = start(digits)
    logs = [fastsgd.CSVLogger(tmp_path / "log.csv"), fastsgd.JSONLogger(tmp_path / "log.jsonl")]
    history = fastsgd.train(net, X, y, epochs=2, validation=0.5, evaluate_every=2, callbacks=logs)
    rows = rows_of(tmp_path / "log.csv")
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["steps"] for record in records] == [2, 3, 4, 6, 6]
    assert [row["cost"] != "" for row in rows] == ["cost" in record for record in records]
    found = [float(row["validation_cost"]) for row in rows if row["validation_cost"]]
    assert found == history.validation_cost == [record["validation_cost"] for record in records
                                                if "validation_cost" in record]


@pytest.mark.parametrize("log", [fastsgd.CSVLogger, fastsgd.JSONLogger])
def test_a_run_that_goes_on_writes_on(digits, tmp_path, log):
    net, X, y = start(digits)
    settings = {"epochs": 5, "seed": 0, "validation": 0.5, "evaluate_every": 2}
    fastsgd.train(net, X, y, **settings, callbacks=[log(tmp_path / "whole")])
    net, _, _ = start(digits)
    path = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(net, X, y, **settings, checkpoint=tmp_path / "run.ckpt",
                      callbacks=[log(path), interrupt_after(8)])
    with open(path, "a") as file:                    # a kill may come after lines, or within one, and no checkpoint
        file.write(path.read_text().splitlines()[-1] + "\n" + "{3,9")
    fastsgd.train(net, X, y, **settings, resume=tmp_path / "run.ckpt", callbacks=[log(path)])

    def without_seconds(path):
        if log is fastsgd.CSVLogger:
            return [{**row, "seconds": 0} for row in rows_of(path)]
        return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]

    assert without_seconds(path) == without_seconds(tmp_path / "whole")
    fastsgd.train(net, X, y, **settings, callbacks=[log(path)])                      # a new run begins a new file
    assert len(without_seconds(path)) == len(without_seconds(tmp_path / "whole"))


@pytest.mark.parametrize("log", [fastsgd.CSVLogger, fastsgd.JSONLogger])
def test_a_line_that_did_not_reach_the_disk_whole_is_left_out(digits, tmp_path, log):
    path = tmp_path / "log"
    lines = []
    for epochs in (3, 5):
        net, X, y = start(digits)
        fastsgd.train(net, X, y, epochs=epochs, seed=0, checkpoint=tmp_path / "run", resume=True, callbacks=[log(path)])
        lines.append(path.read_text().splitlines())
        path.write_text(path.read_text()[:-20])
    assert lines[1][:-2] == lines[0][:-1]
    assert all(len(line) > 40 for line in lines[1])
    path.write_bytes(b"\xff\xfe\n" * 9)
    with pytest.raises(ValueError, match=r"[\\/]log is no log to append to: it is not UTF-8 \(invalid start"):
        fastsgd.train(net, X, y, epochs=6, seed=0, checkpoint=tmp_path / "run", resume=True, callbacks=[log(path)])


def test_a_log_that_cannot_be_written_is_found_before_training(digits, tmp_path):
    net, X, y = start(digits)
    before = net.params.copy()
    with pytest.raises(OSError, match=r"cannot write: .*nowhere[\\/]+log.csv"):
        fastsgd.train(net, X, y, callbacks=[fastsgd.CSVLogger(tmp_path / "nowhere" / "log.csv")])
    assert (net.params == before).all()
    with pytest.raises(TypeError, match="CSVLogger: path must be a path, got 3"):
        fastsgd.CSVLogger(3)


@pytest.mark.filterwarnings("ignore")
def test_tensorboard(digits, tmp_path):
    pytest.importorskip("tensorboardX")
    net, X, y = start(digits)
    history = fastsgd.train(net, X, y, epochs=3, callbacks=[fastsgd.TensorBoardLogger(tmp_path / "events")])
    from tensorboardX.proto.event_pb2 import Event
    content = (tmp_path / "events" / os.listdir(tmp_path / "events")[0]).read_bytes()
    costs = {}
    while content:                                   # length, its checksum, the event, its checksum
        length = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12:12 + length])
        content = content[16 + length:]
        costs.update([(event.step, value.simple_value) for value in event.summary.value if value.tag == "cost"])
    assert costs == pytest.approx(dict(zip((6, 12, 18), history.cost, strict=True)))


@pytest.mark.filterwarnings("ignore")
def test_mlflow(digits, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path}")
    mlflow.set_experiment("fastsgd")
    net, X, y = start(digits)
    with mlflow.start_run() as active:
        history = fastsgd.train(net, X, y, epochs=3, callbacks=[fastsgd.MLflowLogger()])
        assert mlflow.active_run() is not None       # it is the caller's to end
    found = mlflow.get_run(active.info.run_id).data
    assert found.metrics["cost"] == pytest.approx(history.cost[-1])
    assert found.params["optimizer"] == "SGD(0.1)"
    fastsgd.train(net, X, y, epochs=1, callbacks=[fastsgd.MLflowLogger()])
    assert mlflow.active_run() is None


def test_mlflow_has_the_parameters_of_each_training(digits, tmp_path, monkeypatch):
    mlflow = types.ModuleType("mlflow")
    told = []
    mlflow.active_run = lambda: "an active run"
    mlflow.log_params = lambda parameters: told.append(sorted(parameters))
    mlflow.log_metrics = lambda figures, step: told.append(step)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    net, X, y = start(digits)
    optimizer = fastsgd.SGD(0.1)
    state = optimizer.state(net.params)
    names = ["batch_size", "network", "optimizer"]
    for _ in range(2):
        fastsgd.train(net, X, y, epochs=1, optimizer=optimizer, state=state, callbacks=[fastsgd.MLflowLogger()])
    assert told == [names, 6, names, 12]
    told.clear()
    for epochs in (1, 2):                            # the second goes on with the first
        fastsgd.train(net, X, y, epochs=epochs, seed=0, checkpoint=tmp_path / "run", resume=True,
                      callbacks=[fastsgd.MLflowLogger()])
    assert told == [names, 6, 12]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_disk_that_fills_up_is_told_with_the_path(digits, tmp_path):
    net, X, y = start(digits)
    log = fastsgd.CSVLogger(tmp_path / "log.csv")

    class Fill(fastsgd.Callback):
        def on_start(self, run):
            log._file.close()
            log._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115 - the log closes it

    with pytest.raises(OSError, match=r"cannot write the log: No space left on device: .*log\.csv"):
        fastsgd.train(net, X, y, epochs=1, callbacks=[log, Fill()])


@pytest.mark.parametrize("log", ["TensorBoardLogger", "MLflowLogger"])
def test_logs_say_what_must_be_installed(log, tmp_path, monkeypatch):
    for name in ("tensorboardX", "torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{log} needs .*pip install"):
        getattr(fastsgd, log)(*([tmp_path] if log == "TensorBoardLogger" else []))


@pytest.mark.parametrize("log", [fastsgd.CSVLogger, fastsgd.JSONLogger])
def test_the_line_that_was_cut_is_gone_and_so_are_those_after_the_checkpoint(digits, tmp_path, log):
    path = tmp_path / "log"

    def epochs(text):
        return [int(re.match(r'\D*(\d+)', line)[1]) for line in text.splitlines()[log is fastsgd.CSVLogger:]]

    def train(epochs):
        net, X, y = start(digits)
        fastsgd.train(net, X, y, epochs=epochs, seed=0, validation=0.5, checkpoint=tmp_path / "run", resume=True,
                      callbacks=[log(path)])

    train(3)
    whole = path.read_text()
    path.write_text(whole[:-20])
    train(4)
    found = path.read_text()
    assert epochs(found) == [1, 2, 4]
    assert found.startswith("".join(whole.splitlines(keepends=True)[:-1]))
    path.write_text(found + 3 * found.splitlines(keepends=True)[-1])       # of epochs that no checkpoint knows
    (tmp_path / "log").write_text(whole + whole.splitlines(keepends=True)[-1].replace("3", "4", 1) * 4)
    train(5)
    assert epochs(path.read_text()) == [1, 2, 3, 4, 5]


def test_json_of_what_is_not_finite():
    figures = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 0.5, "e": 3}
    assert json.loads(to_json(figures), parse_constant=pytest.fail) == {"a": None, "b": None, "c": None, "d": 0.5,
                                                                        "e": 3}


def test_half_a_line_is_taken_back(digits, tmp_path):
    net, X, y = start(digits)
    log = fastsgd.JSONLogger(tmp_path / "log")

    class Fill(fastsgd.Callback):
        def on_start(self, run):
            file = log._file

            class Half:
                fileno, close, left = file.fileno, file.close, 300

                def write(self, line):
                    if not self.left:
                        raise OSError(errno.ENOSPC, "No space left on device")
                    written = file.write(bytes(line)[:self.left])
                    self.left -= written
                    return written
            log._file = Half()

    with pytest.raises(OSError, match="cannot write the log: No space left on device"):
        fastsgd.train(net, X, y, epochs=9, callbacks=[log, Fill()])
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines


def test_a_log_has_the_rate_and_the_seconds_of_its_epoch(digits, tmp_path):
    net, X, y = start(digits)
    history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(fastsgd.schedules.Cosine(0.1)), epochs=3,
                            callbacks=[fastsgd.JSONLogger(tmp_path / "log")])
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record["learning_rate"] for record in records] == history.learning_rate
    assert [record["seconds"] for record in records] == history.seconds
