"""How many lines of the kernel ran, per file, from the .gcda files under the folder on the command line.

csrc/*.inc is compiled once per dtype and instruction set: a line has run if any of these did. Prints the missed lines.
"""
import collections
import json
import subprocess
import sys
from pathlib import Path

ran: dict = collections.defaultdict(lambda: collections.defaultdict(bool))
for counts in Path(sys.argv[1]).rglob("*.gcda"):
    report = subprocess.run(["gcov", "--json-format", "--stdout", counts], capture_output=True, check=True).stdout
    for document in report.splitlines():
        for file in json.loads(document)["files"]:
            if file["file"].startswith("fastsgd/") and not file["file"].endswith("_kernel.c"):
                source = Path(file["file"]).read_text().splitlines()
                for line in file["lines"]:
                    # Cython's own functions follow under the last #line: they lie beyond the end, or where nothing is
                    if not "".join(source[line["line_number"] - 1:line["line_number"]]).strip():
                        continue
                    ran[file["file"]][line["line_number"]] |= line["count"] > 0
total = 0
for name, lines in sorted(ran.items()):
    missed = [number for number, did in sorted(lines.items()) if not did]
    total += len(missed)
    share = 1 - len(missed) / len(lines)
    print(f"{name:30}{len(lines):6}{len(missed):6}{share:8.1%}  {', '.join(map(str, missed))}")
of = sum(map(len, ran.values()))
print(f"{'TOTAL':30}{of:6}{total:6}{1 - total / of:8.1%}")
