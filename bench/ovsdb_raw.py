# SPDX-License-Identifier: Apache-2.0
"""OVSDB (RFC 7047) over a unix socket without a client library, so that the client does not slow a benchmark down and
is the same for both sides."""

import json
import selectors
import socket
import time

DATABASE = "Open_vSwitch"


class Connection:
    """Sends requests one after the other; notifications are skipped."""

    def __init__(self, path, seconds=120):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))
        self.text = ""
        self.number = 0
        self.decoder = json.JSONDecoder()

    def call(self, method, *params):
        self.number += 1
        self.socket.sendall(json.dumps({"method": method, "params": params, "id": self.number}).encode())
        while True:
            message = self._next()
            if message.get("method") == "echo":
                answer = {"result": message["params"], "error": None, "id": message["id"]}
                self.socket.sendall(json.dumps(answer).encode())
            elif message.get("id") == self.number:
                if message.get("error"):
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def transact(self, *operations):
        """The results; a failed operation raises an exception."""
        results = self.call("transact", DATABASE, *operations)
        for result in results:
            if result is None or "error" in result:
                raise RuntimeError(f"transact: {results}")
        return results

    def close(self):
        self.socket.close()

    def _next(self):
        while True:
            self.text = self.text.lstrip()
            if self.text:
                try:
                    message, end = self.decoder.raw_decode(self.text)
                    self.text = self.text[end:]
                    return message
                except json.JSONDecodeError:
                    pass
            piece = self.socket.recv(1 << 20).decode()
            if not piece:
                raise RuntimeError("the database closed the connection")
            self.text += piece


class Watchers:
    """Many monitoring clients in one process. They search the updates for a word and parse nothing, so that the
    measured time is the server's."""

    def __init__(self, path, count, tables):
        self.poll = selectors.DefaultSelector()
        self.sockets = []
        request = {"method": "monitor_cond", "id": 0, "params": [DATABASE, "m", {t: [{"columns": c}] for t, c in tables}]}
        for number in range(count):
            connection = Connection(path)
            connection.call("monitor_cond", *request["params"])
            connection.socket.setblocking(False)
            self.poll.register(connection.socket, selectors.EVENT_READ, number)
            self.sockets.append(connection.socket)
        self.tails = [b""] * count

    def drain(self, word, seen, seconds):
        """Reads for `seconds`; adds the clients that received `word` to `seen`."""
        for key, _ in self.poll.select(seconds):
            piece = key.fileobj.recv(1 << 20)
            if not piece:
                raise RuntimeError(f"watcher {key.data} was cut off")
            text = self.tails[key.data] + piece
            if word in text:
                seen.add(key.data)
            self.tails[key.data] = text[-len(word):]

    def wait_for(self, word, seconds=120):
        seen = set()
        give_up = time.monotonic() + seconds
        while len(seen) < len(self.sockets):
            if time.monotonic() > give_up:
                raise RuntimeError(f"{len(seen)} of {len(self.sockets)} watchers were told in {seconds} s")
            self.drain(word, seen, 0.2)

    def close(self):
        self.poll.close()
        for one in self.sockets:
            one.close()
