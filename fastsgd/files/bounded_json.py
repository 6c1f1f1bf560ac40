"""JSON from untrusted files: the memory that a text would take is estimated before it is parsed, and limited."""
import json
import re
from collections.abc import Iterable

ROOM = 64 * 2**20
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)     # possessive, and the last may be open: linear


def parse_json(text: str):
    """The value of a text; ValueError where it is not JSON, has a key twice, nests too deeply or may take too much."""
    check_json([text], len(text))
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def check_json(texts: Iterable[str], length: int) -> None:
    """ValueError where texts may take more than twice this length and ``ROOM``, if parsed as JSON.

    Counted are the characters, as one text and as its strings, and 64 bytes for each value and key.
    """
    most = 2 * length + ROOM
    for text in texts:
        width = 1 if text.isascii() and "\\u" not in text else 4
        most -= 2 * width * len(text)
        if most >= 0:                                    # or what follows would itself take too much
            unescaped = text.replace("\\\\", "")
            most -= 32 * (unescaped.count('"') - unescaped.count('\\"'))
        if most >= 0:
            most -= 64 * sum(map(_STRINGS.sub("", text).count, "[{,:"))
        if most < 0:
            raise ValueError(f"JSON of {len(text):,} characters may take more memory than twice {length:,} bytes and "
                             f"{ROOM:,}")


def _without_duplicates(pairs: list[tuple]) -> dict:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key appears twice")
    return result
