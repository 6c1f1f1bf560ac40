import bench  # noqa: F401 - before NumPy, see there


def pytest_addoption(parser):
    parser.addoption("--rows", type=int, default=None, help="at most so many rows of each benchmark")
