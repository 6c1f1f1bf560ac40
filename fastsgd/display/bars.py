"""Progress bars on a terminal and in a notebook; elsewhere the caller writes lines."""
from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

SHOWN_AFTER = 1.5           # seconds, for a bar that nobody asked for
REFRESH = 0.25              # seconds between two changes of a notebook's line


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, whose standard error is no terminal and is shown in red."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and ("IPKernelApp" in shell.config or hasattr(shell, "kernel"))


def bar(total: float | None, unit: str, *, file: Any = None, initial: float = 0, delay: float = 0.0,
        leave: bool = True) -> Any:
    """A bar of tqdm, or a line with its methods in a notebook without widgets; None where only lines can be written.

    ``file`` is standard error, or a notebook's output, by default. The bar is shown after ``delay`` seconds, unless its
    text is set with refresh. What matters least stands last, as a terminal may be too narrow.
    """
    settings: dict[str, Any] = {"total": total, "initial": initial, "unit": unit, "unit_scale": True, "delay": delay,
                                "leave": leave}
    if total is not None:
        settings["bar_format"] = "{desc}: {percentage:3.0f}%|{bar}| {remaining}{postfix}" + (
            "" if unit == " s" else ", {rate_fmt}")
    if file is None and in_notebook():
        return _widget(settings) or NotebookLine(**settings)
    file = sys.stderr if file is None else file
    if not getattr(file, "isatty", lambda: False)():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(file=file, dynamic_ncols=True, **settings)


def _widget(settings: dict) -> Any:
    """tqdm's bar for notebooks; None without tqdm or ipywidgets, where it would warn and write to standard error."""
    if importlib.util.find_spec("ipywidgets") is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
            from tqdm.notebook import tqdm_notebook
    except ImportError:
        return None
    return tqdm(dynamic_ncols=True, **settings) if issubclass(tqdm, tqdm_notebook) else None


class NotebookLine:
    """One line of a notebook's output that changes in place, with the methods of a tqdm bar that are used here."""

    def __init__(self, total: float | None, initial: float, unit: str, unit_scale: bool, delay: float, leave: bool,
                 bar_format: str = ""):
        self.total, self.initial, self.n, self.unit, self.leave = total, initial, initial, unit, leave
        self.disable, self._description, self._figures, self._handle = False, "", "", None
        self._began = time.perf_counter()
        self._next = self._began + delay

    def set_description_str(self, text: str, refresh: bool = True) -> None:
        """What is being done."""
        self._description = text

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """What has come of it so far."""
        self._figures = text

    def update(self, more: float = 1) -> None:
        """``more`` of the total is done."""
        self.n += more
        if time.perf_counter() >= self._next:
            self._show(str(self))

    def close(self) -> None:
        """The last state stays, or nothing."""
        if not self.disable and (self._handle or self.leave):
            self._show(str(self) if self.leave else "")
        self.disable = True

    def __str__(self) -> str:
        spent = time.perf_counter() - self._began
        rate = (self.n - self.initial) / max(spent, 1e-9)
        share = f"{self.n / self.total:.0%}" if self.total else ""
        left = f"{(self.total - self.n) / rate:,.0f} s left" if self.total and 0 < self.n < self.total and rate else ""
        speed = f"{rate:,.0f}{self.unit}/s" if self.unit != " s" else ""
        return "  ".join(filter(None, (self._description, share, self._figures, speed, left)))

    def _show(self, text: str) -> None:
        from IPython.display import display
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
        self._next = time.perf_counter() + REFRESH


class Meter:
    """The progress of a function other than ``train``: a bar, or lines where it was asked for and there is no bar.

    ``progress`` True shows it always, False never; None on a terminal and in a notebook, where it takes longer than a
    second or two. Lines begin with ``name``.
    """

    def __init__(self, progress: bool | None, name: str, total: float, unit: str):
        if not isinstance(progress, bool | None):
            raise TypeError(f"progress must be True, False or None, got {progress!r}")
        self._name, self._lines = name, False
        self._bar = None
        if progress is not False:
            self._refreshes = bool(progress)
            self._bar = bar(total, unit, delay=0.0 if progress else SHOWN_AFTER, leave=bool(progress))
            self._lines = bool(progress) and self._bar is None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, what: str, more: str = "", line: bool = True) -> None:
        """Tells what is being done now; ``more`` in a line alone, and without ``line`` on the bar alone."""
        if self._lines and line:
            self._write(what + more)
        elif self._bar is not None:
            self._bar.set_description_str(what, refresh=self._refreshes)

    def found(self, what: str, figures: str, short: str | None = None) -> None:
        """Tells what came of it; ``short`` is for the bar."""
        if self._lines:
            self._write(f"{what}: {figures}")
        elif self._bar is not None:
            self._bar.set_postfix_str(f"{what}: {short or figures}", refresh=self._refreshes)

    def at(self, done: float) -> None:
        """How much of the total is done; a smaller number than before changes nothing."""
        if self._bar is not None and done > self._bar.n:
            self._bar.update(min(done, self._bar.total) - self._bar.n)

    def within(self, begin: float, length: float) -> Callable[[float], None]:
        """A function that reports the progress of a part: from ``begin`` on, ``length`` of the total."""
        return lambda done: self.at(begin + min(done, length))

    def _write(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)
