"""The manifests of infra/kubernetes: what Kubernetes and KubeRay know, and no more rights than steps need.

Pods, jobs and policies are held against the schemas of Kubernetes itself. No package has KubeRay's; its keys are those
of the types of its API ray.io/v1, written down here as far as the manifests use them.
"""

import asyncio
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.templating import apply_values
from prefect.workers.base import BaseJobConfiguration

from infra.zombies import DEAD_AFTER_SECONDS, HEARTBEAT_SETTING

kubernetes_validate = pytest.importorskip("kubernetes_validate")

MANIFESTS = Path(__file__).parent.parent / "infra" / "kubernetes"
IMAGE = MANIFESTS.parent.parent / "images" / "cluster.Dockerfile"
VERSIONS = ("1.30", "1.37")
POD = object()
"""Stands for a pod template, which is held against the schema of Kubernetes."""
TEXTS = {"*": str}
HEAD_GROUP = {"serviceType": str, "rayStartParams": TEXTS, "template": POD}
WORKER_GROUP = {
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "rayStartParams": TEXTS,
    "template": POD,
}
KUBERAY = {
    "RayCluster": {
        "rayVersion": str,
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": {
            "idleTimeoutSeconds": int,
            "securityContext": dict,
            "volumeMounts": list,
            "resources": dict,
        },
        "headGroupSpec": HEAD_GROUP,
        "workerGroupSpecs": [WORKER_GROUP],
    },
    "RayJob": {"clusterSelector": TEXTS, "submissionMode": str, "entrypoint": str, "backoffLimit": int},
}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def ray_cluster() -> dict[str, Any]:
    return documents("ray-cluster.yaml")[0]["spec"]


def pool_job(**chosen: object) -> dict[str, Any]:
    """The job that Prefect's worker makes of the pool's template, with variables as a deployment gives them."""
    template = json.loads((MANIFESTS / "pool.json").read_text())
    properties = template["variables"]["properties"]
    values = {name: field["default"] for name, field in properties.items() if field.get("default") is not None}
    usual = {"image": "effreason/cluster:local", "name": "night", "labels": {}, "annotations": {}, "env": []}
    return apply_values(template["job_configuration"], {**values, **usual, **chosen})["job_manifest"]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    cluster = ray_cluster()
    yield "head", cluster["headGroupSpec"]["template"]
    yield "worker", cluster["workerGroupSpecs"][0]["template"]
    yield "pool", pool_job()["spec"]["template"]


PODS = [pytest.param(template, id=name) for name, template in pods()]


def refused(manifest: Mapping[str, Any], version: str) -> str | None:
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return None


def as_pod(template: Mapping[str, Any]) -> dict[str, Any]:
    # Prefect's worker insists on two settings of a job in the pod's part, where Kubernetes disregards them.
    spec = {key: value for key, value in template["spec"].items() if key not in ("parallelism", "completions")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **template.get("metadata", {})}, "spec": spec}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("template", PODS)
def test_kubernetes_knows_every_key_of_every_pod(template, version):
    assert refused(as_pod(template), version) is None


def test_a_key_that_kubernetes_does_not_know_is_found():
    template = pool_job()["spec"]["template"]
    template["spec"]["containers"][0]["gpus"] = 1
    assert "gpus" in (refused(as_pod(template), VERSIONS[-1]) or "")


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_the_policy_and_the_job(version):
    (policy,) = [document for document in documents("ray-cluster.yaml") if document["kind"] == "NetworkPolicy"]
    assert refused(policy, version) is None
    job = pool_job()
    job["metadata"]["name"] = job["metadata"].pop("generateName")
    job["spec"]["template"] = {"spec": as_pod(job["spec"]["template"])["spec"]}
    assert refused(job, version) is None


@pytest.mark.parametrize("name", ["ray-cluster.yaml", "ray-job.yaml"])
def test_kuberay_knows_every_key(name):
    manifest = documents(name)[0]
    assert manifest["apiVersion"] == "ray.io/v1"
    assert unknown(manifest["spec"], KUBERAY[manifest["kind"]]) == []


def unknown(given: Any, known: Any, place: str = "spec") -> list[str]:
    """The places whose key or kind KubeRay does not have."""
    if known is POD:
        return []
    if isinstance(known, dict):
        strange = [f"{place}.{key}" for key in given if key not in known and "*" not in known]
        inner = [(key, value) for key, value in given.items() if f"{place}.{key}" not in strange]
        return strange + [
            one for key, value in inner for one in unknown(value, known.get(key, known.get("*")), f"{place}.{key}")
        ]
    if isinstance(known, list):
        return [one for entry in given for one in unknown(entry, known[0], f"{place}[]")]
    return [] if isinstance(given, known) else [f"{place} is no {known.__name__}"]


@pytest.mark.parametrize("template", PODS)
def test_no_pod_is_root_or_may_become_it_or_write_to_its_image(template):
    spec = template["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert all(set(volume) & {"emptyDir", "configMap"} for volume in spec["volumes"])
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in security and "hostPort" not in str(container.get("ports"))


@pytest.mark.parametrize("template", PODS)
def test_every_pod_says_what_it_needs_and_mounts_what_it_has(template):
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    for container in template["spec"]["containers"]:
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("template", PODS)
def test_secrets_are_named_and_never_written(template):
    for container in template["spec"]["containers"]:
        for entry in container["env"]:
            assert "value" not in entry and entry["valueFrom"].keys() == {"secretKeyRef"}
    text = (MANIFESTS / "ray-cluster.yaml").read_text() + (MANIFESTS / "pool.json").read_text()
    assert "kind: Secret" not in text and "stringData" not in text


@pytest.mark.parametrize("template", PODS)
def test_gated_models_are_opened_where_there_is_a_secret_for_them(template):
    for container in template["spec"]["containers"]:
        (token,) = [entry for entry in container["env"] if entry["name"] == "HF_TOKEN"]
        secret = token["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "effreason-hub", "key": "HF_TOKEN", "optional": True}


@pytest.mark.parametrize("template", PODS)
def test_what_is_fetched_is_kept_in_the_volume_for_it(template):
    for container in template["spec"]["containers"]:
        assert {"name": "cache", "mountPath": "/cache"} in container["volumeMounts"]
    assert image_setting("HF_HOME") == "/cache/huggingface" and image_setting("XDG_CACHE_HOME") == "/cache"


def image_setting(name: str) -> str:
    """Of the environment that the image of the pods has."""
    (found,) = re.findall(rf"^(?:ENV|   ) {name}=(\S+)", IMAGE.read_text(), re.MULTILINE)
    return found


@pytest.mark.parametrize("own", [{}, {"env": {"A": "1"}}])
def test_a_flow_run_in_a_pod_says_often_enough_that_it_lives(own):
    template = json.loads((MANIFESTS / "pool.json").read_text())
    resolved = BaseJobConfiguration.from_template_and_values(template, {"image": "x", **own})
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):  # nothing is asked of it
        environment = asyncio.run(resolved).env
    assert environment == {HEARTBEAT_SETTING: "30", **own.get("env", {})}
    assert image_setting(HEARTBEAT_SETTING) == "30" and DEAD_AFTER_SECONDS > 2 * 30


def test_ray_is_reached_from_its_own_pods_and_the_operator_alone():
    cluster, policy = documents("ray-cluster.yaml")
    assert cluster["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    name = cluster["metadata"]["name"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": name}
    own, operator = policy["spec"]["ingress"]
    assert own["from"] == [{"podSelector": {"matchLabels": {"ray.io/cluster": name}}}]
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]
    (job,) = documents("ray-job.yaml")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": name}


def test_workers_have_gpus_and_the_probes_look_where_ray_listens():
    cluster = ray_cluster()
    (worker,) = cluster["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["livenessProbe"]["tcpSocket"]["port"] == int(worker["rayStartParams"]["node-manager-port"])
    assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]


def test_the_manifests_name_the_ray_that_is_pinned():
    constraints = (MANIFESTS.parent.parent / "constraints.txt").read_text().splitlines()
    assert f"ray=={ray_cluster()['rayVersion']}" in constraints


def test_a_deployment_chooses_the_gpus_of_its_pool(prefect_server):
    job = pool_job(gpus=3, namespace="lab")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 3 and job["metadata"]["namespace"] == "lab"
    template = json.loads((MANIFESTS / "pool.json").read_text())
    with temporary_settings({PREFECT_API_URL: prefect_server.api}), get_client(sync_client=True) as client:
        pool = client.create_work_pool(WorkPoolCreate(name="lab", type="kubernetes", base_job_template=template))
    assert pool.base_job_template == template


def test_prefects_kubernetes_worker_accepts_the_job():
    """Runs where prefect-kubernetes is installed, as on the machine of its worker."""
    worker = pytest.importorskip("prefect_kubernetes.worker")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker.KubernetesWorkerJobConfiguration(job_manifest=pool_job(), name="night")
