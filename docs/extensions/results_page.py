"""generated/results.md and ranges.md: tables that bench.report makes of bench/results."""
import sys
from pathlib import Path

import kept


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}


def write(app):
    root = Path(app.srcdir).parent
    sys.path.append(str(root))
    from bench import report
    sys.path.remove(str(root))
    for name, made in {"results": report.text(), "ranges": report.ranges() + "\n"}.items():
        kept.write(Path(app.srcdir, "generated", f"{name}.md"), made)
