"""Speaks to the websocket as the browser does: engine.io and socket.io by hand, so that every byte is ours."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect

NAMESPACE = "/_event"
HYDRATE = "reflex___state____state.hydrate_and_load"
QUIET_S = 0.4

Json = dict[str, Any]


@dataclass
class Wire:
    """One open tab."""

    socket: ClientConnection
    token: str
    path: str = "/"
    seen: list[Json] = field(default_factory=list)

    async def fire(self, name: str, payload: Json | None = None) -> list[Json]:
        """Send an event and give back the updates that follow, until it is quiet for a moment."""
        await self.send(name, payload)
        return await self.updates()

    async def send(self, name: str, payload: Json | None = None) -> None:
        """Send an event and do not wait."""
        event = {"name": name, "payload": payload or {}, "router_data": self.router()}
        await self.socket.send(f"42{NAMESPACE}," + json.dumps(["event", event]))

    def router(self) -> Json:
        """What the browser says about its address."""
        return {"pathname": self.path, "asPath": self.path, "query": {}}

    async def updates(self, quiet_s: float = QUIET_S) -> list[Json]:
        """All updates until it is quiet; answers pings."""
        found: list[Json] = []
        while True:
            try:
                raw = await asyncio.wait_for(self.socket.recv(), quiet_s)
            except TimeoutError:
                self.seen += found
                return found
            text = raw if isinstance(raw, str) else raw.decode()
            if text == "2":
                await self.socket.send("3")
            elif text.startswith(f"42{NAMESPACE},"):
                kind, data = json.loads(text.removeprefix(f"42{NAMESPACE},"))
                if kind == "event":
                    found.append(data if isinstance(data, dict) else json.loads(data))


def vars_of(updates: list[Json]) -> Json:
    """The newest value of each var in some updates, by its bare name."""
    values: Json = {}
    for update in updates:
        for changes in (update.get("delta") or {}).values():
            values.update({name.removesuffix("_rx_state_"): value for name, value in changes.items()})
    return values


def redirects_of(updates: list[Json]) -> list[str]:
    """Where some updates send the browser."""
    events = [event for update in updates for event in update.get("events") or []]
    return [str(event["payload"].get("path")) for event in events if event["name"] == "_redirect"]


@asynccontextmanager
async def tab(
    address: str, *, cookie: str = "", path: str = "/", token: str = "", origin: str | None = ""
) -> AsyncIterator[Wire]:
    """Open a tab at `http://host:port`; the first event is what the client sends at every connect."""
    token = token or str(uuid4())
    headers = {"Cookie": f"rag_session={cookie}"} if cookie else {}
    if origin is not None:
        headers["Origin"] = origin or address
    url = f"{address.replace('http', 'ws', 1)}/_event/?token={token}&EIO=4&transport=websocket"
    async with connect(url, additional_headers=headers, max_size=None, proxy=None) as socket:
        await socket.recv()
        wire = Wire(socket, token, path)
        first = {"name": HYDRATE, "payload": {}, "router_data": wire.router()}
        await socket.send(f"40{NAMESPACE}," + json.dumps({"event": first}))
        await wire.updates()
        yield wire
