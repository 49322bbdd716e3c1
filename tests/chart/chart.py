"""The chart as tests see it: rendered by Helm's own library, without a cluster or a network."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python as helm
import pytest
import yaml

from tests.chart.generate import CHART

RELEASE: Final = "tills"
NAMESPACE: Final = "shops"
NAME: Final = "tills-loyalty-processor"

# The least that has to be given.
DATABASE: Final = {"database": {"existingSecret": {"name": "pg"}}}
CNPG: Final = {"cnpg": {"enabled": True, "serviceLoginSecret": "loyalty-login"}}

Values = Mapping[str, Any]
Object = dict[str, Any]


def render(values: Values, *, is_upgrade: bool = False, chart: Path = CHART) -> list[Object]:
    """The objects of an install (or upgrade) with these values and no others."""
    files = render_files(values, is_upgrade=is_upgrade, chart=chart)
    return [
        item
        for path, text in files.items()
        if path.endswith(".yaml")
        for item in yaml.safe_load_all(text)
        if item
    ]


def render_files(values: Values, *, is_upgrade: bool = False, chart: Path = CHART) -> dict[str, str]:
    """The text of each template by its path. Raises HelmError."""
    with helm.Chart.load(chart) as loaded:
        return loaded.render(
            dict(values), name=RELEASE, namespace=NAMESPACE, is_install=not is_upgrade, is_upgrade=is_upgrade
        )


def find(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind, or of this kind and name."""
    (found,) = find_all(objects, kind, name)
    return found


def find_all(objects: list[Object], kind: str, name: str | None = None) -> list[Object]:
    return [
        item
        for item in objects
        if item["kind"] == kind and (name is None or item["metadata"]["name"] == name)
    ]


def refusal(values: Values) -> str:
    """What Helm says instead of rendering."""
    with pytest.raises(helm.HelmError) as refused:
        render(values)
    return str(refused.value)


def deployment(values: Values) -> Object:
    return find(render(values), "Deployment")


def server(values: Values) -> Object:
    """The container of the service."""
    (container,) = pod_specs([deployment(values)])[0]["containers"]
    return dict(container)


def variables(container: Object) -> dict[str, str]:
    """Its variables with a value of their own."""
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


def settings_file(values: Values) -> str:
    """The file of settings that the service is started with."""
    container, objects = server(values), render(values)
    (spec,) = pod_specs([find(objects, "Deployment")])
    *_, path = container["args"]
    (mount,) = [item for item in container["volumeMounts"] if item["mountPath"] == path.rpartition("/")[0]]
    (volume,) = [item for item in spec["volumes"] if item["name"] == mount["name"]]
    config_map = find(objects, "ConfigMap", volume["configMap"]["name"])
    assert "subPath" not in mount  # which would never follow the ConfigMap
    return str(config_map["data"][path.rpartition("/")[2]])


def pod_specs(objects: list[Object]) -> list[Object]:
    """The spec of every pod that the objects bring forth."""
    return list(_pod_specs(objects))


def _pod_specs(objects: list[Object]) -> Iterator[Object]:
    for item in objects:
        if item["kind"] == "Pod":
            yield item["spec"]
        elif item["kind"] == "CronJob":
            yield item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in item.get("spec", {}):
            yield item["spec"]["template"]["spec"]


def merged(*parts: Values) -> dict[str, Any]:
    """Values of several parts as one, as several `-f` give them."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            mine = whole.get(key, {})
            whole[key] = merged(mine, value) if isinstance(value, Mapping) else value
    return whole


def dotted(path: str, value: object) -> dict[str, Any]:
    """`{"a": {"b": value}}` of `a.b`."""
    first, _, rest = path.partition(".")
    return {first: dotted(rest, value) if rest else value}
