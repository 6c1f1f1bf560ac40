"""The site: make -C docs html. It documents the fastsgd that is installed, and runs what examples/gallery and
examples/tutorials hold."""
import json
import os
import sys
from pathlib import Path
from types import FunctionType

import fastsgd

os.environ |= {"TQDM_DISABLE": "1", "DASK_LOGGING__DISTRIBUTED": "warning"}
HERE = Path(__file__).parent
sys.path.append(str(HERE / "extensions"))
(HERE / "generated" / "static").mkdir(parents=True, exist_ok=True)

project = "fastsgd"
author = "the fastsgd authors"
copyright = f"2026, {author}"
version = release = fastsgd.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode", "numpydoc",
              "sphinx_gallery.gen_gallery", "sphinx_copybutton", "outside", "command_page", "results_page",
              "digit_page"]
root_doc = "index"
smartquotes = False
exclude_patterns = ["_build", "generated/results.md", "generated/ranges.md"]
templates_path = ["_templates"]

outside_pages = {"CONTRIBUTING.md": "generated/contributing.md", "CHANGELOG.md": "generated/changelog.md",
                 "SECURITY.md": "generated/security.md", "tests/soak/README.md": "generated/soak.md",
                 "bench/README.md": "generated/benchmarks.md", "examples/sklearn/README.md": "generated/sklearn.md",
                 "examples/serving/README.md": "generated/serving.md", "examples/dask/README.md": "generated/dask.md"}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_ref_domains = ["std", "py"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/tutorials", "../examples/gallery"],
    "gallery_dirs": ["tutorials", "gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_order.Order",
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 0,
    "write_computation_times": False,
    "reset_modules": ("matplotlib",),
}

html_theme = "furo"
html_title = f"fastsgd {release}"
html_static_path = ["_static", "generated/static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_search_scorer = "_static/scorer.js"
html_show_search_summary = False          # which reads the pages again, and from disk it may not
html_theme_options = {"navigation_with_keys": True}
# a folder of sites has one for each version, beside each other; where there are several, the sidebar leads to them
html_context = {"versions": json.loads((HERE / "versions.json").read_text(encoding="utf-8"))}
html_sidebars = {"**": [f"sidebar/{part}.html" for part in (
    "scroll-start", "brand", "search", "versions", "navigation", "scroll-end")]}


def leave_out(app, what, name, obj, skip, options):
    """What estimators inherit from scikit-learn: its own pages tell it."""
    module = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", None) or ""
    return True if module.startswith("sklearn.") else None


def escape_bars(app, what, name, obj, options, lines):
    """Absolute values: |x| would be a substitution."""
    for at, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("``")                  # every other one is code
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[at] = "``".join(parts)


def module_of(app, module, name):
    """Where the source of a class lies, for links to it; an attribute's value may be of another module's class."""
    found = getattr(sys.modules.get(module), name.partition(".")[0], None)
    own = found.__module__ if isinstance(found, type | FunctionType) else module
    return own if own.startswith("fastsgd") else module


def setup(app):
    app.connect("viewcode-follow-imported", module_of)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-docstring", escape_bars)
