"""Checkpoints: a training run as it is between two steps, in a file from which it resumes to the same bits.

The file is a model file (``network.model_file``): ``fastsgd.Network.load`` reads the network of that step, with the
average of its parameters where the optimizer keeps one. What EarlyStopping and the like put back when a training ends
is among the states of the callbacks. Beside the network's arrays the file holds ``run.slots``, with an average
``run.params``, ``run.history.*``, the arrays of the callbacks' states (``run.callback.0.best``, ...), and as metadata
``fastsgd.checkpoint``, JSON:

- ``version``: that of this layout and of what a step computes; another one is refused;
- ``library``: the version of fastsgd that wrote it;
- ``plan``: what must be the same for the run to resume to the same bits;
- ``progress`` (:class:`fastsgd.runs.run_state.Counters`), ``history``, ``callbacks``: where the run is;
- ``checksum``: CRC-32 of all this and of the arrays.
"""
from __future__ import annotations

import importlib.metadata
import json
import os
import re
import time
import zlib
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

import numpy as np

from fastsgd.arguments import is_number
from fastsgd.files import safetensors
from fastsgd.files.atomic import check_writable
from fastsgd.files.safetensors import TensorFile
from fastsgd.model.architecture import Architecture
from fastsgd.network import model_file
from fastsgd.runs.history import History
from fastsgd.runs.run_state import Counters

VERSION = 1
METRICS = ("accuracy", "r2")
OLD_WORDS = (                    # of optimizers in checkpoints, and what stands for them now
    (r"\baverage=1\.0\b", "average='polyak'"), (r"\btruncate=", "cumulative_l1="), (r"\bBottou\(", "InverseTime("),
    (r"\bStep\(", "StepDecay("), (r"(OneCycle\([^()]*\b)start=([^()]*\b)end=", r"\1div_factor=\2final_div_factor="))


@dataclass(frozen=True)
class Checkpoint:
    """When ``train`` writes a checkpoint, and where: every so many epochs, steps or seconds, whichever comes first.

    Without any of them every ten seconds; always at the end of the training, and where it is interrupted.

    >>> Checkpoint("run.ckpt", epochs=5)
    Checkpoint(path='run.ckpt', epochs=5, steps=None, seconds=None)
    """

    path: str | Path
    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self):
        for name in ("epochs", "steps", "seconds"):
            value = getattr(self, name)
            if value is None:
                continue
            whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
            if not is_number(value) or (name != "seconds" and not whole):
                kind = "a number" if name == "seconds" else "a whole number"
                raise TypeError(f"Checkpoint: {name} must be {kind}, got {value!r}")
            if not value > 0:
                raise ValueError(f"Checkpoint: {name} must be above 0, got {value!r}")
            object.__setattr__(self, name, float(value) if name == "seconds" else int(value))

    @classmethod
    def checked(cls, checkpoint) -> Checkpoint | None:
        """From the argument of ``train``: a path means the defaults. Its folder must be there and may be written to."""
        if checkpoint is None:
            return None
        if not isinstance(checkpoint, cls):
            if not hasattr(checkpoint, "__fspath__") and not isinstance(checkpoint, str):
                raise TypeError(f"checkpoint must be a path or a fastsgd.Checkpoint, got {checkpoint!r}")
            checkpoint = cls(checkpoint)
        check_writable(checkpoint.path)
        return checkpoint


def path_to_resume(resume: str | os.PathLike | bool | None, checkpoint: Checkpoint | None) -> str | os.PathLike | None:
    """The checkpoint that ``resume`` means, None where a run begins."""
    if not isinstance(resume, bool | np.bool_ | str | os.PathLike | None):
        raise TypeError(f"resume must be True, False or the path of a checkpoint, got {resume!r}")
    if resume is None or (isinstance(resume, bool | np.bool_) and not resume):
        return None
    if not isinstance(resume, bool | np.bool_):
        return resume
    if checkpoint is None:
        raise ValueError("resume=True resumes from the file of checkpoint=, which was not given")
    return checkpoint.path if os.path.exists(checkpoint.path) else None


class CheckpointTimer:
    """Says when a checkpoint is due."""

    def __init__(self, when: Checkpoint):
        self._when = when
        self._every = 10.0 if not (when.epochs or when.steps or when.seconds) else when.seconds
        self.written = False
        self.restart(0, 0)

    def restart(self, steps: int, epochs: int, written: bool = False) -> None:
        """Counts from here on; ``written`` says that a checkpoint has just been."""
        self._steps, self._epochs, self._time = steps, epochs, time.perf_counter()
        self.written = self.written or written

    def steps_left(self, steps: int) -> int:
        """How many steps may be made before one is due for their number."""
        return max(1, self._steps + self._when.steps - steps) if self._when.steps else 2**40

    def expired(self) -> bool:
        """Whether one is due for the time that has passed."""
        return self._every is not None and time.perf_counter() - self._time >= self._every

    def is_due(self, steps: int, epochs: int, at_the_end: bool) -> bool:
        """Whether one is due after so many steps and epochs; at the end there must be one of the last step."""
        if at_the_end:
            return steps > self._steps
        return (self.expired() or bool(self._when.steps and steps - self._steps >= self._when.steps)
                or bool(self._when.epochs and epochs - self._epochs >= self._when.epochs))


@dataclass
class CheckpointData:
    """What a checkpoint holds beside the network."""

    plan: dict
    counters: Counters
    history: History
    callbacks: list                  # [class name, {name: value}] of each that has a state
    params: np.ndarray
    slots: np.ndarray
    average: np.ndarray | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)      # of their states, "0.best"

    @property
    def batch_size(self) -> int:
        """Of the run."""
        return int(self.plan.get("batch_size", 0)) or 1

    def write(self, path, architecture: Architecture, result: np.ndarray, metadata: dict[str, str]) -> None:
        """Writes the file, complete or not at all; ``result`` is the network that the run would return now."""
        tensors = [("run.slots", np.ascontiguousarray(self.slots))]
        tensors += [(f"run.history.{name}", np.array(values, float)) for name, values in self.history.lists().items()]
        if self.average is not None:                     # which is then the result
            tensors.append(("run.params", self.params))
        tensors += [(f"run.callback.{name}", array) for name, array in self.arrays.items()]
        content = {"version": VERSION, "plan": self.plan, "progress": self.counters.as_json(),
                   "callbacks": self.callbacks,
                   "history": {"metric_name": self.history.metric_name, "steps": self.history.steps}}
        write_content(path, model_file.CHECKPOINT, content, tensors, architecture, result, metadata)

    @classmethod
    def read(cls, path) -> CheckpointData:
        """ValueError says why a file is no checkpoint that this version can resume from."""
        with TensorFile(path) as file:
            if model_file.CHECKPOINT not in file.metadata:
                raise ValueError(f"{path} is not a checkpoint: it holds a network but no run")
            content, architecture, result, arrays = checked_content(file, model_file.CHECKPOINT, VERSION, path)
        params = arrays.get("run.params")
        try:
            data = cls(plan=dict(content["plan"]), counters=Counters.from_json(content["progress"]),
                       history=History.checked(content["history"], below("run.history.", arrays)),
                       callbacks=[(str(name), dict(values)) for name, values in content["callbacks"]],
                       params=result if params is None else params, slots=arrays["run.slots"],
                       average=None if params is None else result, arrays=below("run.callback.", arrays))
            if not isinstance(data.plan.get("batch_size"), int) or data.batch_size < 1:
                raise ValueError(f"batch_size is {data.plan.get('batch_size')!r}")
            if data.history.steps > data.counters.steps or data.history.metric_name not in METRICS:
                raise ValueError(f"its history has {data.history.steps} steps and {data.history.metric_name!r}")
            if not (np.isfinite(data.params).all() and np.isfinite(result).all()):
                raise ValueError("a parameter is not finite")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{path} is damaged: {type(error).__name__}: {error!s:.300}") from None
        shapes_fit = data.params.shape == (architecture.parameters,) and data.slots.shape[1:] in (result.shape, (0,))
        if not shapes_fit or {data.params.dtype, data.slots.dtype} != {result.dtype}:
            raise ValueError(f"{path} is damaged: its arrays have shapes {data.params.shape} and {data.slots.shape}")
        return data

    def require(self, path, plan: dict, callbacks: list[str]) -> None:
        """ValueError names what differs between the run that wrote the checkpoint and the one that would resume it."""
        theirs = {**self.plan, "callbacks with a state": [name for name, _ in self.callbacks]}
        if isinstance(theirs.get("optimizer"), str):
            theirs["optimizer"] = in_new_words(theirs["optimizer"])
        ours = {**plan, "callbacks with a state": callbacks}
        found = differences(theirs, ours, path)
        if found:
            optimizers = [re.sub(r"steps=\d+", "", str(plan.get("optimizer"))) for plan in (theirs, ours)]
            only_longer = len(found) == 1 and optimizers[0] == optimizers[1] and \
                theirs.get("optimizer") != plan.get("optimizer")
            advice = ("; a schedule that reaches over the whole run belongs to its number of epochs: to train on, "
                      "begin another run with fastsgd.Network.load of this file") if only_longer else ""
            raise ValueError(f"{path} is a checkpoint of another run, nothing was changed; "
                             + "; ".join(found[:20]) + advice)


def write_content(path, key: str, content: dict, tensors: list, architecture: Architecture, params: np.ndarray,
                  metadata: dict[str, str]) -> None:
    """A model file with more arrays, and under a key of its metadata what else is known of a run."""
    own, metadata = model_file.describe(architecture, params, metadata)
    content = {**content, "library": library_version()}
    content["checksum"] = _checksum(content, own + tensors)
    safetensors.write(path, own + tensors, {**metadata, key: json.dumps(content, default=_plain)})


def checked_content(file: TensorFile, key: str, version: int, path) -> tuple[dict, Architecture, np.ndarray, dict]:
    """``(content, architecture, params, all arrays by name)`` of what :func:`write_content` wrote; else ValueError."""
    content = file.parse(file.metadata[key])
    if not isinstance(content, dict) or content.get("version") != version:
        found = content.get("version") if isinstance(content, dict) else None
        raise ValueError(f"{path} is a checkpoint of layout {found!r:.40}, this fastsgd {library_version()} resumes "
                         f"from layout {version}; fastsgd.Network.load({str(path)!r}) still reads its network")
    expected = content.pop("checksum", None)
    architecture, params, _ = model_file.network_of(file)
    arrays = {tensor.name: tensor.of(params) for tensor in architecture.tensors}
    arrays = {name: arrays[name] if name in arrays else file.read(name) for name in file.tensors}
    try:
        checksum = _checksum(content, list(arrays.items()))
    except RecursionError:
        checksum = "that of nothing nested so deeply"
    if checksum != expected:
        raise ValueError(f"{path} is damaged: its checksum is not that of its contents")
    return content, architecture, params, arrays


def differences(theirs: dict, ours: dict, path) -> list[str]:
    """What differs between the plan of a checkpoint and that of a run, a sentence each."""
    ours = json.loads(json.dumps(ours, default=_plain))
    try:
        return [f"{name:.80}: {theirs.get(name)!s:.300} in the checkpoint, {ours.get(name)!s:.300} here"
                for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    except RecursionError:
        raise ValueError(f"{path} is damaged: its plan is nested too deeply") from None


def below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def in_new_words(optimizer: str) -> str:
    """An optimizer in words of fastsgd 0.1 in those of today.

    >>> in_new_words("SGD(Bottou(rate=0.5, l2=0.01), average=1.0)")
    "SGD(InverseTime(rate=0.5, l2=0.01), average='polyak')"
    """
    for old, new in OLD_WORDS:
        optimizer = re.sub(old, new, optimizer)
    return optimizer


def _plain(value):
    """NumPy's numbers as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a checkpoint keeps numbers, text, lists, dicts and arrays, got {type(value).__name__}")


def library_version() -> str:
    try:
        return importlib.metadata.version("fastsgd")
    except importlib.metadata.PackageNotFoundError:                    # run from its source
        return "unknown"


def _checksum(content: dict, tensors: list[tuple[str, np.ndarray]]) -> str:
    """CRC-32 of what json.dumps makes of the content, piece by piece: it would take 32 bytes for some characters."""
    checksum = 0
    for text in json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=_plain).iterencode(content):
        for at in range(0, len(text), 2**16):
            checksum = zlib.crc32(_escaped(text[at:at + 2**16]).encode(), checksum)
    for name, array in tensors:
        checksum = zlib.crc32(name.encode(errors="surrogatepass"), checksum)
        checksum = zlib.crc32(safetensors.stored(array).data.cast("B") if array.size else b"", checksum)
    return f"{checksum:08x}"


def _escaped(text: str) -> str:
    """A piece of JSON in ASCII: json.dumps escapes quotes and backslashes once more, which is taken back."""
    if text.isascii() and "\x7f" not in text:
        return text
    return json.dumps(text)[1:-1].replace("\\\\", "\\").replace('\\"', '"')
