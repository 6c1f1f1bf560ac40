"""Estimators and their peers on real tables: quality against CPU time."""
