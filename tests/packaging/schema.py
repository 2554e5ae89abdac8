# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Kubernetes objects against the API's schema, as python3-kubernetes (the generated client of the API) has it: each
field must be known and of its type, what is required must be there."""
import re

import yaml
from kubernetes import client

SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str,
           # An integer or text: ports, and how many pods a rollout may miss.
           "object": (int, str)}


class Wrong(Exception):
    """What is wrong, and where."""


class Loader(yaml.SafeLoader):
    """YAML takes the last of two keys of one name and says nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise Wrong(f"{key}: stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def objects(text):
    return [found for found in yaml.load_all(text, Loader) if found is not None]


def _check(value, kind, where):
    inner = re.fullmatch(r"list\[(.+)\]|dict\(str, (.+)\)", kind)
    if inner and inner[1]:
        if not isinstance(value, list):
            raise Wrong(f"{where}: {value!r}: not a list")
        return [_check(item, inner[1], f"{where}[{number}]") for number, item in enumerate(value)]
    if inner:
        if not isinstance(value, dict):
            raise Wrong(f"{where}: {value!r}: not a mapping")
        return {_check(key, "str", f"{where} key"): _check(item, inner[2], f"{where}.{key}")
                for key, item in value.items()}
    if kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or isinstance(value, bool) != (kind == "bool"):
            raise Wrong(f"{where}: {value!r}: not of type {kind}")
        return value
    model = getattr(client, kind)
    if not isinstance(value, dict):
        raise Wrong(f"{where}: {value!r}: not a {kind}")
    names = {name: attribute for attribute, name in model.attribute_map.items()}
    for name in value:
        if name not in names:
            raise Wrong(f"{where}.{name}: {kind} has no such field")
    made = {names[name]: _check(item, model.openapi_types[names[name]], f"{where}.{name}")
            for name, item in value.items()}
    try:
        return model(**made)
    except ValueError as error:
        raise Wrong(f"{where}: {error}") from None


def check(found):
    """One object; its kind says by which model."""
    version, kind = found.get("apiVersion", ""), found.get("kind", "")
    prefix = version.rsplit("/", 1)[-1].capitalize()
    if not hasattr(client, prefix + kind):
        raise Wrong(f"{version} {kind}: the API has no such kind")
    group = {"DaemonSet": "apps/v1"}.get(kind, "v1")
    if version != group:
        raise Wrong(f"{kind}: apiVersion is {version}, not {group}")
    _check(found, prefix + kind, kind)
