"""``python -m bench.report``: what ``bench/results`` holds, as tables in Markdown; the documentation's are these."""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import compare
from bench.tabular.__main__ import read, report

RESULTS = Path(__file__).parent / "results"
ASIDE = ("rounds", "near", "of the peak")      # what is no time


def machines(kind: str) -> list[dict]:
    """The results of files whose names begin so, with what they say of their machine."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(f"{kind}*.json"))]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def epochs(found: dict) -> str:
    """Seconds of each library, and in parentheses how many times fastsgd's that is."""
    results = [(result, compare.summarise(result, compare.best_rounds(result))) for result in found["results"]]
    peers = list(results[0][1]["ratios"])
    rows = []
    for result, summary in results:
        seconds, ratios = summary["seconds"], summary["ratios"]
        rows.append([result["name"], f"{seconds['fastsgd']:.4f}", f"{seconds['1 thread']:.4f}",
                     *(f"{seconds[peer]:.4f} ({ratios[peer]:.1f}x)" for peer in peers),
                     f"{summary['peak']:.0%}" + "*" * result["skips"],
                     f"{summary['rounds']} of {len(result['peaks'])}"])
    return table(["net, batch", "fastsgd", "1 thread", *peers, "of the peak", "rounds"], rows)


def ranges() -> str:
    """How many times fastsgd's seconds each library takes: the least and the most of the cases of each machine."""
    rows = []
    for found in machines("amd"):
        results = [(result["name"], compare.summarise(result, compare.best_rounds(result))["ratios"])
                   for result in found["results"]]
        for peer in results[0][1]:
            least, *_, most = sorted((ratios[peer], case) for case, ratios in results)
            rows.append([peer, name_of(found), *(f"{ratio:.1f}x ({case})" for ratio, case in (least, most))])
    return table(["library", "machine", "least", "most"], sorted(rows))


def networks_for_tables(found: dict) -> str:
    """Milliseconds on each number of threads, and in parentheses how many times the first one's that is."""
    rows = []
    for name, by_threads in found.items():
        if name == "machine":
            continue
        for threads, figures in by_threads.items():
            times = {who: seconds for who, seconds in figures.items() if who not in ASIDE}
            (first, own), *others = times.items()
            rows.append([name, threads, f"{first} {own * 1e3:.3g}",
                         ", ".join(f"{who} {seconds * 1e3:.3g} ({seconds / own:.1f}x)" for who, seconds in others),
                         f"{figures['of the peak']:.0%}" if "of the peak" in figures else ""])
    return table(["what", "threads", "milliseconds", "beside it", "of the peak"], rows)


def rounds() -> str:
    """Accuracy and bytes of distributed runs, by partitions and local epochs."""
    lines = (RESULTS / "distributed.jsonl").read_text(encoding="utf-8").splitlines()
    found = [result for result in map(json.loads, lines) if "accuracy" in result]
    return table(["data", "partitions", "local epochs", "batch", "rounds", "accuracy at the end", "megabytes a round"],
                 [[result["set"], str(result["partitions"] or "one process"), str(result["local_epochs"]),
                   str(result.get("batch", 100)), str(len(result["accuracy"])), f"{result['accuracy'][-1]:.4f}",
                   f"{result['bytes'] / 1e6:.1f}"] for result in found])


def text() -> str:
    """All of it."""
    parts = ["## Epochs of dense networks", "", "Seconds of 30,000 rows, medians of the rounds in which the cores were "
             "near each other, or of all where none were; in parentheses how many times fastsgd's they are: what is "
             "below 1 is lost. * Zeros are skipped: more is done than would fit the peak.", ""]
    for found in machines("amd"):
        parts += [f"### {name_of(found)}", "", f"{found['machine']}; {found['date']}", "", epochs(found), ""]
    parts += ["## Networks for tables", "", "Milliseconds; in parentheses how many times the first figure they are.",
              ""]
    for found in machines("tables"):
        parts += [found["machine"], "", networks_for_tables(found), ""]
    parts += ["## Tables without tuning", "", "Log loss, or the RMSE over the target's deviation, as a multiple of the "
              "best method's of each table, and CPU seconds of a fit on one thread: geometric means. Below, each "
              "table's mean metric.", "", report(read(RESULTS / "tabular.jsonl")), ""]
    parts += ["## Distributed training", "", rounds()]
    return "\n".join(parts) + "\n"


def name_of(found: dict) -> str:
    """A heading: the CPU and its instruction set."""
    about = found["machine"].split(";")[0].split(", ")
    return f"{about[0]}, {about[-1]}, L2 {next(part for part in about if part.startswith('L2'))[3:]}"


if __name__ == "__main__":
    print(text(), end="")
