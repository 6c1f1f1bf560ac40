"""Dask, which ``fastsgd[dask]`` brings."""
from __future__ import annotations


def require_dask() -> None:
    """ImportError says how to get it."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ImportError(f'fastsgd.distributed needs Dask: pip install "fastsgd[dask]" ({error})') from None
