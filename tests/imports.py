"""What imports what: rooms, arrows between them, arrows upward and circles.

    python tests/imports.py [FOLDER OF THE PACKAGE] [--list]

A room is a sub-package, or a module at the top. Every import counts, inside functions and for types too. "Upward" is
how many arrows point against the best order of the rooms that a greedy search finds (Eades, Lin and Smyth 1993): 0
where there is no circle.
"""
from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from pathlib import Path

Arrows = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """Every module by its name without that of the package, whose own is ``__init__``."""
    found = {}
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyx")]):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(package: Path) -> Arrows:
    """For every module the modules of the package that it imports."""
    known = modules(package)
    return {name: set(_imported(path, package.name, known)) - {name} for name, path in known.items()
            if path.suffix == ".py"}


def _imported(path: Path, package: str, known: dict[str, Path]):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == package:
                while rest and ".".join(rest) not in known:
                    rest.pop()
                yield ".".join(rest) or "__init__"


def between_rooms(arrows: Arrows) -> Arrows:
    """The same between rooms."""
    rooms: Arrows = defaultdict(set)
    for name, imported in arrows.items():
        room = name.split(".")[0]
        rooms[room] |= {other.split(".")[0] for other in imported} - {room}
    return {room: rooms[room] for room in sorted(rooms)}


def circles(arrows: Arrows) -> list[list[str]]:
    """Sets of names that import each other, however long the way round (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        path.append(name)
        for other in sorted(arrows.get(name, ())):
            if other not in index:
                visit(other)
            if other in path:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            circle = path[path.index(name):]
            del path[path.index(name):]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in arrows:
        if name not in index:
            visit(name)
    return found


def best_order(arrows: Arrows) -> list[str]:
    """Rooms from the top down, so that few arrows point upward."""
    left = {name: set(imported) for name, imported in arrows.items()}
    left.update({other: set() for imported in arrows.values() for other in imported if other not in left})
    top: list[str] = []
    bottom: list[str] = []
    while left:
        importers = {name: {other for other in left if name in left[other]} for name in left}
        if below := [name for name in left if not left[name]]:
            chosen, side = below, bottom
        elif above := [name for name in left if not importers[name]]:
            chosen, side = above, top
        else:
            chosen, side = [max(left, key=lambda name: len(left[name]) - len(importers[name]))], top
        side += chosen
        left = {name: imported - set(chosen) for name, imported in left.items() if name not in chosen}
    return top + bottom[::-1]


def upward(arrows: Arrows, order: list[str]) -> list[tuple[str, str]]:
    """Arrows from a room to one that stands above it in the order."""
    place = {name: number for number, name in enumerate(order)}
    return [(name, other) for name, imported in arrows.items() for other in sorted(imported)
            if place[other] < place[name]]


def floors(arrows: Arrows, order: list[str]) -> int:
    """The longest way down."""
    depth: dict[str, int] = {}
    for name in reversed(order):
        depth[name] = 1 + max((depth[other] for other in arrows.get(name, ()) if other in depth), default=0)
    return max(depth.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", type=Path, default=Path(__file__).parents[1] / "fastsgd")
    parser.add_argument("--list", action="store_true", help="list the arrows")
    options = parser.parse_args()
    by_module = imports(options.package)
    arrows = between_rooms(by_module)
    order = best_order(arrows)
    against = upward(arrows, order)
    print(f"{len(by_module)} modules in {len(arrows)} rooms on {floors(arrows, order)} floors; "
          f"{sum(map(len, arrows.values()))} arrows between rooms, {len(against)} of them upward")
    print(f"circles of rooms: {len(circles(arrows))}; of modules: {len(circles(by_module))}")
    for circle in [*circles(arrows), *circles(by_module)]:
        print("  ", " <-> ".join(circle))
    for name, other in against:
        print(f"   upward: {name} -> {other}")
    if options.list:
        for name in order:
            print(f"{name}: {', '.join(sorted(arrows.get(name, ())))}")


if __name__ == "__main__":
    main()
