"""Checks objects against the schemas of Kubernetes's versions and of custom resources. Unknown fields are refused too."""

import functools
import json
import pathlib
import re
from collections.abc import Iterator

import importlib_resources
import jsonschema
import referencing
import yaml

_BUNDLED = importlib_resources.files("kubernetes_validate") / "kubernetes-json-schema"


def versions(oldest: str) -> list[str]:
    """Kubernetes's minor versions with a schema, from `oldest` on: `["1.27", …]`."""
    found = (re.fullmatch(r"v(1\.\d+)\.0-local-strict", entry.name) for entry in _BUNDLED.iterdir())
    minor = lambda version: int(version.split(".")[1])
    return sorted((match[1] for match in found if match and minor(match[1]) >= minor(oldest)), key=minor)


class Schemas:
    """All of them; `crds` has a folder for each version of each custom resource's definition."""

    def __init__(self, crds: pathlib.Path):
        self._custom: dict[tuple[str, str], list[tuple[str, jsonschema.Draft7Validator]]] = {}
        for file in sorted(crds.glob("*/*.yaml")):
            definition = yaml.load(file.read_text(), yaml.CSafeLoader)
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"])
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                self._custom.setdefault(key, []).append((file.parent.name, jsonschema.Draft7Validator(schema)))

    def faults(self, manifest: dict, version: str) -> Iterator[str]:
        """What is wrong with an object for a version of Kubernetes. A kind without a schema is a fault."""
        api, kind = manifest["apiVersion"], manifest["kind"]
        custom = self._custom.get((api, kind))
        if custom:
            checks = custom
        elif (builtin := _builtin(version, api, kind)) is not None:
            checks = [(version, builtin)]
        else:
            yield f"no schema of {api} {kind} for Kubernetes {version}"
            return
        for of, check in checks:
            for error in check.iter_errors(manifest):
                place = ".".join(str(part) for part in error.absolute_path)
                yield f"{kind}/{manifest['metadata']['name']} ({of}): {place}: {error.message[:300]}"


@functools.cache
def _builtin(version: str, api: str, kind: str):
    group, _, name = api.rpartition("/")
    api = "-".join(part for part in (group.split(".")[0], name) if part)
    folder = _BUNDLED / f"v{version}.0-local-strict"
    try:
        schema = json.loads((folder / f"{kind.lower()}-{api}.json").read_text())
    except FileNotFoundError:
        return None
    resource = referencing.Resource.from_contents(schema)
    registry = resource @ (_definitions(version) @ referencing.Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def _definitions(version: str):
    file = _BUNDLED / f"v{version}.0-local-strict" / "_definitions.json"
    return referencing.Resource.from_contents(json.loads(file.read_text()))


def _strict(schema):
    """A definition's schema that refuses fields which the cluster would drop."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not free:
        strict["additionalProperties"] = False
        # Kubernetes's own, which a definition leaves out or open.
        if "apiVersion" in schema["properties"] and "kind" in schema["properties"]:
            strict["properties"]["metadata"] = {"type": "object"}
    return strict
