#!/usr/bin/env python3
"""Prints what the program is made of, as CycloneDX 1.5 in JSON: each crate with its version, licence and checksum.

    python3 contrib/sbom.py TARGET

It is what Cargo.lock says for the program's default features on TARGET, without what only tests and build scripts need.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def component(package, checksums):
    name, version = package["name"], package["version"]
    found = {
        "type": "library",
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if package["license"]:
        # An older way to write OR.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
    if (name, version) in checksums:
        found["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return found


def main():
    target = sys.argv[1]
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target], cwd=ROOT))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package["checksum"]
                 for package in lock["package"] if "checksum" in package}
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(id for id, package in packages.items() if package["name"] == "sluicegate")
    needs = {}
    waiting = [root]
    while waiting:
        id = waiting.pop()
        if id in needs:
            continue
        linked = [dep["pkg"] for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        needs[id] = linked
        waiting += linked
    parts = {id: component(packages[id], checksums) for id in needs}
    program = parts[root] | {"type": "application"}
    time = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    names = sorted(part["bom-ref"] for part in parts.values())
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join([target, *names]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": program,
        },
        "components": sorted((part for id, part in parts.items() if id != root), key=lambda part: part["bom-ref"]),
        "dependencies": sorted(
            ({"ref": parts[id]["bom-ref"], "dependsOn": sorted({parts[need]["bom-ref"] for need in linked})}
             for id, linked in needs.items()), key=lambda node: node["ref"]),
    }
    json.dump(bom, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
