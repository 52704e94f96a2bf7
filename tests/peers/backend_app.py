"""An ASGI app: answers with the name given in APP_NAME, and with how many bytes of a body came."""

import os

NAME = os.environ["APP_NAME"]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"].removeprefix("lifespan.")
            await send({"type": f"lifespan.{kind}.complete"})
            if kind == "shutdown":
                return
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    fields = dict(scope["headers"])
    host, client = fields[b"host"].decode(), fields[b"x-forwarded-for"].decode()
    body = f"{NAME} {scope['method']} {scope['path']} {size} {host} {client}\n".encode()
    # Without a length uvicorn sends chunks.
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for at in range(0, len(body), 7):
        await send({"type": "http.response.body", "body": body[at:at + 7], "more_body": True})
    await send({"type": "http.response.body"})
