"""How to read a table's file where that is not to be detected, and the command's options for it."""
from __future__ import annotations

import argparse
import codecs
from dataclasses import asdict, dataclass, replace

NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|",
         "blank": " ", "space": " ", "blanks": " "}


@dataclass(frozen=True)
class Reading:
    """What was said about a file, None where nothing was: then the reader looks.

    ``sep`` of one character, a blank for any number of them; ``decimal`` "." or ","; ``thousands`` "", ",", ".", " " or
    "'"; ``encoding`` such as latin-1; ``na`` strings that stand for a missing value, beside those that do in any case.
    ``usual`` is the decimal mark of the file, said or found.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()
    usual: str = "."

    def __post_init__(self):
        for name, value, allowed in (("decimal", self.decimal, (".", ",")), ("usual", self.usual, (".", ",")),
                                     ("thousands", self.thousands, ("", ",", ".", " ", "'"))):
            if value is not None and value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r:.40}")
        if self.sep is not None and (not isinstance(self.sep, str) or len(self.sep) != 1 or self.sep in '"\n\r'):
            raise ValueError(f"sep must be one character, or one of {', '.join(NAMED)}; got {self.sep!r:.40}")
        mark = self.decimal or self.usual
        if self.thousands and self.thousands == mark:
            raise ValueError(f"thousands and decimal cannot both be {mark!r}")
        if self.encoding is not None:
            try:
                known = codecs.lookup(self.encoding)._is_text_encoding     # type: ignore[attr-defined]
            except (LookupError, TypeError, ValueError):
                known = False
            if not known:
                raise ValueError(f"encoding must be one that Python knows, such as utf-8 or latin-1; got "
                                 f"{self.encoding!r:.40}")

    def or_else(self, other: Reading) -> Reading:
        """What was said here, and where nothing was, there."""
        given = {name: value for name, value in asdict(self).items() if value is not None and value != ()}
        return replace(other, **{**given, "usual": self.decimal or other.usual})

    def as_dict(self) -> dict:
        """What :meth:`from_dict` reads."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Reading(), name)}

    @classmethod
    def from_dict(cls, value: dict) -> Reading:
        """ValueError or TypeError where it is no reading."""
        texts = {name: value.get(name) for name in ("sep", "decimal", "thousands", "encoding")}
        if not all(text is None or isinstance(text, str) for text in texts.values()):
            raise ValueError(f"its reading is {value!r:.80}")
        na = value.get("na", [])
        if not isinstance(na, list) or not all(isinstance(text, str) for text in na):
            raise ValueError(f"what counts as missing is {na!r:.80}")
        return cls(**texts, na=tuple(na), usual=str(value.get("usual", ".")))

    @classmethod
    def of_options(cls, options: argparse.Namespace) -> Reading:
        """From what :func:`add_reading_options` adds."""
        sep = options.sep
        return cls(NAMED.get(sep, sep), options.decimal, options.thousands, options.encoding, tuple(options.na),
                   options.decimal or ".")


def add_reading_options(command: argparse._ActionsContainer) -> None:
    """--sep --decimal --thousands --encoding --na."""
    command.add_argument("--sep", metavar="CHARACTER", help="between the values of a text file: , ; | tab or blank "
                         "(found by looking)")
    command.add_argument("--decimal", choices=[".", ","], help="the decimal mark of numbers (found by looking)")
    command.add_argument("--thousands", metavar="CHARACTER", help="between thousands, such as , (found by looking)")
    command.add_argument("--encoding", help="of a text file, such as latin-1 (utf-8, and if it is not, Windows-1252)")
    command.add_argument("--na", action="append", default=[], metavar="TEXT", help="stands for a missing value, beside "
                         "an empty one, NA, null and the like; may be given more than once")


def add_column_options(command: argparse._ActionsContainer) -> None:
    """--drop --keep --missing."""
    command.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out; it is "
                         "not looked at")
    command.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="a column to learn from though "
                         "it looks like row numbers, an identifier or free text")
    command.add_argument("--missing", choices=["fill", "error"], default="fill", help="fill missing values (numbers "
                         "by the median) and learn where they were, or refuse them (%(default)s)")
