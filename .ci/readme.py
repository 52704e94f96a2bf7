#!/usr/bin/env python3
"""Does what the README and the pages in docs/ say: runs each command of their ```sh blocks as written.

Each page starts afresh, in a folder that holds links to the checkout and the page's configuration files: a ```toml
block whose first line is `# NAME.toml` is saved under that name and checked. Servers run until their
page ends, or until another one takes their default port; they are ended by SIGTERM and must exit with 0. Backends that a
command names are started here. Only ports differ from what is written: each default port of Sluicegate is replaced by a
free one. Commands that end in `&` run beside those after them.

What another step of `.ci/run` has done (`cargo test`) is not done twice, and of benchmarks only the target is looked
up. A block that cannot be run has `<!-- not run: REASON -->` on the line above it. It is a failure if the pages have no
command, or one of a kind that is not known here.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Long enough for a cold release build.
BUILD_TIMEOUT = 1500
# For a server to start or to end, and for any answer.
TIMEOUT = 60
HTTP, TCP, ADMIN, QUOTA = 8080, 7070, 9180, 9190
SERVERS = {"serve": HTTP, "proxy": HTTP, "events": HTTP, "run": HTTP, "tcp": TCP}
# Flags by which commands that query a server are given its address.
CLIENTS = {"limits": ("--admin", "127.0.0.1:{}", ADMIN), "connections": ("--admin", "127.0.0.1:{}", ADMIN),
           "quota": ("--server", "http://127.0.0.1:{}", QUOTA)}
NAMED = re.compile(r"# (\S+\.toml)$")


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


def bench_targets():
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"], cwd=ROOT))
    targets = [target for package in metadata["packages"] for target in package["targets"]]
    return {target["name"] for target in targets if "bench" in target["kind"]}


def named_backends(command, folder):
    """Addresses on this machine that a command takes for a backend's."""
    words = shlex.split(command, comments=True)
    texts = [(folder / word).read_text() for word in words if word.endswith(".toml")] + [command]
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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(words, cwd):
    """A server by its command, once it listens. Ends it, and looks how it ended."""
    # cargo gives its place to the program that it runs, so this child is the server itself.
    process = subprocess.Popen(words, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               text=True, start_new_session=True)
    listens = threading.Event()

    def read():
        for line in process.stdout:
            if "listening on" in line:
                listens.set()
        listens.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not listens.wait(BUILD_TIMEOUT) or process.poll() is not None:
            raise RuntimeError(f"it does not listen (exit code {process.poll()})")
        yield
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT)
        if code != 0:
            raise RuntimeError(f"{shlex.join(words)}: exit code {code} after SIGTERM")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(TIMEOUT)


def environment():
    return os.environ | {"PATH": f"{ROOT / 'target' / 'release'}:{os.environ['PATH']}"}


def fetch(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Connection": "close"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT) as response:
            return f"answers {response.status} with {len(response.read())} bytes"
    except urllib.error.HTTPError as error:
        # A page may serve below another path only.
        if error.code != 404:
            raise
        return "answers 404"


class Page:
    """One page, its folder, its ports and what runs for it."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.ports = {port: free_port() for port in (HTTP, TCP, ADMIN, QUOTA)}
        self.servers = {}
        self.beside = []
        for entry in ROOT.iterdir():
            (folder / entry.name).symlink_to(entry)

    def moved(self, text):
        for port, free in self.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        return text

    def save(self, lines):
        """Saves a configuration file and has it checked."""
        named = NAMED.match(lines[0]) if lines else None
        if not named:
            raise RuntimeError("a toml block does not begin with its name, `# NAME.toml`")
        (self.folder / named.group(1)).write_text(self.moved("\n".join(lines) + "\n"))
        return self.run(f"sluicegate check --offline {named.group(1)}")

    def cwd(self, words):
        return ROOT if words[0] == "cargo" else self.folder

    def serve(self, command):
        words = shlex.split(self.moved(command), comments=True)
        arguments = ours(words)
        port = default_port(arguments)
        if port in self.servers:
            self.servers.pop(port).close()
        if "--listen" not in words:
            words += ["--listen", f"127.0.0.1:{self.ports[port]}"]
        stack = self.servers[port] = contextlib.ExitStack()
        stack.enter_context(backends(named_backends(command, self.folder)))
        stack.enter_context(running(words, self.cwd(words)))
        return "listens" if port != HTTP else f"listens, {fetch(self.ports[port])}"

    def run(self, command):
        """Runs a command that ends by itself."""
        command = self.moved(command)
        words = shlex.split(command, comments=True)
        arguments = ours(words)
        if arguments and arguments[0] in CLIENTS:
            flag, address, port = CLIENTS[arguments[0]]
            if flag not in arguments:
                command = shlex.join(words + [flag, address.format(self.ports[port])])
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=self.cwd(words), env=environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=BUILD_TIMEOUT)
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}: {done.stdout[-2000:]}")
        return f"exits with 0, prints {len(done.stdout)} characters"

    def start_beside(self, command):
        command = self.moved(command.split(" #")[0]).rstrip("& ")
        self.beside.append(subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=environment(),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        return "runs beside"

    def do(self, command):
        what = kind(command)
        if what == "server":
            return self.serve(command)
        if what == "ends":
            return self.run(command)
        if what == "beside":
            return self.start_beside(command)
        if what == "bench":
            target = bench_target(command)
            if target is not None and target not in bench_targets():
                raise RuntimeError(f"there is no benchmark {target!r}")
            return "not run here; there is such a benchmark"
        if what == "done":
            return "not run here; .ci/run has done so"
        raise RuntimeError("unknown kind of command; teach .ci/readme.py")

    def close(self):
        for process in self.beside:
            output, _ = process.communicate(timeout=TIMEOUT)
            if not output:
                raise RuntimeError("what ran beside has printed nothing")
        for stack in self.servers.values():
            stack.close()

    def abandon(self):
        """Ends everything, however it ends."""
        for process in self.beside:
            process.kill()
        for stack in self.servers.values():
            with contextlib.suppress(Exception):
                stack.close()


def do_page(path):
    """Does all of a page; returns the number of commands."""
    number = 0
    print(f"-- {path.relative_to(ROOT)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluicegate-page-") as folder:
        page = Page(path.name, pathlib.Path(folder))
        try:
            for language, lines, reason in blocks(path.read_text(encoding="utf-8")):
                if language == "toml":
                    print(f"{lines[0]}: {page.save(lines)}", flush=True)
                elif language == "sh" and reason:
                    print(f"not run: {reason}: {'; '.join(commands(lines))}", flush=True)
                elif language == "sh":
                    for command in commands(lines):
                        print(f"$ {command}", flush=True)
                        begin = time.monotonic()
                        outcome = page.do(command)
                        number += 1
                        print(f"  {outcome} ({time.monotonic() - begin:.1f} s)", flush=True)
            page.close()
        finally:
            page.abandon()
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
        ("cargo run --manifest-path examples/axum/Cargo.toml", "done"),
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
    assert named_backends("cargo run -- proxy http://127.0.0.1:9000 --rate 60", ROOT) == [9000]
    assert named_backends("cargo run -- serve proxy", ROOT) == []


def main():
    self_test()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if len(sys.argv) > 1:
        pages = [pathlib.Path(name).resolve() for name in sys.argv[1:]]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    number = 0
    for page in pages:
        try:
            number += do_page(page)
        except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
            sys.exit(f"  FAILED: {page.relative_to(ROOT)}: {error}")
    if number == 0:
        sys.exit("no page has a command in a ```sh block")
    print(f"readme: {number} commands done as they are written")


if __name__ == "__main__":
    main()
