"""The command ``fastsgd``. It does nothing that Python code could not do with the public functions."""
