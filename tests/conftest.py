import pytest

import fastsgd


@pytest.fixture(scope="session")
def digits():
    return fastsgd.datasets.digits()


@pytest.fixture(scope="session")
def mnist():
    try:
        return fastsgd.datasets.mnist(download=False)
    except FileNotFoundError as error:
        pytest.skip(f"needs MNIST: {error}")


def pytest_sessionstart():
    """Ctrl-C interrupts, also where the suite was started in the background of a shell, which ignores it there."""
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)
