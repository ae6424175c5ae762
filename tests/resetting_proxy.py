"""A TCP proxy on loopback that resets a share of the exchanges that pass through it, as a bad network does."""

import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

AT_ONCE = struct.pack("ii", 1, 0)
"""Linger of no seconds: closing sends RST and not FIN."""
CHUNK_BYTES = 1 << 16


class ResettingProxy:
    """Passes bytes on to `port`. `share` of the exchanges (a request and its reply) end in a reset of both sides.

    Half of these have sent part of the request by then, the other half all of it: the reply is lost.
    """

    def __init__(self, port: int, share: float, seed: int = 0) -> None:
        self._port, self._share, self._random = port, share, random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.exchanges = self.resets = 0

    def run(self) -> None:
        """Until `close`."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            begins, doom = True, None
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    data = client.recv(CHUNK_BYTES)
                    if begins:
                        doom, begins = self._doom(), False
                    server.sendall(data)
                    if not data or doom == "request":
                        return _reset(client, server)
                if server in ready:
                    data = server.recv(CHUNK_BYTES)
                    if not data or doom == "reply":
                        return _reset(client, server)
                    client.sendall(data)
                    begins = True

    def _doom(self) -> str | None:
        self.exchanges += 1
        if self._random.random() >= self._share:
            return None
        self.resets += 1
        return self._random.choice(["request", "reply"])


def _reset(*sockets: socket.socket) -> None:
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)


@contextmanager
def resetting_proxy(port: int, share: float) -> Iterator[ResettingProxy]:
    proxy = ResettingProxy(port, share)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
