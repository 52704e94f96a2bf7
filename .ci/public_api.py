#!/usr/bin/env python3
"""Holds the public API of sluicegate-core to its committed listing, crates/core/public-api.txt.

    python3 .ci/public_api.py            fails with a diff if the API is not that of the listing
    python3 .ci/public_api.py --write    writes the listing: for a change that is meant, in the same commit

The listing is made from rustdoc's JSON, whose format is unstable: of another format than FORMAT nothing is compared, and the step
says so. A line is an item by the path that a user writes, with its signature; paths in signatures are cut to their last part.
"""

import difflib
import json
import os
import pathlib
import subprocess
import sys

FORMAT = 57
ROOT = pathlib.Path(__file__).resolve().parent.parent
LISTING = ROOT / "crates/core/public-api.txt"
# Derives bring it; nobody can name it.
UNNAMED = {"StructuralPartialEq"}


def rustdoc():
    """rustdoc's JSON of the core with all features."""
    target = ROOT / "target/public-api"
    subprocess.run(
        ["cargo", "rustdoc", "--quiet", "--locked", "--package", "sluicegate-core", "--all-features", "--target-dir", target,
         "--", "-Z", "unstable-options", "--output-format", "json"],
        check=True, cwd=ROOT, env={**os.environ, "RUSTC_BOOTSTRAP": "1"})
    return json.loads((target / "doc/sluicegate_core.json").read_text())


def path(of):
    return (of["path"] if "path" in of else of["name"]).split("::")[-1] + arguments(of.get("args"))


def arguments(args):
    if not args:
        return ""
    kind, args = next(iter(args.items()))
    if kind == "parenthesized":
        output = f" -> {type_(args['output'])}" if args["output"] else ""
        return f"({', '.join(map(type_, args['inputs']))}){output}"
    if kind != "angle_bracketed":
        return f"({kind})"
    parts = [argument(arg) for arg in args["args"]] + [constraint(one) for one in args["constraints"]]
    return f"<{', '.join(parts)}>" if parts else ""


def argument(arg):
    if arg == "infer":
        return "_"
    kind, arg = next(iter(arg.items()))
    return {"lifetime": lambda: arg, "type": lambda: type_(arg), "const": lambda: arg["expr"]}[kind]()


def constraint(one):
    kind, binding = next(iter(one["binding"].items()))
    if kind == "constraint":
        return f"{one['name']}: {bounds(binding)}"
    (kind, term), = binding.items()
    return f"{one['name']} = {type_(term) if kind == 'type' else term['expr']}"


def bounds(all_):
    return " + ".join(filter(None, map(bound, all_)))


def bound(one):
    kind, one = next(iter(one.items()))
    if kind == "trait_bound":
        sign = {"none": "", "maybe": "?", "maybe_const": "~const "}[one["modifier"]]
        return sign + forall(one["generic_params"]) + path(one["trait"])
    return one if kind == "outlives" else ""


def forall(params):
    return f"for<{', '.join(param['name'] for param in params)}> " if params else ""


def type_(one):
    if one == "infer":
        return "_"
    kind, one = next(iter(one.items()))
    if kind == "resolved_path":
        return path(one)
    if kind in ("generic", "primitive"):
        return "!" if one == "never" else one
    if kind == "tuple":
        return f"({', '.join(map(type_, one))})"
    if kind == "slice":
        return f"[{type_(one)}]"
    if kind == "array":
        return f"[{type_(one['type'])}; {one['len']}]"
    if kind == "borrowed_ref":
        lifetime = f"{one['lifetime']} " if one["lifetime"] else ""
        return f"&{lifetime}{'mut ' if one['is_mutable'] else ''}{type_(one['type'])}"
    if kind == "impl_trait":
        return f"impl {bounds(one)}"
    if kind == "dyn_trait":
        traits = [forall(each["generic_params"]) + path(each["trait"]) for each in one["traits"]]
        return "dyn " + " + ".join(traits + ([one["lifetime"]] if one["lifetime"] else []))
    if kind == "qualified_path":
        trait = f" as {path(one['trait'])}" if one["trait"] and one["trait"]["path"] else ""
        return f"<{type_(one['self_type'])}{trait}>::{one['name']}"
    if kind == "function_pointer":
        return "fn" + signature(one["sig"])
    raise ValueError(f"a type of kind {kind}")


def signature(sig):
    inputs = [receiver(name, of) for name, of in sig["inputs"]]
    return f"({', '.join(inputs)})" + (f" -> {type_(sig['output'])}" if sig["output"] else "")


def receiver(name, of):
    if name != "self":
        return f"{name}: {type_(of)}"
    text = type_(of)
    return {"Self": "self", "&Self": "&self", "&mut Self": "&mut self"}.get(text, f"self: {text}")


def generics(of):
    """What stands behind a name, and the `where` behind that."""
    params, where = [], []
    for param in of["params"]:
        kind, value = next(iter(param["kind"].items()))
        if kind == "lifetime":
            params.append(param["name"])
        elif kind == "const":
            params.append(f"const {param['name']}: {type_(value['type'])}")
        elif not value["is_synthetic"]:
            default = f" = {type_(value['default'])}" if value["default"] else ""
            has = f": {bounds(value['bounds'])}" if value["bounds"] else ""
            params.append(param["name"] + has + default)
    for predicate in of["where_predicates"]:
        kind, value = next(iter(predicate.items()))
        if kind == "bound_predicate":
            where.append(f"{forall(value['generic_params'])}{type_(value['type'])}: {bounds(value['bounds'])}")
        elif kind == "lifetime_predicate":
            where.append(f"{value['lifetime']}: {' + '.join(value['outlives'])}")
    return (f"<{', '.join(params)}>" if params else ""), (f" where {', '.join(where)}" if where else "")


class Listing:
    def __init__(self, docs):
        self.index, self.lines = docs["index"], set()
        self.module(docs["index"][str(docs["root"])], "")

    def get(self, id_):
        return self.index.get(str(id_))

    def module(self, item, at):
        for id_ in item["inner"]["module"]["items"]:
            self.item(self.get(id_), at)

    def item(self, item, at, name=None):
        kind, inner = next(iter(item["inner"].items()))
        if kind == "use":
            target = self.get(inner["id"]) if inner["id"] is not None else None
            if target is None:
                self.lines.add(f"use {at}{inner['name']} = {inner['source']}")
            elif inner["is_glob"]:
                self.module(target, at)
            else:
                self.item(target, at, inner["name"])
            return
        name = at + (name or item["name"] or "")
        grows = "#[non_exhaustive] " if any("non_exhaustive" in str(attr) for attr in item["attrs"]) else ""
        if kind == "module":
            self.lines.add(f"mod {name}")
            self.module(item, f"{name}::")
        elif kind == "function":
            self.function(name, inner)
        elif kind in ("struct", "enum"):
            params, where = generics(inner["generics"])
            self.lines.add(f"{grows}{kind} {name}{params}{where}")
            members = inner["variants"] if kind == "enum" else fields(inner["kind"])
            for id_ in members:
                self.member(self.get(id_), name)
            self.impls(inner["impls"], name)
        elif kind == "trait":
            params, where = generics(inner["generics"])
            above = f": {bounds(inner['bounds'])}" if inner["bounds"] else ""
            self.lines.add(f"trait {name}{params}{above}{where}")
            for id_ in inner["items"]:
                self.associated(self.get(id_), name, "provided " if has_body(self.get(id_)) else "required ")
        elif kind == "constant":
            self.lines.add(f"const {name}: {type_(inner['type'])}")
        elif kind == "type_alias":
            self.lines.add(f"type {name}{generics(inner['generics'])[0]} = {type_(inner['type'])}")
        else:
            raise ValueError(f"{name} is a {kind}")

    def function(self, name, inner, before=""):
        header = "".join(f"{word} " for word in ("const", "async", "unsafe") if inner["header"][f"is_{word}"])
        params, where = generics(inner["generics"])
        self.lines.add(f"{before}{header}fn {name}{params}{signature(inner['sig'])}{where}")

    def member(self, item, of):
        kind, inner = next(iter(item["inner"].items()))
        if kind == "struct_field":
            self.lines.add(f"field {of}::{item['name']}: {type_(inner)}")
            return
        self.lines.add(f"variant {of}::{item['name']}")
        if isinstance(inner["kind"], dict):
            for id_ in fields(inner["kind"]):
                self.member(self.get(id_), f"{of}::{item['name']}")

    def associated(self, item, of, before=""):
        kind, inner = next(iter(item["inner"].items()))
        if kind == "function":
            self.function(f"{of}::{item['name']}", inner, before)
        elif kind == "assoc_const":
            self.lines.add(f"const {of}::{item['name']}: {type_(inner['type'])}")
        elif kind == "assoc_type" and inner["type"] is None:
            self.lines.add(f"type {of}::{item['name']}: {bounds(inner['bounds'])}")

    def impls(self, ids, of):
        for inner in (self.get(id_)["inner"]["impl"] for id_ in ids if self.get(id_)):
            trait = inner["trait"]
            if trait is None:
                for id_ in inner["items"]:
                    self.associated(self.get(id_), of)
            elif inner["blanket_impl"] is None and path(trait) not in UNNAMED:
                is_auto = inner["is_synthetic"]
                if is_auto and not (inner["is_negative"] and path(trait) in ("Send", "Sync")):
                    continue
                params, where = generics(inner["generics"])
                sign = "!" if inner["is_negative"] else ""
                self.lines.add(f"impl{params} {sign}{path(trait)} for {type_(inner['for'])}{where}")


def fields(kind):
    if not isinstance(kind, dict):
        return []
    form, inner = next(iter(kind.items()))
    return [id_ for id_ in (inner if form == "tuple" else inner["fields"]) if id_ is not None]


def has_body(item):
    inner = item["inner"].get("function")
    return bool(inner and inner["has_body"])


def main():
    docs = rustdoc()
    if docs["format_version"] != FORMAT:
        text = f"the public API was not compared: rustdoc's JSON is of format {docs['format_version']}, not {FORMAT}"
        print(f"SKIPPED: {text}")
        if "SLUICEGATE_TEST_SKIPPED" in os.environ:
            with open(os.environ["SLUICEGATE_TEST_SKIPPED"], "a") as skipped:
                print(text, file=skipped)
        return
    lines = sorted(Listing(docs).lines)
    assert len(lines) > 500 and any(line.startswith("fn throttle::pace<IO>(io: IO") for line in lines), "the listing is not whole"
    if "--write" in sys.argv[1:]:
        LISTING.write_text("\n".join(lines) + "\n")
        print(f"public API: {len(lines)} lines written")
        return
    listed = LISTING.read_text().splitlines()
    diff = [line for line in difflib.unified_diff(listed, lines, "public-api.txt", "the sources", lineterm="", n=0)]
    if diff:
        print("\n".join(diff))
        sys.exit("The public API of sluicegate-core is not that of its listing. If it is meant: python3 .ci/public_api.py --write")
    print(f"public API: {len(lines)} lines, as listed")


if __name__ == "__main__":
    main()
