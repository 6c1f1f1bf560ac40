"""Networks and fitted estimators out to ONNX, PyTorch and C; networks in from ONNX and PyTorch; estimators to
scikit-learn's and back.

The other packages are imported where a function needs them: ``pip install "fastsgd[onnx]"`` ``"fastsgd[torch]"``,
``"fastsgd[sklearn]"``.
"""
from fastsgd.interop.c99 import to_c
from fastsgd.interop.onnx_reader import from_onnx
from fastsgd.interop.onnx_writer import to_onnx
from fastsgd.interop.sklearn_models import from_sklearn, to_sklearn
from fastsgd.interop.torch_modules import from_torch, to_torch

__all__ = ["from_onnx", "from_sklearn", "from_torch", "to_c", "to_onnx", "to_sklearn", "to_torch"]
