"""The protocol's official Python client against `nucleus mcp serve`: one conversation of the era named first.

usage: client.py auto|legacy PROGRAM ARGUMENT...
Prints what it saw as one JSON object.
"""

import json
import os
import sys

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


def plain(result):
    return {"failed": result.is_error, "content": [block.model_dump() for block in result.content]}


async def main(mode, program, arguments):
    environment = {name: os.environ[name] for name in ("HOME", "PATH")}
    server = StdioServerParameters(command=program, args=arguments, env=environment)
    progress = []

    async def report(done, _total, _message):
        progress.append(done)

    seen = {}
    async with Client(stdio_client(server), mode=mode) as client:
        seen["version"] = client.protocol_version
        seen["server"] = client.server_info.name
        seen["instructions"] = client.instructions
        seen["tools"] = [tool.name for tool in (await client.list_tools()).tools]

        async def call(tool, **arguments):
            return plain(await client.call_tool(tool, arguments, progress_callback=report))

        seen["read"] = await call("read", path="README.md")
        seen["picture"] = await call("read", path="point.png")
        seen["write"] = await call("write", path="made.txt", content="made\n")
        seen["run"] = await call("run", command="sleep 5; cat made.txt")
        seen["refused"] = await call("read", path="../outside")
        seen["progress"] = progress
        with anyio.move_on_after(1) as scope:
            await client.call_tool("run", {"command": "sleep 600"})
        seen["cancelled"] = scope.cancelled_caught
        seen["after"] = await call("read", path="made.txt")
    print(json.dumps(seen))


anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3:])
