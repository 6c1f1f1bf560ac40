"""Names from a table or an estimator as C: they may hold anything, and must end neither a string nor a comment."""
from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

LONGEST = 4095          # bytes of a string that every C99 compiler takes
# Words of C and C++, and macros in lower case that headers of theirs or compilers define.
TAKEN = frozenset((
    "alignas", "alignof", "and", "and_eq", "asm", "assert", "auto", "bitand", "bitor", "bool", "break", "case",
    "catch", "char", "class", "co_await", "co_return", "co_yield", "compl", "complex", "concept", "const",
    "const_cast", "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete", "do",
    "double", "dynamic_cast", "else", "enum", "errno", "explicit", "export", "extern", "false", "far", "float",
    "for", "friend", "goto", "i386", "if", "imaginary", "inline", "int", "interface", "linux", "long", "max",
    "min", "mutable", "namespace", "near", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or",
    "or_eq", "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return",
    "short", "signed", "sizeof", "small", "static", "static_assert", "static_cast", "stderr", "stdin", "stdout",
    "struct", "switch", "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid",
    "typename", "typeof", "union", "unix", "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while",
    "xor", "xor_eq",
))


def literal(text: str) -> str:
    """A C string of the text in UTF-8, which is also safe in a comment.

    >>> print(literal('a"b*/ ??/'))
    "a\\042b\\052\\057 \\077\\077\\057"
    """
    safe = rb"[A-Za-z0-9 _.,:;+=<>()\[\]{}|&!@$~^'`#%-]"
    found = "".join(chr(byte) if re.fullmatch(safe, bytes([byte])) else f"\\{byte:03o}"
                    for byte in text.encode("utf-8", "surrogatepass"))
    return f'"{found}"'


def checked(text: str, what: str) -> str:
    """The literal of a text that is a string of the program; ValueError for what C cannot hold."""
    if "\0" in text:
        raise ValueError(f"{what} is {text!r:.60}, which has a character 0: C strings end there")
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise ValueError(f"{what} is {text!r:.60}, longer than the {LONGEST:,} bytes that a C string may have")
    return literal(text)


def members(names: Iterable[str]) -> list[str]:
    """Different C identifiers like the names: in lower case, with _ for whatever else they hold.

    >>> members(["Size (cm)", "class", "2nd", "size_cm"])
    ['size_cm', 'class_', 'x2nd', 'size_cm_2']
    """
    found: list[str] = []
    for name in names:
        made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "x"
        made = f"x{made}" if made[0].isdigit() else f"{made}_" if made in TAKEN else made
        other, count = made, 1
        while other in found:
            count += 1
            other = f"{made}_{count}"
        found.append(other)
    return found


def numbers(values: np.ndarray) -> list[str]:
    """The shortest decimals that are read back as these very numbers."""
    suffix = "f" if values.dtype == np.float32 else ""
    return [text + suffix for text in values.astype(str).tolist()]
