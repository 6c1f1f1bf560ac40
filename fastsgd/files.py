"""Files that are there whole or not at all."""
import contextlib
import errno
import os
import secrets
import stat


def write_atomically(path, parts) -> None:
    """Writes the parts (bytes-like) to a temporary file beside path, flushes it to the disk, and renames it.

    A symbolic link is followed; what exists and is not a regular file is refused. OSError names the path.
    """
    path, temporary = _beside(path)
    try:
        mode = _mode_of(path)
        descriptor = _create(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        with contextlib.suppress(OSError):          # not every system lets a folder be opened
            descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", path) from error


def check_writable(path) -> None:
    """OSError, naming the path, unless :func:`write_atomically` could write there now; leaves nothing behind."""
    path, temporary = _beside(path)
    try:
        _mode_of(path)
        os.close(_create(temporary))
        os.unlink(temporary)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", path) from error


def _beside(path) -> tuple[str, str]:
    """The real path, and a temporary one in its folder."""
    path = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(path)
    return path, os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


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
