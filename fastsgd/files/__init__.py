"""Files: atomic writes, safetensors, JSON of limited size. It knows nothing of networks or tables."""
