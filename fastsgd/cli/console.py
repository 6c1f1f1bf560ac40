"""What the commands say on standard error."""
import sys


def say(text: str) -> None:
    """A line without names out of files."""
    print(text, file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """A line that may hold names out of files."""
    say(printable(text))


def warn(text: str) -> None:
    """A warning, which may hold names out of files."""
    say(f"fastsgd: warning: {printable(text)}")


def printable(text: str) -> str:
    """For a terminal: what would move its cursor or change its colours is escaped, as in a repr."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
