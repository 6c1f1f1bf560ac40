"""Why the compiled kernel does not load, in a sentence that says what to do."""
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REINSTALL = "install it by this Python: python -m pip install --force-reinstall fastsgd"


def explain(error: ImportError, folder: Path = Path(__file__).parent) -> str:
    """What to say of an error that the import of ``_kernel`` from its folder met."""
    try:
        numpy = version("numpy")
    except PackageNotFoundError:
        return "fastsgd needs NumPy: pip install numpy"
    if int(numpy.partition(".")[0]) < 2:
        return f"fastsgd needs NumPy 2.0 or newer, this is {numpy}: pip install --upgrade numpy"
    if Path(error.path or "").name.startswith("_kernel."):
        return (f"fastsgd's compiled kernel, {error.path}, does not load here ({_here()}): it is of another system, "
                f"CPU or Python; {REINSTALL}")
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
