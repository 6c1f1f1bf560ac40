"""Do the sdist and the wheel named on the command line hold what they need, and no generated C?"""
import sys
import tarfile
import zipfile

NEEDED = {
    ".whl": ["fastsgd/engine/_kernel.", "fastsgd/engine/_kernel.pyi", "fastsgd/py.typed",
             "fastsgd/engine/reference.py", "fastsgd/descent/race.py", "fastsgd/plots/descent.py",
             "fastsgd/estimators/mlp.py", "fastsgd/interop/c99.py", "fastsgd/engine/_libs/libscipy_openblas-fastsgd.",
             "fastsgd/engine/_libs/LICENSE.OpenBLAS.txt", "licenses/LICENSE",
             "fastsgd/datasets/digits/train-images-idx3-ubyte.gz", "fastsgd/datasets/digits/README.md"],
    ".gz": ["setup.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md",
            "fastsgd/engine/_kernel.pyx", "fastsgd/engine/_plan.pxi", "fastsgd/engine/_csrc.pxd",
            "fastsgd/engine/csrc/operations.inc", "fastsgd/engine/csrc/fastsgd.h",
            "tests/test_kernel.py", "bench/compare.py"],
}
FORBIDDEN = {".whl": ["_kernel.c", ".pyx", ".pxd", ".pxi", ".inc", ".h", "tests/", "bench/"],
             ".gz": ["_kernel.c", ".so", "_libs/", ".pyc"]}

for path in sys.argv[1:]:
    kind = path[path.rindex("."):]
    if kind == ".whl":
        with zipfile.ZipFile(path) as archive:
            names, size = archive.namelist(), sum(info.compress_size for info in archive.infolist())
    else:
        with tarfile.open(path) as archive:
            names, size = archive.getnames(), sum(member.size for member in archive.getmembers())
    for part in NEEDED[kind]:
        assert any(part in name for name in names), f"{path} lacks {part}"
    for part in FORBIDDEN[kind]:
        found = [name for name in names if name.endswith(part) or (part.endswith("/") and f"/{part}" in f"/{name}")]
        assert not found, f"{path} must not hold {found}"
    print(f"{path.rsplit('/', 1)[1]}: {len(names)} files, {size / 1e6:.1f} MB")
