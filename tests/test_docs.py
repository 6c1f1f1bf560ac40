"""Do the pages say what is true? Their Python runs, their commands parse, their links lead somewhere.

Comments before a block change what is done with it: docs/contributing/index.md.
"""
import argparse
import importlib.util
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANUAL = [path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
          if path.exists() and "generated" not in path.parts and "_build" not in path.parts]
PAGES = [*MANUAL, *(path for name in ("CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "tests/soak/README.md",
                                      "examples/serving/README.md", "examples/sklearn/README.md",
                                      "examples/dask/README.md",
                                      "fastsgd/datasets/digits/README.md") if (path := ROOT / name).exists())]
COMPLETE = (ROOT / "docs" / "index.md").exists() and (ROOT / "pyproject.toml").exists()
MARK = re.compile(r"<!-- test: (.*?) -->")
BLOCK = re.compile(r"((?:<!-- test: .*? -->\n)*)```(\w*)\n(.*?)\n```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SYMBOLS = re.compile(r"`([\w/]+\.\w+)`\s+\((`\w+`(?:[,;]\s+`\w+`)*)")
CODE_FILE = re.compile(r"`((?:[\w.-]+/)*(?:[\w.-]+\.(?:pyx|pyi|pxi|pxd|py|inc|c|h)|[\w-]+/))`")

pytestmark = pytest.mark.skipif(not COMPLETE, reason="the pages are not installed with the tests")


@dataclass
class Block:
    """Code of a page, the line it begins in, and what is to be done with it."""

    language: str
    text: str
    line: int
    marks: list[str]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(found[2], found[3], text[:found.start(3)].count("\n"), MARK.findall(found[1]))
            for found in BLOCK.finditer(text)]


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def missing(packages: str) -> list[str]:
    return [name for name in packages.split(", ") if importlib.util.find_spec(name) is None]


# ---- Python ----

@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")      # as scikit-learn's with defaults
@pytest.mark.parametrize("page", MANUAL, ids=names(MANUAL))
def test_python(page, tmp_path, monkeypatch):
    """All blocks of a page in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    if not missing("matplotlib"):
        monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict = {"__name__": page.stem}
    for block in blocks(page):
        if block.language == "python":
            code = block.text
            for mark in block.marks:
                if " for " in mark:
                    new, old = mark.split(" for ")
                    assert old in code, f"{page.name}, line {block.line}: there is no {old!r}"
                    code = code.replace(old, new)
            # as many lines before it as in the page, so that a traceback names the line of the page
            compiled = compile("\n" * block.line + code, page, "exec")
            needs = [mark.removeprefix("needs ") for mark in block.marks if mark.startswith("needs ")]
            if not any(mark.startswith("skip") for mark in block.marks) and not any(map(missing, needs)):
                exec(compiled, namespace)


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_marks_are_understood(page):
    text = page.read_text(encoding="utf-8")
    of_blocks = [mark for block in blocks(page) for mark in block.marks]
    if page != ROOT / "docs" / "contributing" / "index.md":   # which explains them
        assert MARK.findall(text) == of_blocks, "a mark stands on the line before a block"
    for mark in of_blocks:
        assert mark.startswith(("needs ", "skip, ")) or mark.count(" for ") == 1, mark


# ---- the shell ----

def commands(text: str) -> Iterator[list[str]]:
    """Each command of some lines of the shell, as words, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("|&;<>()"):
                yield words
                words = []
            else:
                words.append(word)
        yield words


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def parser() -> argparse.ArgumentParser:
    from fastsgd.cli.main import _parser
    return _parser()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_shell(page, capsys):
    """Options are those of the real parser; extras, modules and files exist."""
    for block in blocks(page):
        if block.language != "sh":
            continue
        for words in commands(block.text):
            while words and re.fullmatch(r"\w+=\S*", words[0]):          # variables of the environment
                words = words[1:]
            if not words:
                continue
            command, *arguments = words
            where = f"{page.relative_to(ROOT)}: {' '.join(words)}"
            if command == "fastsgd":
                try:
                    parser().parse_args(arguments)
                except SystemExit:
                    pytest.fail(f"{where}\n{capsys.readouterr().err}")
            elif command == "pip":
                asked = {extra for word in arguments for found in re.findall(r"\[([\w,]+)\]", word)
                         for extra in found.split(",")}
                assert asked <= extras(), where
            elif command == "python" and arguments[0] == "-m" and arguments[1].startswith(("bench.", "tools.")):
                assert (ROOT / f"{arguments[1].replace('.', '/')}.py").exists(), where
            elif command == "python" and arguments[0].endswith(".py"):
                assert (ROOT / arguments[0]).exists(), where
            elif command.startswith(".ci/"):
                assert (ROOT / command).exists() or not (ROOT / ".ci").exists(), where


@pytest.mark.parametrize("page", MANUAL, ids=names(MANUAL))
def test_options_in_sentences(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    subparsers = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    known = {option for command in subparsers.choices.values() for option in command._option_string_actions}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", re.sub(r"`python [^`]*`", "", text))) <= known


def test_the_two_commands_of_the_readme_are_those_that_ci_runs():
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("a source distribution has no .ci")
    lines = [line.split("#")[0].strip() for line in blocks(ROOT / "README.md")[0].text.splitlines()]
    assert lines == ["pip install . && fastsgd demo", 'pip install ".[test]" && pytest']
    for line in lines:
        assert f"step '{line}'" in script.read_text(), line


# ---- links and names ----

def anchors(page: Path) -> set[str]:
    """Those that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert ROOT in target.parents, f"{link} leaves the repository"
        if anchor:
            assert target.suffix == ".md", link
            assert anchor in anchors(target), link


@pytest.mark.skipif(missing("sklearn, distributed"), reason="without them there are no estimators")
def test_every_public_object_is_in_the_reference():
    """By the names in the autosummary blocks of its pages; the build of the site makes a page for each."""
    found: dict[str, set[str]] = {}
    for page in ROOT.glob("docs/reference/*.md"):
        text = page.read_text(encoding="utf-8")
        for module, names in re.findall(r"\.\. currentmodule:: (\S+)\n(.*?)```", text, re.DOTALL):
            found.setdefault(module, set()).update(re.findall(r"^   (\w+)$", names, re.MULTILINE))
    ours = {module.__name__: {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
            for module in public_modules()}
    types_and_constants = {"fastsgd.layers": {"ACTIVATIONS"}, "fastsgd.streams": {"Source"},
                           "fastsgd.tabular": {"QUALITIES"}}
    elsewhere = {"fastsgd.optimizers": ours["fastsgd.optimizers"]}         # all of it is in fastsgd too
    for module, names in ours.items():
        expected = names - types_and_constants.get(module, set()) - elsewhere.get(module, set())
        assert found.get(module, set()) == expected, module


def test_examples_of_docstrings_are_no_entries_of_a_list():
    """What follows a list of parameters and the like needs a heading, or numpydoc takes it for a part of the list."""
    for module in public_modules():
        for name in module.__all__:
            public = getattr(module, name)
            methods = vars(public) if inspect.isclass(public) else {}
            for thing in (public, *(method for key, method in methods.items() if not key.startswith("_"))):
                for body in re.findall(r"^(?:Parameters|Attributes|Returns|Raises)\n-+\n(.*?)(?=^\w+\n---|\Z)",
                                       inspect.getdoc(thing) or "", re.M | re.S):
                    assert "\n\n>>> " not in body, f"{module.__name__}.{name} needs the heading Examples"


def test_every_option_of_an_optimizer_is_described():
    from fastsgd import optimizers
    for name in optimizers.__all__:
        if is_dataclass(kind := getattr(optimizers, name)) and optimizers.Optimizer in kind.__mro__[1:]:
            described = re.findall(r"^(\w+(?:, \w+)*) : ", inspect.getdoc(kind) or "", re.MULTILINE)
            own = {field.name for field in fields(kind)}
            assert {each for names in described for each in names.split(", ")} >= own, name


def public_modules() -> list:
    """fastsgd, and the modules that are its public names."""
    import fastsgd
    return [fastsgd, *(thing for name in fastsgd.__all__ if inspect.ismodule(thing := getattr(fastsgd, name)))]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/contributing/architecture.md",
                                  "docs/explanation/decisions.md", "docs/explanation/promises.md"])
def test_files_that_are_named_exist(page):
    package = ROOT / "fastsgd"
    homes = [package, ROOT, ROOT / "tests", package / "engine" / "csrc", package / "engine"]
    for name in CODE_FILE.findall((ROOT / page).read_text(encoding="utf-8")):
        assert any((home / name).exists() for home in homes), name


def test_symbols_that_are_named_exist():
    package = ROOT / "fastsgd"
    for name, symbols in SYMBOLS.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        text = (package / name).read_text(encoding="utf-8")
        for symbol in re.findall(r"\w+", symbols):
            assert re.search(rf"\b{symbol}\b", text), f"{name} has no {symbol}"


def test_the_map_has_every_room():
    package = ROOT / "fastsgd"
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms
    assert not {room for room in rooms if f"`{room}/`" not in text}


def test_the_version_is_the_same_wherever_it_is_said():
    import json

    import fastsgd
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    changed = re.search(r"^## (\S+) ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    site = json.loads((ROOT / "docs" / "versions.json").read_text(encoding="utf-8"))[0]
    assert cited
    assert changed
    assert {metadata["version"], cited[1], changed[1], site["version"]} == {fastsgd.__version__}
