"""The commands' option parser: errors are one line, with an example."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from fastsgd.arguments import did_you_mean
from fastsgd.cli.console import printable, say

MISSING = "the following arguments are required: "      # so argparse begins


class _Formatter(argparse.HelpFormatter):
    """Leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line each, the first of ``examples`` at its end, and exit code 2. --help
    shows all of them.

    An option that is not repeatable may be given once. ``options.given`` names those given.

    >>> parser = CommandParser("grow", examples=["grow rose --water 3"])
    >>> _ = parser.add_argument("plant", metavar="PLANT")
    >>> _ = parser.add_argument("--water", type=int, metavar="LITRES")
    >>> parser.parse_args(["rose", "--water", "2"])
    Namespace(plant='rose', water=2, given={'water'})
    """

    def __init__(self, *arguments, examples: Sequence[str] = (), **options):
        if examples:
            options["epilog"] = "\n".join(["examples:", *(f"  {example}" for example in examples)])
        super().__init__(*arguments, **{**options, "exit_on_error": False, "formatter_class": _Formatter})
        self.examples = examples
        self.register("action", None, _Once)
        self.register("action", "store", _Once)
        self.register("action", "append", _Append)

    def parse_known_args(self, args=None, namespace=None):          # type: ignore[override]
        """As argparse's, but everything must be known."""
        namespace = argparse.Namespace() if namespace is None else namespace
        try:
            found, unknown = super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            self.error(self._in_words(error))
        if unknown:
            self._refuse(unknown)
        if not hasattr(found, "given"):
            found.given = set()
        return found, []

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, on one line, and exits with 2."""
        if message.startswith(MISSING):
            names = message.removeprefix(MISSING).split(", ")
            message = f"{' and '.join(map(self._shown, names))} {'is' if len(names) == 1 else 'are'} missing"
            action = self._action(names[0])
            if isinstance(action, argparse._SubParsersAction):
                message += f"; the commands are {', '.join(action.choices)}"
        say(printable(f"{self.prog}: {message}" + (f", e.g. {self.examples[0]}" if self.examples else "")))
        sys.exit(2)

    def _shown(self, name: str) -> str:
        """An option with what it takes."""
        action = self._action(name)
        if action is None or not action.option_strings:
            return name
        return f"{action.option_strings[-1]} {_value_of(action)}"

    def _action(self, name: str | None) -> argparse.Action | None:
        for action in self._actions:
            if name and name in ("/".join(action.option_strings), *action.option_strings, action.metavar):
                return action
        return None

    def _in_words(self, error: argparse.ArgumentError) -> str:
        action = self._action(error.argument_name)
        if action is not None and action.option_strings and error.message.startswith("expected "):
            return f"{action.option_strings[-1]} needs a value: {self._shown(action.option_strings[-1])}"
        return f"{error.argument_name}: {error.message}" if error.argument_name else error.message

    def _refuse(self, unknown: list[str]) -> NoReturn:
        first = next((text for text in unknown if text.startswith("-") and text != "-"), None)
        if first is None:
            self.error(f"{unknown[0]!r} is one too many")
        name = first.partition("=")[0]
        options = [option for action in self._actions for option in action.option_strings]
        self.error(f"there is no option {name}{did_you_mean(name.replace('_', '-'), options)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = None if action.choices is None else list(action.choices)
        if choices is None or value in choices:
            return
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"there is no command {value!r}{did_you_mean(value, choices)}; "
                                               f"the commands are {', '.join(choices)}")
        raise argparse.ArgumentError(action, f"{value!r} is none of {', '.join(map(str, choices))}"
                                             f"{did_you_mean(str(value), map(str, choices))}")


def _value_of(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _note(namespace: argparse.Namespace, action: argparse.Action) -> None:
    namespace.given = {*getattr(namespace, "given", ()), action.dest}


class _Once(argparse.Action):
    """Stores a value; a second one is refused instead of taken for the first."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if self.option_strings and self.dest in getattr(namespace, "given", ()):
            raise argparse.ArgumentError(self, f"given twice, {getattr(namespace, self.dest)!r} and {values!r}; "
                                               "it may be given once")
        setattr(namespace, self.dest, values)
        if self.option_strings:
            _note(namespace, self)


class _Append(argparse.Action):
    """Adds a value to those of an option that may be repeated."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), values])
        _note(namespace, self)
