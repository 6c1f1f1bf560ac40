"""Estimators whose HTML representation links to their page of the documentation."""
from __future__ import annotations

from sklearn.base import BaseEstimator

from fastsgd.display.documentation import site


class DocumentedEstimator(BaseEstimator):
    """The attributes by which scikit-learn makes the link; there is none where no site is known."""

    _doc_link_template = "{page}"

    @property
    def _doc_link_module(self) -> str:
        return "fastsgd" if site() else "none"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        room = "distributed." if ".distributed." in type(self).__module__ else ""
        return {"page": f"{site()}/generated/api/fastsgd.{room}{type(self).__name__}.html"}
