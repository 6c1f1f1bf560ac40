"""Networks out to ONNX, PyTorch and C, and in from ONNX and PyTorch.

The other packages are imported where a function needs them: ``pip install "fastsgd[onnx]"`` or ``"fastsgd[torch]"``.
"""
from fastsgd.interop.c99 import to_c
from fastsgd.interop.onnx_reader import from_onnx
from fastsgd.interop.onnx_writer import to_onnx
from fastsgd.interop.torch_modules import from_torch, to_torch

__all__ = ["from_onnx", "from_torch", "to_c", "to_onnx", "to_torch"]
