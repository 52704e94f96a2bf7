"""Counts how many packets of a paced download arrive within ten milliseconds, and at what rate, over a virtual wire between
two network namespaces.

    unshare --net python3 bursts.py PROGRAM QDISC RATE SECONDS URL [FLAG ...]

PROGRAM is sluicegate, RATE in bytes per second, QDISC `fq`, or `none` for what the system gives. URL is what curl asks for, with
`ADDRESS` for that of the server. Prints a JSON object, or `{"skipped": "why"}`.
"""

import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

SEGMENT = 1448  # bytes of content in a packet of 1500, with timestamps
HERE, THERE, PORT = "192.0.2.1", "192.0.2.2", 8080
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
CHUNKS_PER_SECOND = 5
# TCP's window grows in the first second.
WARM_UP = CHUNKS_PER_SECOND


class Skipped(Exception):
    pass


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Skipped(f"{' '.join(words)}: {done.stderr.strip()}")


def listen(packets, ends):
    """Notes when each packet from the server arrives, and its bytes of content. Large ones are cut by the card, if any."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    raw.bind(("here", 0))
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    raw.settimeout(0.2)
    while not ends.is_set():
        try:
            frame, notes, _, _ = raw.recvmsg(128, 64)
        except TimeoutError:
            continue
        length, = struct.unpack_from("!H", frame, 16)
        head = 14 + 4 * (frame[14] & 0xf)
        source, = struct.unpack_from("!H", frame, head)
        content = length - (head - 14) - 4 * (frame[head + 12] >> 4)
        if frame[23] == socket.IPPROTO_TCP and source == PORT and content > 0:
            seconds, nanos = struct.unpack("qq", notes[0][2])
            packets.append((seconds * 1_000_000_000 + nanos, content))


def largest(packets, window=10_000_000):
    """The most packets on the wire in any ten milliseconds."""
    most = within = first = 0
    for when, content in packets:
        within += -(-content // SEGMENT)
        while packets[first][0] <= when - window:
            within -= -(-packets[first][1] // SEGMENT)
            first += 1
        most = max(most, within)
    return most


def chunk_ends(packets, chunk, chunks):
    """When the last byte of each chunk had come, whatever was between its packets."""
    came, ends = 0, []
    for when, content in packets:
        came += content
        while came >= (len(ends) + 1) * chunk:
            ends.append(when)
    if len(ends) < chunks:
        raise RuntimeError(f"only {len(ends)} of {chunks} chunks came")
    return ends[:chunks]


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect_namespaces(holder, qdisc):
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 10
    while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
        if time.monotonic() > deadline:
            raise Skipped("the second namespace does not come")
        time.sleep(0.01)
    there = ["nsenter", "-t", str(holder.pid), "-n"]
    run("ip", "link", "add", "here", "mtu", "1500", "type", "veth", "peer", "name", "there", "mtu", "1500", "netns",
        str(holder.pid))
    run("ip", "addr", "add", f"{HERE}/24", "dev", "here")
    run("ip", "link", "set", "here", "up")
    run(*there, "ip", "addr", "add", f"{THERE}/24", "dev", "there")
    run(*there, "ip", "link", "set", "there", "up")
    if qdisc != "none":
        run(*there, "tc", "qdisc", "replace", "dev", "there", "root", qdisc)
    return there


def measure(program, qdisc, rate, seconds, url, flags):
    chunk = rate // CHUNKS_PER_SECOND
    chunks = WARM_UP + seconds * CHUNKS_PER_SECOND
    started = [subprocess.Popen(["unshare", "--net", "sleep", "600"])]
    try:
        there = connect_namespaces(started[0], qdisc)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "file"), "wb") as file:
                file.truncate((chunks + 2) * chunk)
            command = [program, "serve", folder, "--listen", f"{THERE}:{PORT}", "--rate", f"{rate}B", *flags]
            server = subprocess.Popen(there + command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            started.append(server)
            if not any("Ctrl-C stops" in line for line in server.stderr):
                raise RuntimeError("the server ended")
            threading.Thread(target=server.stderr.read, daemon=True).start()
            packets, ends = [], threading.Event()
            noting = threading.Thread(target=listen, args=(packets, ends))
            noting.start()
            subprocess.run(["curl", "-sSk", "-o", "/dev/null", url.replace("ADDRESS", f"{THERE}:{PORT}")], check=True)
            cpu = cpu_seconds(server)
            ends.set()
            noting.join()
    finally:
        for process in started:
            process.kill()
            process.wait()
    ends = chunk_ends(packets, chunk, chunks)[WARM_UP:]
    steady = [packet for packet in packets if ends[0] < packet[0] <= ends[-1]]
    # By all of them: a single one may be late.
    nanos_per_chunk = statistics.linear_regression(range(len(ends)), ends).slope
    return {"largest": largest(steady), "per_second": round(1_000_000_000 * chunk / nanos_per_chunk), "cpu_seconds": cpu}


def main():
    program, qdisc, rate, seconds, url, *flags = sys.argv[1:]
    try:
        said = measure(program, qdisc, int(rate), int(seconds), url, flags)
    except Skipped as why:
        said = {"skipped": str(why)}
    print(json.dumps(said))


main()
