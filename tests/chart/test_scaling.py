"""What scales the pods, and on which metrics."""

from typing import Any

from processor.metrics import QUEUE_OPERATIONS
from tests.chart.chart import DATABASE, NAME, find, find_all, merged, render
from tests.chart.test_objects import KEDA


def autoscaler(**values: Any) -> dict[str, Any]:
    objects = render(merged(DATABASE, {"autoscaling": {"enabled": True, **values}}))
    return dict(find(objects, "HorizontalPodAutoscaler")["spec"])


def test_the_autoscaler_goes_by_the_cpu_and_the_queue() -> None:
    cpu, queue = autoscaler(cpuPercent=60, queueOperations=250)["metrics"]

    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert queue["pods"] == {
        "metric": {"name": "loyalty_queue_operations"},
        "target": {"type": "AverageValue", "averageValue": "250"},
    }


def test_the_autoscaler_scales_the_deployment_which_names_no_number_of_its_own() -> None:
    objects = render(merged(DATABASE, {"autoscaling": {"enabled": True}}))

    assert find(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == NAME
    assert "replicas" not in find(objects, "Deployment")["spec"]


def test_pods_come_at_once_and_go_one_by_one() -> None:
    behavior = autoscaler()["behavior"]

    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_keda_takes_the_autoscalers_place() -> None:
    objects = render(merged(DATABASE, KEDA))
    cpu, queue = find(objects, "ScaledObject")["spec"]["triggers"]

    assert find_all(objects, "HorizontalPodAutoscaler") == []
    assert "replicas" not in find(objects, "Deployment")["spec"]
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}}
    assert queue["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": f'sum(loyalty_queue_operations{{namespace="shops",service="{NAME}-metrics"}})',
        "threshold": "1000",
    }


def test_a_pod_exports_the_metric_that_it_is_scaled_by() -> None:
    (metric,) = QUEUE_OPERATIONS.describe()

    assert metric.name == "loyalty_queue_operations"
