"""Mutated files to every reader: ``python tests/soak/fuzz.py --kind model --count 1000000``.

Each input must be refused by a ValueError that names the file, or give something usable: within a second, and in no
more memory than the limit of its kind. An input that fails is kept in a folder, with how to read it again.
"""
import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import losses
from fastsgd.datasets.idx import read_idx
from fastsgd.runs import checkpoint
from fastsgd.schedules import Cosine
from fastsgd.tables.encoding import Encoding
from fastsgd.tables.read import read_table

GZIP = b"\x1f\x8b"
SECONDS = 1.0
COPIES, ROOM = {"csv": 100, "jsonl": 100}, {"csv": 64 * 2**20}    # an input may take twice its size and 1 MiB, but for
#                                                                   pandas, and where values are objects
MAX_MESSAGE = 2000
ADDRESS_SPACE = 6 * 2**30
TRACED = 5                         # every so many inputs tracemalloc measures the memory
RESUMED = 20                        # every so many checkpoints train() resumes from one
SUFFIX = {"model": ".safetensors", "checkpoint": ".ckpt", "idx": ".idx", "csv": ".csv", "npz": ".npz",
          "jsonl": ".jsonl",
          "onnx": ".onnx"}
SHARED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

ODD = ["0", "-1", "1", "1.0", "-0.0", "0.5", "1e400", "1e-400", "NaN", "Infinity", "-Infinity", "null", "true", "false",
       "9" * 25, "9" * 400, "9" * 5000, "9007199254740993", "4611686018427387904", "-9223372036854775809", "[]", "{}",
       '""', '"a"', '"1"', '"\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', "[1]", "[[[[[[]]]]]]", "[" * 2000,
       "[" * 990 + "]" * 990, '{"a":1,"a":2}', "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "4294967296", "65536",
       '"F32"', '"F64"', '"I64"', '"huber"', '"quantile"', '"relu"', '"softmax"', '"identity"']
ODD_OF_ARRAYS = [b"'<U9'", b"'|S0'", b"'|O'", b"'<M8[s]'", b"'<c8'", b"'|b1'", b"'>f2'", b"'<f16'", b"0", b"1", b"-1",
                 b"3", b"2", b"4294967296", b"9" * 400]
_TOKENS = re.compile(rb'-?\d[\d.eE+-]*|\\?"[^"\\]*\\?"|true|false|null|NaN')


class TooSlow(BaseException):
    """Not an Exception, or a reader could take it for one of its own."""


# ---- seeds: small files of every kind, made once ----


def model_seeds(folder):
    nets = [fastsgd.Network([3, 2], seed=0), fastsgd.Network([2, 3, 2], "tanh", "squared_error", dtype="float64"),
            fastsgd.Network([3, 4, 2], ["gelu"], losses.Huber(0.3), input_scale=0.5),
            fastsgd.Network([2, 2], loss=losses.Quantile([0.2, 0.7]), input_scale=[1, 2], input_offset=[0.5, -1]),
            fastsgd.Network([2, 1], loss="epsilon_insensitive"), fastsgd.Network([4, 3], loss="hinge"),
            fastsgd.Network([1, 5, 5, 1], loss="poisson"), fastsgd.Network([2, 1], loss="binary_cross_entropy")]
    nets[0].metadata["note"] = "Zürich"
    nets[1].metadata["table"] = Encoding.learn({"a": np.arange(3.0), "b": np.array(["u", "v", "u"], object),
                                                "y": np.arange(3)}, "y").to_json()
    return [_bytes_of(net.save, folder / "seed") for net in nets]


def checkpoint_seeds(folder):
    return [_bytes_of(lambda path, kind=kind: _train(kind, path=path), folder / "seed") for kind in range(len(RUNS))]


RUNS = [  # the runs that wrote the seeds, and go on from what became of them
    lambda: {"optimizer": fastsgd.SGD(0.1)},
    lambda: {"optimizer": fastsgd.Adam(Cosine(0.01), average=0.9), "batch_size": 4, "dropout": 0.2},
    lambda: {"optimizer": fastsgd.SGD(0.1, momentum=0.9), "validation": 0.3, "evaluate_every": 2, "batch_size": 3,
             "metrics": [lambda y, outputs: float(outputs[0, 0])]},
    lambda: {"optimizer": fastsgd.RMSprop(0.01), "batch_size": 5, "callbacks": [fastsgd.Callback()]},
]


def _train(kind, path=None, resume=None):
    """The network and the history of a run: one that was interrupted within an epoch, or that resumes from a file."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.integers(0, 2, 20)
    net = fastsgd.Network([3, 2, 2] if kind else [3, 2], seed=0)
    settings = {"epochs": 3, "seed": 0, "threads": 1, **RUNS[kind]()}
    if resume is not None:
        return net, fastsgd.train(net, X, y, **settings, resume=resume)
    if "evaluate_every" in settings:
        stop = fastsgd.Callback()
        stop.on_evaluation = lambda run: setattr(run, "stop", run.steps >= 6)
        settings["callbacks"] = [stop]
    return net, fastsgd.train(net, X, y, **{**settings, "epochs": settings["epochs"] - 1}, checkpoint=path) \
        if "callbacks" in settings or kind == 0 else fastsgd.train(net, X, y, **settings, checkpoint=path)


def idx_seeds(_):
    files = []
    for shape in ((5,), (3, 2, 2), (2, 4), (1, 2, 3, 2)):
        values = np.arange(np.prod(shape), dtype=np.uint8)
        files.append(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values.tobytes())
    return files + [gzip.compress(content, mtime=0) for content in files]


def csv_seeds(_):
    return [b"a,b,y\n1,2,0\n3,4,1\n5,6,0\n", b'size,kind,y\n1.5,"a ""b""",x\n-2e3,b,z\n,c,x\n',
            "ä,ö\n1,é\n2,è\n".encode(), b"x;y\n1;2\n", b"t,u\n2020-01-01,true\n2021-02-03,false\n",
            b"Sales of May\n\na;b;y\n1,5;$2;1\n-2,5;3%;0\n", "# \u00e4\na|b\n(1)|1 234\n".encode("latin-1"),
            "a\tb\n1\tx\n".encode("utf-16")]


def jsonl_seeds(_):
    return [b'{"a": 1, "b": "x", "y": true}\n{"a": 2.5, "y": false}\n',
            b'{"a": null}\n\n{"b": "2024-02-29", "a": 9}\n{}\n']


def npz_seeds(folder):
    X = np.arange(6.0).reshape(3, 2)
    tables = [{"a": X[:, 0], "y": np.arange(3)}, {"X": X.astype(">f4"), "y": np.array(["u", "v", "ü"])},
              {"b": np.array([b"x", b"yz", b""]), "c": X > 2}]
    return [_bytes_of(lambda path, table=table, save=save: save(path, **table), folder / "seed.npz")
            for table in tables for save in (np.savez, np.savez_compressed)]


def onnx_seeds(_):
    nets = [fastsgd.Network([3, 2], seed=0), fastsgd.Network([2, 3, 2], "gelu", "squared_error", dtype="float64"),
            fastsgd.Network([3, 4, 2], ["tanh"], losses.Huber(0.3), input_scale=0.5),
            fastsgd.Network([2, 2], loss=losses.Quantile([0.2, 0.7]), input_scale=[1, 2], input_offset=[0.5, -1])]
    return [fastsgd.interop.to_onnx(net).SerializeToString() for net in nets]


SEEDS = {"model": model_seeds, "checkpoint": checkpoint_seeds, "idx": idx_seeds, "csv": csv_seeds, "jsonl": jsonl_seeds,
         "npz": npz_seeds, "onnx": onnx_seeds}


def _bytes_of(write, path):
    write(path)
    content = path.read_bytes()
    path.unlink()
    return content


# ---- mutations ----


def mutate(rng, content, others):
    """Bytes changed, cut, repeated, inserted, or spliced with another file's."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(content) + 1)
        action = rng.randrange(7)
        if action == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif action == 1 and at < len(content):
            content[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif action == 2:
            del content[at:at + rng.randrange(1, 30)]
        elif action == 3:
            content[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif action == 4:
            content[at:at] = content[at:at + rng.randrange(1, 60)] * rng.choice((1, 1, 2, 50))
        elif action == 5:
            other = rng.choice(others)
            content[at:] = other[rng.randrange(len(other) + 1):]
        else:
            del content[at:]
    return bytes(content)


def mutate_json(rng, text):
    """A JSON text with some of its values and keys changed, as bytes; nested texts are changed in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = list(_TOKENS.finditer(text))
        if not found:
            break
        token = rng.choice(found)
        odd = rng.choice(ODD).encode()
        if token.group().startswith(b'\\"'):
            odd = odd.replace(b'"', b'\\"')
        action = rng.randrange(6)
        if action == 0:
            odd = rng.choice(found).group()
        elif action == 1:
            odd = token.group() + b"," + odd
        elif action == 2 and token.group()[:1].isdigit():
            odd = str(rng.choice((0, 1, 2, 3, 4, 7, 8, 16, 2**31, 2**32, 2**53, 2**62, 2**63))).encode()
        text = text[:token.start()] + odd + text[token.end():]
    return text


def split(content):
    length = int.from_bytes(content[:8], "little")
    return content[8:8 + length], content[8 + length:]


def mutated_header(rng, content):
    header, body = split(content)
    header = mutate_json(rng, header)
    return len(header).to_bytes(8, "little") + header + body


def forge(rng, content):
    """A checkpoint that was changed, its checksum made right again."""
    header, body = split(content)
    header = json.loads(header)
    metadata = header["__metadata__"]
    run = json.loads(metadata["fastsgd.checkpoint"])
    run.pop("checksum")
    part = rng.choice(("plan", "progress", "progress", "history", "callbacks", "", "bytes", "shape"))
    if part == "bytes" and body:
        body = bytearray(body)
        at = rng.randrange(0, len(body), 4)
        body[at:at + 4] = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f", rng.randbytes(4)))[
            :len(body) - at]
        body = bytes(body)
    elif part == "shape":
        name = rng.choice([name for name in header if name.startswith("run.")])
        n = header[name]["data_offsets"][1] - header[name]["data_offsets"][0]
        header[name].update(rng.choice(({"dtype": "F64", "shape": [n // 8]}, {"dtype": "I64", "shape": [1, n // 8]},
                                        {"dtype": "F32", "shape": [n // 4]}, {"shape": [0, 2**40, 2**40]},
                                        {"dtype": "F64", "shape": [n // 8, 1]})))
        if rng.random() < 0.3:
            header[name.replace("history", rng.choice(("callback.0", "history.scores")))] = header.pop(name)
    elif part:
        with contextlib.suppress(ValueError, RecursionError):
            run[part] = json.loads(mutate_json(rng, json.dumps(run.get(part)).encode()))
    else:
        with contextlib.suppress(ValueError, RecursionError):
            changed = json.loads(mutate_json(rng, json.dumps(run).encode()))
            run = changed if isinstance(changed, dict) else run
    arrays = []
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays.append((name, np.frombuffer(body[begin:end], np.uint8)))
    with contextlib.suppress(RecursionError):
        run["checksum"] = checkpoint._checksum(run, arrays)
        metadata["fastsgd.checkpoint"] = json.dumps(run)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def vary(rng, kind, content, seeds):
    """A file changed in one of its kind's ways; some need a file that is whole."""
    if kind in ("model", "checkpoint"):
        way = rng.random()
        if kind == "checkpoint" and way < 0.6:
            return forge(rng, content)
        if way < 0.8:
            return mutated_header(rng, content)
    elif kind == "idx" and content[:2] == GZIP and rng.random() < 0.6:
        return gzip.compress(mutate(rng, gzip.decompress(content), seeds[:4]), 1, mtime=0)
    elif kind == "npz" and rng.random() < 0.8:
        return mutated_members(rng, content)
    elif kind == "onnx" and rng.random() < 0.6:
        with contextlib.suppress(Exception):            # protobuf refuses some values
            return mutated_graph(rng, content)
    return mutate(rng, content, seeds)


def generate(rng, kind, seeds):
    """An input: which seed it comes from, and its bytes."""
    which = rng.randrange(len(seeds))
    return which, vary(rng, kind, seeds[which], seeds)


def mutated_members(rng, content):
    """A zip file with some of its members changed: mostly an array's dtype and shape."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            array, way = old.read(member), rng.random()
            if way < 0.5:
                length = int.from_bytes(array[8:10], "little")
                header = re.sub(rb"'[|<>=]?\w+'(?=,)|\d+",
                                lambda found: found[0] if rng.random() < 0.6 else rng.choice(ODD_OF_ARRAYS),
                                array[10:10 + length])
                array = array[:8] + len(header).to_bytes(2, "little") + header + array[10 + length:]
            elif way < 0.7:
                array = mutate(rng, array, [array])
            name = rng.choice((member.filename, member.filename, member.filename, "y.npy", "X", "../y", "a" * 300))
            new.writestr(name, array, member.compress_type)
    return out.getvalue()


def mutated_graph(rng, content):
    """A model whose fields were changed, which is still a protobuf message."""
    import onnx
    model = onnx.ModelProto.FromString(content)
    for _ in range(rng.randrange(1, 4)):
        message = model
        while True:
            field, value = rng.choice(message.ListFields())
            many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
            if field.type == field.TYPE_MESSAGE and rng.random() < 0.9:
                message = rng.choice(value) if many else value
                continue
            if many and rng.random() < 0.5:
                del value[rng.randrange(len(value))]
            elif many and field.type == field.TYPE_MESSAGE:
                value.append(rng.choice(value))
            elif field.type != field.TYPE_MESSAGE:
                odd = {int: rng.choice((0, 1, -1, 2, 7, 16, 2**31 - 1, 2**62)), float: rng.choice((0.0, 1e30, np.nan)),
                       str: rng.choice(("", "x", "Add", "Mul", "Relu", "Cast", "Transpose", "Reshape", "Div", "\x00")),
                       bytes: rng.randbytes(rng.randrange(40))}[type(value[0] if many else value)]
                if many:
                    value[rng.randrange(len(value))] = odd
                else:
                    setattr(message, field.name, odd)
            break
    return model.SerializeToString()


# ---- what must hold ----


def read(kind, path, which, resume=False):
    """Reads a file; AssertionError where what it gives is not usable."""
    if kind == "idx":
        assert read_idx(path).dtype == np.uint8
    elif kind in ("csv", "jsonl", "npz"):
        table = read_table(path)
        assert len({len(column) for column in table.values()}) == 1
        with contextlib.suppress(ValueError), np.errstate(all="ignore"):
            encoding = Encoding.learn(table, next(reversed(table)))
            assert np.isfinite(Encoding.from_json(encoding.to_json()).rows(table)).all()
    elif resume:
        net, history = _train(which, resume=path)
        assert np.isfinite(net.params).all()
        assert history.epochs >= 0
    else:
        if kind == "checkpoint":
            saved = checkpoint.CheckpointData.read(path)
            assert np.isfinite(saved.params).all()
            assert saved.batch_size >= 1
        net = fastsgd.interop.from_onnx(path) if kind == "onnx" else fastsgd.Network.load(path)
        with np.errstate(all="ignore"):
            assert net.predict(np.zeros((1, net.sizes[0]))).shape == (1, net.sizes[-1])
        if "table" in net.metadata:
            with contextlib.suppress(ValueError, RecursionError):
                Encoding.from_json(net.metadata["table"])


def check(kind, path, which, resume=False, again=False):
    """"accepted", "refused" or "diverged"; AssertionError says what is wrong with a refusal."""
    signal.setitimer(signal.ITIMER_PROF, 4 * SECONDS)
    begin = time.perf_counter()
    try:
        read(kind, path, which, resume)
        outcome = "accepted"
    except ValueError as error:
        message = str(error)
        assert str(path) in message, f"does not name the file: {message[:300]}"
        assert len(message) <= MAX_MESSAGE, f"is {len(message)} characters long"
        assert len(message) >= len(str(path)) + 10, "says nothing"
        outcome = "refused"
    except FloatingPointError:
        if not resume:
            raise
        outcome = "diverged"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.perf_counter() - begin
    if seconds >= SECONDS:
        assert not again, f"took {seconds:.2f} s, twice"
        return check(kind, path, which, resume, again=True)         # the machine may have been busy
    return outcome, seconds


def _alarm(*_):
    raise TooSlow


def allowed(kind, size):
    """Bytes of memory for an input of so many."""
    return COPIES.get(kind, 2) * size + ROOM.get(kind, 2**20)


class Judge:
    """Reads inputs of a kind from a folder, keeps those that fail, and counts what became of them."""

    def __init__(self, kind, kept, folder):
        self.kind, self.kept, self.folder = kind, kept, folder
        self.counts, self.slowest, self.fullest = Counter(), 0.0, 0.0       # fullest: memory over its limit
        self.seeds = SEEDS[kind](folder)
        for which, content in enumerate(self.seeds):        # which are good, and import what the readers need
            read(kind, self._write("seed", content), which)

    def __call__(self, which, content, resume):
        path = self._write("input", content)
        traced = self.counts.total() % TRACED == 1
        if traced:
            tracemalloc.start()
        try:
            outcome, seconds = check(self.kind, path, which, resume)
            if traced:
                part = tracemalloc.get_traced_memory()[1] / allowed(self.kind, len(content))
                self.fullest = max(self.fullest, part)
                assert part <= 1, f"took {part:.2f} times the memory allowed"
        except (Exception, TooSlow) as error:
            outcome, seconds = "failed", 0.0
            _keep(error, content, self.kept, self.kind, path, which, resume)
        finally:
            tracemalloc.stop()
        self.counts[outcome if not resume else f"{outcome} by train"] += 1
        self.slowest = max(self.slowest, seconds)

    def _write(self, name, content):
        zipped = self.kind == "idx" and content[:2] == GZIP
        path = self.folder / f"{name}{SUFFIX[self.kind]}{'.gz' if zipped else ''}"
        path.write_bytes(content)
        return path

    @property
    def result(self):
        return self.counts, self.slowest, self.fullest


@contextlib.contextmanager
def judging(kind, kept, address_space=ADDRESS_SPACE, inside=SHARED):
    """A Judge in a folder of its own, with what it needs of the process."""
    if address_space:
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    before = signal.signal(signal.SIGPROF, _alarm)
    try:
        with tempfile.TemporaryDirectory(dir=inside) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")             # pandas, of the columns' types
            yield Judge(kind, kept, Path(folder))
    finally:
        signal.signal(signal.SIGPROF, before)


def run(kind, count, seed, kept, address_space=ADDRESS_SPACE):
    """Reads so many inputs; returns counts of outcomes, the slowest seconds, the largest memory over its limit."""
    with judging(kind, kept, address_space) as judge:
        for i in range(count):
            which, content = generate(random.Random(seed * 2**32 + i), kind, judge.seeds)
            judge(which, content, resume=kind == "checkpoint" and i % RESUMED == 0)
    return judge.result


def _keep(error, content, kept, kind, path, which, resume):
    kept = Path(kept)
    kept.mkdir(parents=True, exist_ok=True)
    where = traceback.extract_tb(error.__traceback__)[-1]
    name = f"{type(error).__name__}-{Path(where.filename).stem}-{where.lineno}-{path.name}"
    if (kept / name).exists():
        return
    (kept / name).write_bytes(content)
    again = f"--kind {kind} --again {kept / name} --which {which}{' --resume' if resume else ''}"
    print(f"{kind} failed: {type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})\n"
          f"  again: python tests/soak/fuzz.py {again}", flush=True)


def _job(arguments):
    return run(*arguments)


def report(kind, results, seconds):
    """Prints what came of some runs; returns how many inputs failed."""
    counts = sum((result[0] for result in results), Counter())
    print(f"{kind}: {counts.total():,} inputs in {seconds:.0f} s: "
          + ", ".join(f"{outcome} {n:,}" for outcome, n in sorted(counts.items()))
          + f"; slowest {max(result[1] for result in results):.3f} s, most memory "
          f"{max(result[2] for result in results):.1%} of "
          f"{allowed(kind, 1) - allowed(kind, 0)} x size + {allowed(kind, 0) >> 20} MiB", flush=True)
    return sum(n for outcome, n in counts.items() if outcome.startswith("failed"))


def parser_of(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kind", choices=[*SEEDS, "all"], default="all")
    parser.add_argument("--count", type=int, default=100_000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", default="fuzz-failures", help="where inputs that fail are kept")
    return parser


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--again", metavar="FILE", help="read this file only")
    parser.add_argument("--which", type=int, default=0, help="the seed it came from")
    parser.add_argument("--resume", action="store_true", help="by train(resume=FILE)")
    options = parser.parse_args()
    if options.again:
        signal.signal(signal.SIGPROF, _alarm)
        print(check(options.kind, Path(options.again), options.which, options.resume))
        return 0
    failed = 0
    for kind in SEEDS if options.kind == "all" else [options.kind]:
        begin = time.monotonic()
        shares = [(kind, options.count // options.jobs + (job < options.count % options.jobs),
                   options.seed * options.jobs + job, options.kept) for job in range(options.jobs)]
        with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
            results = pool.map(_job, shares)
        failed += report(kind, results, time.monotonic() - begin)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
