"""`python -m monitoring`: writes what is generated, the dashboards and then the page that names them."""

from monitoring import dashboards
from monitoring.catalogue import CATALOGUE, render

dashboards.DIRECTORY.mkdir(exist_ok=True)
for file, text in dashboards.rendered().items():
    file.write_text(text)
CATALOGUE.write_text(render())
