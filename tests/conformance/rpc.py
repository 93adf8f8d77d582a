# SPDX-License-Identifier: Apache-2.0
"""JSON-RPC 1.0 over a unix socket without a client library, so that a test can also send malformed messages."""
import json
import socket

from net import TIME_SCALE


class Rpc:
    def __init__(self, path, timeout=10):
        """`path`: of a unix socket, or a connected socket."""
        connected = isinstance(path, socket.socket)
        self.socket = path if connected else socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout * TIME_SCALE)
        if not connected:
            self.socket.connect(str(path))
        self._text = ""
        self._id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode())

    def receive(self):
        """The next message; None when the server has closed the connection."""
        while True:
            try:
                message, end = json.JSONDecoder().raw_decode(self._text)
                self._text = self._text[end:].lstrip()
                return message
            except json.JSONDecodeError:
                try:
                    data = self.socket.recv(1 << 16)
                except ConnectionResetError:
                    return None
                if not data:
                    return None
                self._text = (self._text + data.decode()).lstrip()

    def call(self, method, *params):
        """Sends a request and returns the whole reply; earlier notifications are skipped."""
        self._id += 1
        self.send({"method": method, "params": list(params), "id": self._id})
        while (reply := self.receive()) is not None:
            if reply.get("id") == self._id:
                return reply
        return None

    def transact(self, *operations):
        return self.call("transact", "Open_vSwitch", *operations)
