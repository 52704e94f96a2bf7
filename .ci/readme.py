#!/usr/bin/env python3
"""Does what the README says: runs each command of its ```sh blocks as it is written there.

Only the ports differ: servers get `--listen 127.0.0.1:0`, and later lines of the README that ask a
server at its default address are sent to where it really listens. A server is waited for, fetched
from once, told to end by SIGTERM, and must end with 0. A backend that a command names is started
here. What another step of `.ci/run` has done already (`cargo test`) is not done twice, and of
benchmarks only the target is looked for. Fails if there is nothing to run, or a command of a kind
that is not known here.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Long enough for a cold release build.
BUILD_PATIENCE = 1500
# For a server that is to start or to end, and for any answer.
PATIENCE = 60
DEFAULT_ADDRESS = "127.0.0.1:8080"
LISTENING = re.compile(r"listening on http://(\S+)")


def commands(markdown):
    """The commands of all ```sh blocks, in order: comments dropped, continued lines joined."""
    found = []
    fence = None
    skip = False
    for line in markdown.splitlines():
        text = line.strip()
        if fence is None:
            opening = re.match(r"(`{3,})([^`]*)$", text)
            if opening:
                fence, language = opening.group(1), "skipped" if skip else opening.group(2).strip()
                block = []
            # A block that cannot be run has the reason right above it.
            skip = bool(re.match(r"<!-- not run: .+ -->$", text))
        elif text.startswith(fence) and not text.strip("`"):
            if language == "sh":
                found.extend(split(block))
            fence = None
        else:
            block.append(line)
    if fence is not None:
        raise ValueError("a block of code has no end")
    return found


def split(lines):
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


def kind(command):
    """What is to be done with a command: `done`, `bench`, `server`, `quota`, `ends`; None if it is not known."""
    words = shlex.split(command, comments=True)
    if words[:2] == ["cargo", "test"]:
        return "done" if len(words) == 2 else "ends"
    if words[:2] == ["cargo", "bench"]:
        return "bench"
    if words[:2] == ["cargo", "run"] and "--manifest-path" in words:
        return "done"
    if words[:2] == ["cargo", "run"]:
        ours = words[words.index("--") + 1:] if "--" in words else []
        if ours[:2] == ["quota", "serve"]:
            return "quota"
        return "server" if ours[:1] in (["serve"], ["proxy"], ["run"]) else "ends"
    if words[0] in ("curl", "cargo"):
        return "ends"
    return None


def bench_target(command):
    words = shlex.split(command, comments=True)
    return words[words.index("--bench") + 1] if "--bench" in words else None


def named_backends(command):
    """Addresses on this machine that a command takes for a backend's."""
    words = shlex.split(command, comments=True)
    texts = [pathlib.Path(ROOT, word).read_text() for word in words if word.endswith(".toml")] + [command]
    proxied = re.compile(r"(?:^\s*proxy\s*=\s*\"|\bproxy\s+)http://127\.0\.0\.1:(\d+)", re.MULTILINE)
    return sorted({int(port) for text in texts for port in proxied.findall(text)})


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"the backend's answer\n" * 2000
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def backends(ports):
    started = []
    try:
        for port in ports:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Backend)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            started.append(server)
        yield
    finally:
        for server in started:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def running(command):
    """A server by its command; gives its address once it listens. Ends it, and looks how it ended."""
    words = shlex.split(command, comments=True)
    if "--listen" not in words:
        words += ["--listen", "127.0.0.1:0"]
    # cargo gives its place to the program that it runs, so this child is the server itself.
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
    addresses = []
    heard = threading.Event()

    def read():
        for line in process.stdout:
            addresses.extend(LISTENING.findall(line))
            if addresses:
                heard.set()
        heard.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not heard.wait(BUILD_PATIENCE) or not addresses:
            raise RuntimeError(f"it does not say where it listens (exit code {process.poll()})")
        yield addresses[0]
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        if code != 0:
            raise RuntimeError(f"it ends with {code} after SIGTERM")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(PATIENCE)


def fetch(address):
    request = urllib.request.Request(f"http://{address}/", headers={"Connection": "close"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as response:
        return response.status, len(response.read())


def asks_quota(command):
    """Whether a command asks a quota server at its default address."""
    words = shlex.split(command, comments=True)
    ours = words[words.index("--") + 1:] if "--" in words else []
    return ours[:1] == ["quota"] and ours[1:2] != ["serve"] and "--server" not in ours


def run(command, address, quota=None):
    """Runs a command that ends by itself, at most with another address in it."""
    if asks_quota(command):
        if quota is None:
            raise RuntimeError("it asks a quota server, and none was started before it")
        command = f"{command.split(' #')[0]} --server http://{quota}"
    if address:
        command = command.replace(DEFAULT_ADDRESS, address)
    elif DEFAULT_ADDRESS in command:
        raise RuntimeError("it asks a server, and none was started before it")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=BUILD_PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"it ends with {done.returncode}: {done.stdout[-2000:]}")
    return f"ends with 0, {len(done.stdout)} characters printed"


def bench_targets():
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"], cwd=ROOT))
    targets = [target for package in metadata["packages"] for target in package["targets"]]
    return {target["name"] for target in targets if "bench" in target["kind"]}


def do_all(found):
    """Does every command; the last server started serves those after it. Gives the number done."""
    number = 0
    with contextlib.ExitStack() as server, contextlib.ExitStack() as quota_server:
        address = quota = None
        for command in found:
            print(f"$ {command}", flush=True)
            begin = time.monotonic()
            what = kind(command)
            if what == "server":
                server.close()
                server.enter_context(backends(named_backends(command)))
                address = server.enter_context(running(command))
                status, length = fetch(address)
                outcome = f"listens, answers {status} with {length} bytes"
            elif what == "quota":
                quota_server.close()
                quota = quota_server.enter_context(running(command))
                outcome = "listens"
            elif what == "ends":
                outcome = run(command, address, quota)
            elif what == "bench":
                target = bench_target(command)
                if target is not None and target not in bench_targets():
                    raise RuntimeError(f"there is no benchmark {target!r}")
                outcome = "not run here; there is such a benchmark"
            elif what == "done":
                outcome = "not run here; .ci/run has done so"
            else:
                raise RuntimeError("no way is known here to run such a command; teach .ci/readme.py")
            number += 1
            print(f"  {outcome} ({time.monotonic() - begin:.1f} s)", flush=True)
    return number


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
    expected = ["cargo run -- serve a   # says where", "cargo run --example b     -- c", "curl http://127.0.0.1:8080/x"]
    assert commands(markdown) == expected, commands(markdown)
    assert commands("no code\n```rust\nfn sh() {}\n```\n") == []
    for broken in ["```sh\ncargo test\n", "```sh\ncargo \\\n```\n"]:
        try:
            commands(broken)
        except ValueError:
            continue
        raise AssertionError(f"{broken!r} passes")
    for command, expected in [
        ("cargo test", "done"),
        ("cargo test # all", "done"),
        ("cargo test --features peers", "ends"),
        ("cargo bench --bench chain -- --quick", "bench"),
        ("cargo run --release -- serve x --rate 60", "server"),
        ("cargo run -- run gate.toml", "server"),
        ("cargo run -- check gate.toml", "ends"),
        ("cargo run --example custom_filter", "ends"),
        ("cargo run --manifest-path examples/axum/Cargo.toml", "done"),
        ("curl -s x | head", "ends"),
        ("cargo run -- quota serve --limit a=1m", "quota"),
        ("cargo run -- quota list", "ends"),
        ("rm -rf /", None),
    ]:
        assert kind(command) == expected, command
    assert asks_quota("cargo run -- quota list # all") and not asks_quota("cargo run -- serve quota")
    assert not asks_quota("cargo run -- quota serve") and not asks_quota("cargo run -- quota list --server http://a:1")
    assert bench_target("cargo bench --bench chain -- --quick") == "chain"
    assert named_backends("cargo run -- proxy http://127.0.0.1:9000 --rate 60") == [9000]
    assert named_backends("cargo run -- serve proxy") == []


def main():
    self_test()
    found = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    if not found:
        sys.exit("README.md has no command in a ```sh block")
    try:
        number = do_all(found)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"  FAILED: {error}")
    print(f"readme: {number} commands done as they are written")


if __name__ == "__main__":
    main()
