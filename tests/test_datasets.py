"""Are the data sets what they claim, found where they should be, and fetched safely?"""
import gzip
import hashlib
import http.server
import io
import socket
import struct
import threading
from typing import ClassVar

import numpy as np
import pytest

import fastsgd
from fastsgd import datasets
from fastsgd.datasets.idx import read_idx


def test_digits_are_shipped():
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    assert (X.shape, X_test.shape) == ((1438, 64), (359, 64))
    assert X.dtype == np.float32
    assert y.dtype == np.int64
    assert (X.min(), X.max()) == (0, 1)
    assert set(y) == set(y_test) == set(range(10))


def test_digits_are_those_of_scikit_learn(digits):
    sklearn = pytest.importorskip("sklearn.datasets")
    (X, y), (X_test, y_test) = digits
    theirs = sklearn.load_digits()

    def rows(pixels, labels):
        return sorted(zip(map(tuple, pixels.astype(int).tolist()), labels.tolist(), strict=True))

    assert rows(np.concatenate([X, X_test]) * 16, np.concatenate([y, y_test])) == rows(theirs.data, theirs.target)


def test_mnist(mnist):
    (X, y), (X_test, y_test) = mnist
    assert (X.shape, y.shape, X_test.shape, y_test.shape) == ((60000, 784), (60000,), (10000, 784), (10000,))
    assert (X != 0).mean() == pytest.approx(0.191, abs=0.001)
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx(array):
    return (struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
            + array.astype(np.uint8).tobytes())


def small_set():
    rng = np.random.default_rng(0)
    return {name: idx(rng.integers(0, 256, (n, 2, 2))) if "images" in name else idx(rng.integers(0, 10, n))
            for name, n in zip(datasets.FILES, (6, 6, 3, 3), strict=True)}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """No data set is to be found anywhere but below tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FASTSGD_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_named_by_the_environment(elsewhere, zipped):
    (elsewhere / "data" / "mnist").mkdir(parents=True)
    for name, content in small_set().items():
        if zipped:
            (elsewhere / "data" / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (elsewhere / "data" / "mnist" / name).write_bytes(content)
    (X, y), (X_test, _) = fastsgd.datasets.mnist()
    assert (X.shape, y.shape, X_test.shape) == ((6, 4), (6,), (3, 4))


def test_nowhere_and_no_download(elsewhere):
    with pytest.raises(FileNotFoundError, match=r"mnist was not found in .*data[\\/]mnist.*cache.fastsgd.mnist"):
        fastsgd.datasets.mnist(download=False)


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine that publishes a small set in place of MNIST."""
    published = {f"/{name}.gz": gzip.compress(content) for name, content in small_set().items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in published:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(published[self.path])))
            self.end_headers()
            self.wfile.write(published[self.path])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        sums = tuple(hashlib.sha256(published[f"/{name}.gz"]).hexdigest() for name in datasets.FILES)
        monkeypatch.setitem(datasets.SOURCES, "mnist", (f"http://127.0.0.1:{running.server_port}", sums))
        yield published
        running.shutdown()
        thread.join()


def test_download_fills_the_cache_once(elsewhere, server, capsys):
    first = fastsgd.datasets.mnist()
    assert "downloading" in capsys.readouterr().err
    server.clear()                                   # nothing is published any more
    second = fastsgd.datasets.mnist()
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(first[0][0], second[0][0])


def test_a_download_that_is_not_the_published_file(elsewhere, server):
    name = f"/{datasets.FILES[2]}.gz"
    server[name] = server[name][:-1] + b"?"
    with pytest.raises(ValueError, match=r"t10k-images.* is not the published file: its SHA-256 is"):
        fastsgd.datasets.mnist()
    assert not (elsewhere / "cache" / "fastsgd" / "mnist" / name[1:]).exists()


def test_a_download_that_fails(elsewhere, server):
    server.clear()
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded: HTTP Error 404"):
        fastsgd.datasets.mnist()


@pytest.mark.parametrize(("answer", "message"), [
    (b"nonsense\r\n\r\n", "BadStatusLine"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nabc", "IncompleteRead"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc", "'many'"),
])
def test_a_server_that_does_not_speak_http(elsewhere, monkeypatch, answer, message):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(9999)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setitem(datasets.SOURCES, "mnist", (url, datasets.SOURCES["mnist"][1]))
        with pytest.raises(FileNotFoundError, match=rf"mnist was not found in .* could not be downloaded: .*{message}"):
            fastsgd.datasets.mnist()
        thread.join()


GOOD = idx(np.arange(12).reshape(3, 2, 2))


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\x0d\x01\0\0\0\1" + b"1234", b"\1\0\x08\x01\0\0\0\1a",
                                     GOOD[:-1], GOOD + b"x", GOOD[:9], b"\0\0\x08\x00", b"\0\0\x08\x09" + bytes(36),
                                     b"\0\0\x08\x04" + b"\xff" * 16])
def test_idx_files_that_are_none(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file is"):
        read_idx(tmp_path / "file")
    (tmp_path / "file.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"file\.gz is"):
        read_idx(tmp_path / "file.gz")


def test_a_gzipped_file_cut_short_or_damaged(tmp_path):
    packed = gzip.compress(GOOD)
    for content in (packed[:-9], packed[:12], b"not gzip at all", packed[:15] + b"\xff\xff" + packed[17:]):
        (tmp_path / "file.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"file\.gz is cut short or damaged"):
            read_idx(tmp_path / "file.gz")


def test_fashion_mnist():
    try:
        (X, y), (X_test, _) = fastsgd.datasets.fashion_mnist(download=False)
    except FileNotFoundError as error:
        pytest.skip(f"needs Fashion-MNIST: {error}")
    assert (X.shape, y.shape, X_test.shape) == ((60000, 784), (60000,), (10000, 784))
    assert (X != 0).mean() == pytest.approx(0.498, abs=0.002)


def test_images_and_labels_that_do_not_belong_together(elsewhere):
    (elsewhere / "data" / "mnist").mkdir(parents=True)
    for name, content in small_set().items():
        (elsewhere / "data" / "mnist" / name).write_bytes(content)
    (elsewhere / "data" / "mnist" / datasets.FILES[1]).write_bytes(idx(np.arange(5)))
    with pytest.raises(ValueError, match=r"mnist holds images \(6, 2, 2\) and labels \(5,\), which do not belong"):
        fastsgd.datasets.mnist()


def test_a_download_goes_on_with_the_files_that_are_missing(elsewhere, server, monkeypatch):
    fastsgd.datasets.mnist()
    name = f"/{datasets.FILES[3]}.gz"
    (elsewhere / "cache" / "fastsgd" / "mnist" / name[1:]).unlink()
    for other in [path for path in server if path != name]:
        del server[other]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)             # which shows progress
    assert fastsgd.datasets.mnist()[0][0].shape == (6, 4)


def test_a_download_cut_short(elsewhere, server, monkeypatch):
    class Response(io.BytesIO):
        headers: ClassVar = {"Content-Length": "100"}

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Response(b"1234567"))
    with pytest.raises(FileNotFoundError, match="the connection ended after 7 of 100 bytes"):
        fastsgd.datasets.mnist()
