"""Checks of arrays given as rows and targets, with errors and advice. It reads no files and trains nothing."""
