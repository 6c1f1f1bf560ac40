"""Bytes on disk: whole files or none, safetensors, JSON within bounds. It knows nothing of networks or tables."""
