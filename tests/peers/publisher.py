"""A publisher that may be killed at any instant: by what it says, the next one knows what was acknowledged.

Arguments: a name, the number of the first batch, one for this very process, and the addresses it publishes at in turn.
With PUBLISH_TOKEN in its environment it sends that. Prints `begin` before the first, and `batch N` and `plain NAME` when these were acknowledged.

A batch is three events with ids of its own; it is repeated until it is acknowledged. Between two batches is
an event without an id, which nobody may repeat.
"""

import json
import os
import random
import socket
import sys
import time

own, number, life = sys.argv[1], int(sys.argv[2]), sys.argv[3]
fronts = [address.rsplit(":", 1) for address in sys.argv[4:]]
chance = random.Random(life)
token = os.environ.get("PUBLISH_TOKEN")
authorization = f"Authorization: Bearer {token}\r\n" if token else ""


def post(events):
    """Whether it was acknowledged."""
    host, port = chance.choice(fronts)
    body = json.dumps(events).encode()
    head = (
        f"POST /events/s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{authorization}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    cut = chance.randrange(len(body))
    try:
        with socket.create_connection((host, int(port)), timeout=20) as stream:
            stream.sendall(head + body[:cut])
            # Long enough to be killed in the middle.
            time.sleep(chance.random() * 0.005)
            stream.sendall(body[cut:])
            answer = b""
            while piece := stream.recv(65536):
                answer += piece
    except OSError:
        return False
    # A proxy that was killed gives no answer, or one that something is wrong behind it.
    if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}\n"):
        return True
    assert not answer or answer.startswith((b"HTTP/1.1 50", b"HTTP/1.1 200 ")), answer
    return False


plain = 0
print("begin", flush=True)
while True:
    batch = [{"id": f"{own}-{number * 3 + n}", "data": f"{number * 3 + n} " + "x" * 500} for n in range(3)]
    while not post(batch):
        time.sleep(0.01)
    print("batch", number, flush=True)
    number += 1
    name = f"{own}.{life}-{plain}"
    plain += 1
    if post([{"data": f"plain {name}"}]):
        print("plain", name, flush=True)
