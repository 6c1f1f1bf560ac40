"""What all estimators have: parameters kept as given, and an HTML representation that links to their page."""
from __future__ import annotations

from sklearn.base import BaseEstimator

from fastsgd.display.documentation import site


class DocumentedEstimator(BaseEstimator):
    """Its attributes are those by which scikit-learn makes the link; there is none where no site is known."""

    _doc_link_template = "{page}"

    def _keep(self, parameters: dict) -> None:
        """The arguments of ``__init__`` as attributes, untouched."""
        self.__dict__.update((name, value) for name, value in parameters.items() if name not in ("self", "__class__"))

    @property
    def _doc_link_module(self) -> str:
        return "fastsgd" if site() else "none"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        room = "distributed." if ".distributed." in type(self).__module__ else ""
        return {"page": f"{site()}/generated/api/fastsgd.{room}{type(self).__name__}.html"}
