#!/usr/bin/env python3
"""Holds the schema of configuration files, `sluicegate config --schema`, to the files that there are.

Every good file must validate: each ```toml block of the pages that has a name, the example, those of fixtures/config and of
contrib/. A file with one fault must not: an unknown key in any table, a value of another type for any key, and the files of
fixtures/config/bad whose fault is one that a schema can know.

    target/peers/bin/python .ci/schema.py PROGRAM
"""

import copy
import json
import pathlib
import subprocess
import sys
import tomllib

import jsonschema

from pages import blocks

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Faults of form. The others are of spelling, of what goes together, or no TOML at all.
BAD = ["bad-type", "filter-is-no-table", "limit-is-no-table", "limit-unknown-key",
       "quota-unknown-key", "sink-unknown-keys", "tcp-unknown-key", "tracing-unknown-key", "unknown-key",
       "unknown-key-at-the-top", "events-unknown-key", "bad-follow-links", "bad-log-level", "bad-on-full"]
# Tables that take any key, and values of any form.
OPEN = {"tls", "filter", "types", "error_pages", "set", "add", "header", "classes"}


def good_files():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for language, lines, _ in blocks(page.read_text(encoding="utf-8")):
            name = lines[0] if lines else ""
            # Clients of a simulation, and overlays, have keys of their own.
            if language == "toml" and "[[clients]]" not in lines and ".overlay" not in name:
                yield f"{page.name} {name}", "\n".join(lines)
    for file in [ROOT / "fixtures/config/sluicegate.toml", *sorted((ROOT / "contrib").glob("*/*.toml"))]:
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def tables(value, path=()):
    """The paths of all tables in a value, itself included."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from tables(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from tables(inner, (*path, at))


def at(value, path):
    for step in path:
        value = value[step]
    return value


def mutations(good):
    """Copies of a good file with one fault of form each."""
    for path in tables(good):
        if path and path[-1] in OPEN or len(path) > 1 and path[-2] in OPEN - {"tls", "filter"}:
            continue
        changed = copy.deepcopy(good)
        at(changed, path)["qqq"] = 1
        yield f"qqq in {path}", changed
        for key in at(good, path):
            changed = copy.deepcopy(good)
            at(changed, path)[key] = [[[{"qqq": True}]]]
            yield f"{key} of {path}", changed


def main():
    program = sys.argv[1]
    schema = json.loads(subprocess.check_output([program, "config", "--schema"]))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    example = subprocess.check_output([program, "config", "--example"], text=True)
    whole = "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in example.split("\n"))
    files = [*good_files(), ("example", example), ("whole example", whole)]
    faults = 0
    for name, text in files:
        good = tomllib.loads(text)
        for error in validator.iter_errors(good):
            sys.exit(f"{name} does not validate: {list(error.absolute_path)}: {error.message}")
        for what, changed in mutations(good):
            if validator.is_valid(changed):
                sys.exit(f"{name} validates with {what}")
            faults += 1
    taken = [name for name in BAD if validator.is_valid(tomllib.loads((ROOT / f"fixtures/config/bad/{name}.toml").read_text()))]
    if taken:
        sys.exit(f"of fixtures/config/bad these validate: {taken}")
    if len(files) < 20 or faults < 500:
        sys.exit(f"only {len(files)} files and {faults} faults were tried")
    print(f"schema: {len(files)} files validate, {faults + len(BAD)} with a fault do not")


if __name__ == "__main__":
    main()
