"""`python -m monitoring`: writes what is generated, the dashboards and the catalogue of the metrics."""

from monitoring.catalogue import CATALOGUE, render

CATALOGUE.write_text(render())
