#!/usr/bin/env python3
"""Does what the README and the pages in docs/ say: runs each command of their ```sh blocks as written.

Each page starts afresh, in a folder that holds links to the checkout and the page's configuration files: a ```toml
block whose first line is `# NAME.toml` is saved under that name and checked, unless it is for a simulation. Servers run until their
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
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from pages import (ADMIN, HTTP, QUOTA, TCP, bench_target, blocks, commands, default_port, kind, named_backends, ours,
                   self_test)

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Long enough for a cold release build.
BUILD_TIMEOUT = 1500
# For a server to start or to end, and for any answer.
TIMEOUT = 60
# Flags by which commands that query a server are given its address.
CLIENTS = {"limits": ("--admin", "127.0.0.1:{}", ADMIN), "connections": ("--admin", "127.0.0.1:{}", ADMIN),
           "health": ("--admin", "127.0.0.1:{}", ADMIN), "top": ("--admin", "127.0.0.1:{}", ADMIN),
           "quota": ("--server", "http://127.0.0.1:{}", QUOTA)}
NAMED = re.compile(r"# (\S+\.toml)$")


def bench_targets():
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"], cwd=ROOT))
    targets = [target for package in metadata["packages"] for target in package["targets"]]
    return {target["name"] for target in targets if "bench" in target["kind"]}


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
    process = subprocess.Popen(words, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    listens = threading.Event()

    def read():
        for line in process.stderr:
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


def fetch(scheme, port):
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}/", headers={"Connection": "close"})
    # Certificates of pages are made for one run.
    trusting = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
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
        if "[[clients]]" in lines:
            # Clients of a simulation, which reads them.
            return "saved"
        base, overlay, _ = named.group(1).partition(".overlay")
        if overlay:
            # Read after a configuration; what it says of routes that are not there is a warning.
            (self.folder / f"{base}.toml").write_text('[[route]]\npath = "/"\nfiles = "."\n')
            return self.run(f"sluicegate check {base}.toml")
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
        if port != HTTP:
            return "listens"
        scheme = "https" if any(word.startswith("--tls-") for word in words) else "http"
        return f"listens, {fetch(scheme, self.ports[port])}"

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
