"""Where the documentation is, for links to it."""
from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path


def site() -> str:
    """Its address: what FASTSGD_DOCS says, a folder or a URL, else the package's own; "" where neither says one."""
    place = os.environ.get("FASTSGD_DOCS") or _of_package()
    return place.rstrip("/") if "://" in place or not place else Path(place).resolve().as_uri()


def _of_package() -> str:
    """The Documentation among the URLs of the installed package's metadata."""
    try:
        urls = metadata.metadata("fastsgd").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    return named.get("Documentation", "")
