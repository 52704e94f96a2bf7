#!/usr/bin/env python3
"""Holds the public API of both crates to committed listings, and the paved path to its examples.

    python3 .ci/public_api.py            fails with a diff if an API is not that of its listing
    python3 .ci/public_api.py --write    writes the listings: for a change that is meant, in the same commit

The paved path is what src/guide/mod.rs lists under that heading: each item must have an example in its documentation.

A listing is made from rustdoc's JSON, whose format is unstable: of another format than FORMAT nothing is compared, and the step
says so. A line is an item by the path that a user writes, with its signature; paths in signatures are cut to their last part. The
traits of COMMON stand behind their type, in brackets; any other has a line of its own.
"""

import difflib
import json
import os
import pathlib
import re
import subprocess
import sys

FORMAT = 57
ROOT = pathlib.Path(__file__).resolve().parent.parent
# Each crate, its listing, the fewest lines that it can have, and a line that it must have.
CRATES = [
    ("sluicegate-core", ROOT / "crates/core/public-api.txt", 500, "fn throttle::pace<IO>(io: IO"),
    ("sluicegate", ROOT / "public-api.txt", 1000, "fn http::server::Server::new("),
]
GUIDE = ROOT / "src/guide/mod.rs"
LIB = ROOT / "src/lib.rs"
# Derives bring it; nobody can name it.
UNNAMED = {"StructuralPartialEq"}
COMMON = {"Clone", "Copy", "Debug", "Default", "Display", "Eq", "Error", "FromStr", "Hash", "Ord", "PartialEq", "PartialOrd"}
# Modules of which src/lib.rs says that they change with the program; what prost makes of proto/, which is what counts; and pages.
UNLISTED = {"config::reference", "guide", "logging", "quota::wire", "rt", "simulate"}


def rustdoc(package):
    """rustdoc's JSON of a package with all features."""
    target = ROOT / "target"
    # rustdoc alone gets the unstable option: what is compiled is what `cargo check` has compiled.
    wrapper = target / "public-api-rustdoc.sh"
    target.mkdir(exist_ok=True)
    wrapper.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n')
    wrapper.chmod(0o755)
    subprocess.run(
        ["cargo", "rustdoc", "--quiet", "--locked", "--package", package, "--lib", "--all-features", "--target-dir", target,
         "--", "-Z", "unstable-options", "--output-format", "json"],
        check=True, cwd=ROOT, env={**os.environ, "RUSTDOC": str(wrapper)})
    return json.loads((target / "doc" / f"{package.replace('-', '_')}.json").read_text())


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
        if kind == "module" and name not in UNLISTED:
            self.lines.add(f"mod {name}")
            self.module(item, f"{name}::")
        elif kind == "module":
            return
        elif kind == "function":
            self.function(name, inner)
        elif kind in ("struct", "enum"):
            params, where = generics(inner["generics"])
            traits = self.impls(inner["impls"], name)
            self.lines.add(f"{grows}{kind} {name}{params}{where}" + (f" [{', '.join(sorted(traits))}]" if traits else ""))
            members = inner["variants"] if kind == "enum" else fields(inner["kind"])
            for id_ in members:
                self.member(self.get(id_), name)
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
        """Adds what is implemented, and returns the common traits."""
        common = set()
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
                if path(trait) in COMMON and not (params or where or inner["is_negative"]):
                    common.add(path(trait))
                    continue
                sign = "!" if inner["is_negative"] else ""
                self.lines.add(f"impl{params} {sign}{path(trait)} for {type_(inner['for'])}{where}")
        return common


def fields(kind):
    if not isinstance(kind, dict):
        return []
    form, inner = next(iter(kind.items()))
    return [id_ for id_ in (inner if form == "tuple" else inner["fields"]) if id_ is not None]


def has_body(item):
    inner = item["inner"].get("function")
    return bool(inner and inner["has_body"])


def paved_path():
    """The items that the guide lists, by their paths in the crate."""
    text = GUIDE.read_text().split("# The paved path", 1)[1].split("\n//! # ", 1)[0]
    items = [item for row in text.splitlines() if row.startswith("//! |") for item in re.findall(r"\]\(crate::([\w:]+)\)", row)]
    assert len(items) > 30, "the guide lists fewer items than it did"
    return items


def modules_of_core():
    """The core's modules that the root crate has by `pub use`: their items are in the core's JSON."""
    return set(re.search(r"^pub use sluicegate_core::\{(.*?)\};", LIB.read_text(), re.MULTILINE | re.DOTALL)[1].replace(",", " ").split())


def without_example(docs, items):
    """Those of `items` whose documentation has no example that is compiled."""
    by_path = {}

    def walk(module, at):
        for id_ in module["inner"]["module"]["items"]:
            item = docs["index"].get(str(id_))
            if item is None:
                continue
            name = item["name"]
            if "use" in item["inner"]:
                use = item["inner"]["use"]
                name, item = use["name"], docs["index"].get(str(use["id"])) or use
            by_path[at + name] = item
            if "module" in item.get("inner", {}):
                walk(item, f"{at}{name}::")

    walk(docs["index"][str(docs["root"])], "")
    missing = [item for item in items if item not in by_path]
    if missing:
        sys.exit(f"the guide lists what is not public: {', '.join(missing)}")
    code = re.compile(r"^```(?!text|sh|toml|ignore|console)", re.MULTILINE)
    return [item for item in items if not code.search(by_path[item].get("docs") or "")]


def skipped(text):
    print(f"SKIPPED: {text}")
    if "SLUICEGATE_TEST_SKIPPED" in os.environ:
        with open(os.environ["SLUICEGATE_TEST_SKIPPED"], "a") as file:
            print(text, file=file)


def main():
    faults = []
    paved, of_core = paved_path(), modules_of_core()
    for package, listing, fewest, known in CRATES:
        docs = rustdoc(package)
        if docs["format_version"] != FORMAT:
            skipped(f"the public API was not compared: rustdoc's JSON is of format {docs['format_version']}, not {FORMAT}")
            return
        own = [item for item in paved if (item.split("::")[0] in of_core) == (package == "sluicegate-core")]
        faults += [f"{item} is on the paved path and has no example" for item in without_example(docs, own)]
        lines = sorted(Listing(docs).lines)
        assert len(lines) > fewest and any(line.startswith(known) for line in lines), "the listing is not whole"
        if "--write" in sys.argv[1:]:
            listing.write_text("\n".join(lines) + "\n")
            print(f"public API of {package}: {len(lines)} lines written")
            continue
        diff = list(difflib.unified_diff(listing.read_text().splitlines(), lines, listing.name, "the sources", lineterm="", n=0))
        if diff:
            print("\n".join(diff))
            faults.append(f"The public API of {package} is not that of its listing. If it is meant: python3 .ci/public_api.py --write")
        print(f"public API of {package}: {len(lines)} lines{'' if diff else ', as listed'}")
    if faults:
        sys.exit("\n".join(faults))
    print(f"paved path: {len(paved)} items, each with an example")


if __name__ == "__main__":
    main()
