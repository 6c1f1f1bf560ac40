"""generated/command.md: the options of the command, as its own parser has them."""
import argparse
from pathlib import Path

import kept

from fastsgd.cli.main import COMMANDS, _parser

HEAD = """# The command

`fastsgd COMMAND --help` says the same on a terminal; [Tables and the command](../reference/tables.md), what it is for.

| command | what it does |
|---|---|
"""


def setup(app):
    app.connect("builder-inited", lambda app: write(Path(app.srcdir, "generated", "command.md")))
    return {"parallel_read_safe": True}


def write(page):
    (subparsers,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    text = HEAD + "".join(f"| [`fastsgd {name}`](#fastsgd-{name}) | {what} |\n" for name, (what, _) in COMMANDS.items())
    text += "".join(section(name, subparsers.choices[name]) for name in COMMANDS)
    kept.write(page, text)


def section(name, parser):
    what, examples = COMMANDS[name]
    lines = ["", f"## fastsgd {name}", "", f"{what[0].upper()}{what[1:]}.", "", "```sh", *examples, "```"]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if actions:
            if group.description:
                lines += ["", f"{group.title}: {group.description}."]
            lines += ["", f"| {group.title} | |", "|---|---|", *map(row, actions)]
    return "\n".join(lines) + "\n"


def row(action):
    """| `--option VALUE` | what it means |"""
    value = "" if action.nargs == 0 else action.metavar or ("" if action.choices else action.dest.upper())
    names = ", ".join(action.option_strings)
    meaning = (action.help or "") % {**vars(action), "prog": "fastsgd"}
    if action.choices and not action.metavar:
        choices = ", ".join(f"`{choice}`" for choice in action.choices)
        meaning = f"{meaning}: {choices}" if meaning else choices
    return f"| `{' '.join(filter(None, [names, value]))}` | {meaning.replace('|', chr(92) + '|')} |"
