"""The oldest versions that pyproject.toml allows, for pip, those named on the command line left out; or with --build
what a build needs, with --docs what the site needs beside fastsgd's other extras."""
import re
import sys
import tomllib
from pathlib import Path

text = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
if sys.argv[1:] == ["--build"]:
    sys.exit(print("\n".join(text["build-system"]["requires"])))
project = text["project"]
extras = project["optional-dependencies"]
if sys.argv[1:] == ["--docs"]:
    sys.exit(print("\n".join(each for each in extras["docs"] if not each.startswith("fastsgd"))))
needed = {*project["dependencies"], *(each for name, extra in extras.items() if name != "docs" for each in extra)}
for requirement in sorted(needed):
    name, *version = re.split(">=", requirement)
    if version and name not in sys.argv[1:]:
        print(f"{name}=={version[0]}")
