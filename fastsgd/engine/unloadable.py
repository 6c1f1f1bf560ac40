"""Why the compiled kernel does not load, in a sentence that says what to do."""
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

REINSTALL = "install it by this Python: python -m pip install --force-reinstall fastsgd"


def explain(error: ImportError, folder: Path = Path(__file__).parent) -> str:
    """What to say of an error that the import of ``_kernel`` from its folder met."""
    if find_spec("numpy") is None:
        return "fastsgd needs NumPy: pip install numpy"
    try:
        numpy = version("numpy")
    except PackageNotFoundError:                           # copied without its metadata, as some packagers do
        numpy = ""
    if numpy and int(numpy.partition(".")[0]) < 2:
        return f"fastsgd needs NumPy 2.0 or newer, this is {numpy}: pip install --upgrade numpy"
    if Path(error.path or "").name.startswith("_kernel."):
        return (f"fastsgd's compiled kernel, {error.path}, does not load here ({_here()}): it is of another system, "
                f"CPU or Python, or the system refuses it; {REINSTALL}. The system says: {error}")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("fastsgd"):
        if others := sorted(path.name for path in folder.glob("_kernel.*") if path.suffix in (".so", ".pyd")):
            return (f"fastsgd's compiled kernel is of another system ({', '.join(others)}), here is {_here()}; "
                    f"{REINSTALL}")
        return ("fastsgd's compiled kernel is missing. In its source folder, which hides the installed package, run "
                f"pip install -e . or change to another folder; elsewhere {REINSTALL}")
    return f"fastsgd's compiled kernel cannot be imported: {error}"


def _here() -> str:
    free = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else "free-threaded "
    return f"{platform.system()} {platform.machine()}, {free}Python {platform.python_version()}"
