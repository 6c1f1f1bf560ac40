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
