"""What draw.md needs in the folder of static files: a network as ONNX, and onnxruntime-web from the npm registry.

Both become scripts, as a page that is opened from disk may read no other files.
"""
import base64
import subprocess
import sys
import tarfile
from pathlib import Path

from sphinx.errors import ExtensionError

RUNTIME = "onnxruntime-web@1.30.0"
FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def setup(app):
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}


def make(app):
    folder = Path(app.srcdir, "generated", "static")
    write_model(Path(app.srcdir), folder / "digit-model.js")
    if not (folder / "onnxruntime-binary.js").exists():
        write_runtime(folder)


def write_model(docs, script):
    sys.path.insert(0, str(docs))
    from digit_model import train_and_export
    sys.path.remove(str(docs))
    path = script.with_suffix(".onnx")
    train_and_export(path)
    script.write_text(f'window.digitModel = "{base64.b64encode(path.read_bytes()).decode()}";\n')
    path.unlink()


def write_runtime(folder):
    try:
        subprocess.run(["npm", "pack", "--silent", RUNTIME, "--pack-destination", folder], check=True,
                       stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExtensionError(f"draw.md needs npm, which gets {RUNTIME}: {error}") from None
    (archive,) = folder.glob("onnxruntime-web-*.tgz")
    with tarfile.open(archive) as tar:
        script, glue, binary = (tar.extractfile(f"package/dist/{name}").read() for name in FILES)
    archive.unlink()
    (folder / "onnxruntime.js").write_bytes(script)
    (folder / "onnxruntime-binary.js").write_text(
        f'window.ortGlue = "{base64.b64encode(glue).decode()}";\n'
        f'window.ortBinary = "{base64.b64encode(binary).decode()}";\n')
