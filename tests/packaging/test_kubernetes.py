#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""deploy/kubernetes: as kustomize makes it, against the API's schema and against what the agent and its unit say."""
import copy
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))
from run_tests import run_tests

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = "base", "canary"
try:
    import kubectl
    import schema
except ImportError as missing:
    print(f"1..0\nok 1 # SKIP {missing}: install python3-kubernetes")
    sys.exit(0)


@functools.cache
def rendered(overlay):
    text, complaint = kubectl.kustomize(FOLDER / overlay)
    assert text, f"{overlay}: {complaint}"
    return schema.objects(text)


def of_kind(found, kind):
    one, = [thing for thing in found if thing["kind"] == kind]
    return one


def pod_of(found):
    return of_kind(found, "DaemonSet")["spec"]["template"]["spec"]


def no_kubectl():
    """Why there is none here, or None."""
    try:
        kubectl.fetch()
    except kubectl.NoKernel as why:
        return str(why)
    return None


def sources_are_what_the_api_takes():
    sources = [path for path in FOLDER.glob("*/*.yaml") if path.name != "kustomization.yaml"]
    assert len(sources) >= 3, sources
    for path in sources:
        for found in schema.objects(path.read_text()):
            if found["kind"] == "DaemonSet":
                # kustomize puts the labels in.
                labels = {"app.kubernetes.io/name": "autocork"}
                found["spec"]["selector"] = {"matchLabels": labels}
            schema.check(found)


def overlays_are_what_the_api_takes():
    for overlay in OVERLAYS:
        for found in rendered(overlay):
            schema.check(found)


def _mistakes(daemonset):
    """(what is wrong, the object with it)"""
    def changed(path, key, value):
        made = copy.deepcopy(daemonset)
        at = made
        for step in path:
            at = at[step]
        if value is None:
            del at[key]
        else:
            at[key] = value
        return made
    pod = ["spec", "template", "spec"]
    container = [*pod, "containers", 0]
    return [
        ("unknown field of the pod", changed(pod, "hostPid", True)),
        ("unknown field of the container", changed(container, "readyProbe", {})),
        ("field at the wrong level", changed(["spec"], "maxSurge", 0)),
        ("field at the wrong level", changed(["spec", "updateStrategy"], "maxSurge", 0)),
        ("unknown field of a map's model", changed([*container, "securityContext", "capabilities"], "keep", ["BPF"])),
        ("text for true", changed(pod, "hostPID", "yes")),
        ("true for a number", changed([*container, "readinessProbe"], "periodSeconds", True)),
        ("text for a number", changed([*container, "ports", 0], "containerPort", "12675")),
        ("number for a text", changed([*container, "resources", "limits"], "memory", 512)),
        ("text for a list", changed([*container, "securityContext", "capabilities"], "drop", "ALL")),
        ("number in a list of texts", changed([*container, "securityContext", "capabilities"], "add", [1])),
        ("list for a mapping", changed(["metadata"], "labels", ["autocork"])),
        ("text for a model", changed([*pod, "volumes", 0], "configMap", "autocork-policy")),
        ("required field missing", changed(["spec"], "selector", None)),
        ("required field missing", changed([*pod, "volumes", 0], "name", None)),
        ("required field missing", changed([*container, "volumeMounts", 0], "mountPath", None)),
        ("unknown kind", changed([], "kind", "Daemonset")),
        ("wrong group", changed([], "apiVersion", "v1")),
    ]


def mistakes_are_found():
    daemonset = of_kind(rendered("base"), "DaemonSet")
    for what, wrong in _mistakes(daemonset):
        try:
            schema.check(wrong)
        except schema.Wrong as why:
            print(f"# {what}: {why}")
        else:
            raise AssertionError(f"{what}: not found")
    try:
        schema.objects("kind: Pod\nspec: {hostPID: true, hostPID: false}\n")
    except schema.Wrong:
        return
    raise AssertionError("two keys of one name: not found")


def kustomize_refuses_an_unknown_field():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        file = pathlib.Path(folder) / "base/kustomization.yaml"
        file.write_text(file.read_text() + "configMapGenerators: []\n")
        text, complaint = kubectl.kustomize(file.parent)
        assert not text and "configMapGenerators" in complaint, (text, complaint)


def names_lead_to_what_is_there():
    """What the API server does not check, and a node complains of only when the pod starts"""
    for overlay in OVERLAYS:
        found = rendered(overlay)
        pod, daemonset = pod_of(found), of_kind(found, "DaemonSet")
        container, = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        assert {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v} == \
            {of_kind(found, "ConfigMap")["metadata"]["name"]}
        assert pod["serviceAccountName"] == of_kind(found, "ServiceAccount")["metadata"]["name"]
        labels = daemonset["spec"]["template"]["metadata"]["labels"]
        assert daemonset["spec"]["selector"]["matchLabels"].items() <= labels.items(), labels
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in "startupProbe", "readinessProbe", "livenessProbe":
            assert container[probe]["httpGet"]["port"] in ports, probe
        assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"
        assert {thing["metadata"].get("namespace") for thing in found if thing["kind"] != "Namespace"} == {"autocork"}


def agent_gets_what_it_needs_and_no_more():
    unit = (ROOT / "packaging/autocorkd.service").read_text()
    bounded = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)[1].replace("CAP_", "").split()
    for overlay in OVERLAYS:
        found = rendered(overlay)
        pod = pod_of(found)
        context = pod["containers"][0]["securityContext"]
        # The socket's group is of no use in a container.
        assert sorted(context["capabilities"]["add"] + ["CHOWN"]) == sorted(bounded), context
        assert context["capabilities"]["drop"] == ["ALL"] and context["readOnlyRootFilesystem"] is True, context
        assert pod["hostPID"] is True and pod["automountServiceAccountToken"] is False, pod
        assert of_kind(found, "ServiceAccount")["automountServiceAccountToken"] is False
        assert not [thing for thing in found if "Role" in thing["kind"]], "no API rights"
        for mount in pod["containers"][0]["volumeMounts"]:
            assert mount.get("readOnly") or mount["name"] == "run", mount
        # A second agent is refused while the first one runs.
        assert of_kind(found, "DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0
        assert pod["priorityClassName"] == "system-node-critical"
        assert {"operator": "Exists"} in pod["tolerations"]


def node_has_one_agent():
    def operator(overlay):
        terms = pod_of(rendered(overlay))["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        expression, = terms["nodeSelectorTerms"][0]["matchExpressions"]
        return expression["key"], expression["operator"]
    assert operator("base") == ("autocork-canary", "DoesNotExist")
    assert operator("canary") == ("autocork-canary", "Exists")
    base, canary = (of_kind(rendered(overlay), "DaemonSet") for overlay in OVERLAYS)
    assert base["metadata"]["name"] != canary["metadata"]["name"]
    assert base["spec"]["selector"] != canary["spec"]["selector"]
    # Applied and deleted beside the base, the canary touches nothing of it.
    both = [{(thing["kind"], thing["metadata"]["name"]) for thing in rendered(overlay)} for overlay in OVERLAYS]
    assert not both[0] & both[1], both[0] & both[1]


def policies_are_valid_and_only_the_canary_manages():
    program = ROOT / os.environ.get("BUILD", "build") / "autocork"
    for overlay, mode in zip(OVERLAYS, ("observe", "autocork")):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in of_kind(rendered(overlay), "ConfigMap")["data"].items():
                (pathlib.Path(folder) / name).write_text(text)
            files = sorted(pathlib.Path(folder).iterdir())
            done = subprocess.run([program, "policy", "check", *files], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
            shown = subprocess.run([program, "policy", "show", "--json", "--policy-dir", folder], capture_output=True,
                                   text=True, check=True).stdout
            policies = [p for p in json.loads(shown)["policies"] if p["number"]]
            assert [(p["name"], p["keys"]["mode"]["value"]) for p in policies] == [("services", mode)], shown


TESTS = [sources_are_what_the_api_takes, overlays_are_what_the_api_takes, mistakes_are_found,
         kustomize_refuses_an_unknown_field, names_lead_to_what_is_there, agent_gets_what_it_needs_and_no_more,
         node_has_one_agent, policies_are_valid_and_only_the_canary_manages]
WITHOUT = no_kubectl()
if WITHOUT:
    def skipped(test):
        def why():
            return WITHOUT
        why.__name__ = test.__name__
        return why
    TESTS = TESTS[:1] + [skipped(test) for test in TESTS[1:]]
sys.exit(run_tests(TESTS))
