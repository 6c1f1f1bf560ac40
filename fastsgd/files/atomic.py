"""Atomic writes: a file is complete or not there."""
import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:                                  # where a file that is open cannot be removed anyway
    fcntl = None                                     # type: ignore[assignment]

STALE_SECONDS = 3600.0       # since the last byte of a temporary file: whoever wrote it is taken to have been killed


def write_atomically(path, parts) -> None:
    """Writes the parts (bytes-like) to a temporary file beside path, flushes it to the disk, and renames it.

    A symbolic link is followed; what exists and is not a regular file is refused. OSError names the path; what was
    there before then stays. A process that is killed may leave the temporary file, ``.name.<12 hex digits>.tmp``; a
    later call for the same path removes those that have not been written to for an hour and that nobody has locked.
    """
    with written_beside(path, parts) as put:
        put()


@contextlib.contextmanager
def written_beside(path, parts) -> Iterator[Callable[[], None]]:
    """The same in two steps, for files that belong together: what is yielded renames the temporary file to path.

    Where it has not been called at the end, nothing has happened.
    """
    path, temporary = _beside(path)
    held = None
    try:
        with _naming(path):
            mode = _mode_of(path)
            _remove_stale(path)
            private = None if mode is None else lambda name, flags: os.open(name, flags, 0o600)
            with open(temporary, "xb", opener=private) as file:
                held = _hold(file.fileno())
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None and os.name != "nt":       # where it would only make the file read-only
                os.chmod(temporary, mode)

        def put() -> None:
            with _naming(path):
                os.replace(temporary, path)
            with contextlib.suppress(OSError):      # not every system lets a folder be opened
                descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

        yield put
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if held is not None:
            with contextlib.suppress(OSError):
                os.close(held)


def check_writable(path) -> None:
    """OSError, naming the path, unless :func:`write_atomically` could write there now; leaves nothing behind."""
    with written_beside(path, []):
        pass


def require_regular(path) -> None:
    """OSError unless a path is a regular file: a pipe would be waited for, a device may never end."""
    path = os.fspath(path)                             # a number would be an open file
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, "cannot read: it is a folder; give a file name", path)
        raise OSError(errno.EINVAL, "cannot read: it is not a regular file", path)


def refuse_replacing(path, *inputs) -> None:
    """ValueError where a file to be written is one of those that are read."""
    for given in inputs:
        with contextlib.suppress(OSError):
            if os.path.samefile(path, given):
                raise ValueError(f"{path} would replace {given}, which is read; write to another file")


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """An OSError within says that path cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", path) from error


def _beside(path) -> tuple[str, str]:
    """The real path, and a temporary one in its folder."""
    path = os.path.realpath(os.fsdecode(path))
    return path, f"{_temporary_prefix(path)}{secrets.token_hex(6)}.tmp"


def _temporary_prefix(path: str) -> str:
    folder, name = os.path.split(path)
    name = name[:100]
    while len(os.fsencode(name)) > 100:              # systems allow 255 bytes, whole characters
        name = name[:-1]
    return os.path.join(folder, f".{name}.")


def _hold(descriptor: int) -> int | None:
    """Locks an open file until what is returned is closed, or the process ends; None where that cannot be."""
    with contextlib.suppress(OSError):
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.dup(descriptor)
    return None


def _is_held(entry: os.DirEntry) -> bool:
    """Whether a process that is alive is writing the file, however old the clock makes it."""
    if fcntl is None:
        return False
    descriptor = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _remove_stale(path: str) -> None:
    """Removes temporary files of path that a process left behind when it was killed."""
    folder, prefix = os.path.split(_temporary_prefix(path))
    pattern = re.compile(re.escape(prefix) + r"[0-9a-f]{12}\.tmp")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):             # of this one only
                if (pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                        and time.time() - entry.stat().st_mtime > STALE_SECONDS and not _is_held(entry)):
                    os.unlink(entry)


def _mode_of(path: str) -> int | None:
    """The permissions of the file that will be replaced, None where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "it is a folder; give a file name")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EEXIST, "it exists and is not a regular file")
    return stat.S_IMODE(status.st_mode)
