"""Reads the pages: their blocks of code, the commands in them, and how each command is to be run."""

import re
import shlex

HTTP, TCP, ADMIN, QUOTA = 8080, 7070, 9180, 9190
SERVERS = {"serve": HTTP, "proxy": HTTP, "events": HTTP, "run": HTTP, "tcp": TCP}


def blocks(markdown):
    """The language and the lines of each block of code, in order, and the reason why it is not run, if any."""
    found = []
    fence = None
    reason = None
    for line in markdown.splitlines():
        text = line.strip()
        if fence is None:
            opening = re.match(r"(`{3,})([^`]*)$", text)
            if opening:
                fence, block = opening.group(1), (opening.group(2).strip(), [], reason)
            not_run = re.match(r"<!-- not run: (.+) -->$", text)
            reason = not_run.group(1) if not_run else None
        elif text.startswith(fence) and not text.strip("`"):
            found.append(block)
            fence = None
        else:
            block[1].append(line)
    if fence is not None:
        raise ValueError("a block of code has no end")
    return found


def commands(lines):
    """The commands of a block: comments dropped, continued lines joined."""
    whole = []
    joined = ""
    for line in lines:
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        if joined.strip() and not joined.lstrip().startswith("#"):
            whole.append(joined.strip())
        joined = ""
    if joined.strip():
        raise ValueError(f"a continued line has no next one: {joined.strip()}")
    return whole


def ours(words):
    """The arguments of Sluicegate in a command, or None if the command is another one."""
    if words[:1] == ["sluicegate"]:
        return words[1:]
    if words[:2] == ["cargo", "run"] and "--example" not in words and "--manifest-path" not in words:
        return words[words.index("--") + 1:] if "--" in words else []
    return None


def kind(command):
    """How a command is run: `done`, `bench`, `server`, `beside`, `ends`; None if it is not known."""
    words = shlex.split(command, comments=True)
    arguments = ours(words)
    if arguments is not None:
        return "server" if default_port(arguments) else "ends"
    if words[:2] == ["cargo", "test"]:
        return "done" if "--features" not in words else "ends"
    if words[:2] == ["cargo", "bench"]:
        return "bench"
    if words[:2] == ["cargo", "run"]:
        return "done" if "--manifest-path" in words else "ends"
    if words[0] == "curl":
        return "beside" if words[-1] == "&" else "ends"
    return None


def default_port(arguments):
    """Where a command of Sluicegate listens by default; None if it does not."""
    if arguments[:2] == ["quota", "serve"]:
        return QUOTA
    return SERVERS.get(arguments[0]) if arguments else None


def bench_target(command):
    words = shlex.split(command, comments=True)
    return words[words.index("--bench") + 1] if "--bench" in words else None


def named_backends(command, folder):
    """Addresses on this machine that a command takes for a backend's."""
    words = shlex.split(command, comments=True)
    texts = [(folder / word).read_text() for word in words if word.endswith(".toml") and not word.startswith("file:")] + [command]
    proxied = re.compile(r"(?:^\s*proxy\s*=\s*\"|\bproxy\s+)http://127\.0\.0\.1:(\d+)", re.MULTILINE)
    return sorted({int(port) for text in texts for port in proxied.findall(text)})


def self_test():
    """The extraction must find what is there, and nothing else."""
    markdown = """
text `cargo no`
```sh
# a comment
cargo run -- serve a   # says where

cargo run --example b \\
    -- c
```
```console
$ cargo console
```
````text
```sh
cargo nested
```
````
   ```sh
   curl http://127.0.0.1:8080/x
   ```
<!-- not run: for a reason -->
```sh
cargo install
```
"""
    found = [(commands(lines), reason) for language, lines, reason in blocks(markdown) if language == "sh"]
    assert found == [
        (["cargo run -- serve a   # says where", "cargo run --example b     -- c"], None),
        (["curl http://127.0.0.1:8080/x"], None),
        (["cargo install"], "for a reason"),
    ], found
    for broken in ["```sh\ncargo test\n", "```sh\ncargo \\\n```\n"]:
        try:
            for _, lines, _ in blocks(broken):
                commands(lines)
        except ValueError:
            continue
        raise AssertionError(f"{broken!r} passes")
    for command, expected in [
        ("cargo test", "done"),
        ("cargo test # all", "done"),
        ("cargo test --test layering", "done"),
        ("cargo test --features peers", "ends"),
        ("cargo bench --bench chain -- --quick", "bench"),
        ("cargo run --release -- serve x --rate 60", "server"),
        ("cargo run -- run gate.toml", "server"),
        ("cargo run -- check gate.toml", "ends"),
        ("cargo run --example custom_filter", "ends"),
        ("cargo run --manifest-path examples/tokio/Cargo.toml --bin axum", "done"),
        ("curl -s x | head", "ends"),
        ("curl -N x &   # beside", "beside"),
        ("sluicegate quota serve --limit a=1m", "server"),
        ("sluicegate tcp --file a", "server"),
        ("sluicegate quota list", "ends"),
        ("sluicegate limits list # all", "ends"),
        ("rm -rf /", None),
    ]:
        assert kind(command) == expected, command
    assert default_port(["quota", "serve"]) == QUOTA and default_port(["quota", "list"]) is None
    assert bench_target("cargo bench --bench chain -- --quick") == "chain"
    assert named_backends("cargo run -- proxy http://127.0.0.1:9000 --rate 60", ".") == [9000]
    assert named_backends("cargo run -- serve proxy", ".") == []
