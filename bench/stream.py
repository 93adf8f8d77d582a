#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stream of numbered UDP datagrams at a steady pace, and its receiver, which reports the missing ones.

    stream.py send ADDRESS PER_SECOND SECONDS      prints {"sent": N, ...} at the end
    stream.py receive PER_SECOND                   ends when its standard input is closed and no datagram arrives
"""

import json
import select
import socket
import struct
import sys
import time

PORT = 9009
NUMBER = struct.Struct("!I")
QUIET = 0.5  # seconds without an arrival after which the receiver ends, when its standard input is closed
BUFFER = 8 << 20
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; missing in Python's socket module


def send(address, per_second, seconds):
    """Sends by the clock: a late datagram is sent at once, so that the number is always the same."""
    refused = 0
    total = per_second * seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((address, PORT))
        begin = time.monotonic()
        for number in range(total):
            pause = begin + number / per_second - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            try:
                s.send(NUMBER.pack(number) + bytes(60))
            except OSError:  # no route, no neighbour, an ICMP error: counts as lost
                refused += 1
        return {"sent": total, "refused": refused, "took": time.monotonic() - begin}


def receive(per_second):
    """`longest_gap`: the longest time between two arrivals, less the stream's own interval, in seconds."""
    seen, duplicates, reordered, last, longest, before = set(), 0, 0, -1, 0.0, None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        s.bind(("", PORT))
        print("ready", flush=True)
        told = False
        while True:
            ready = select.select([s] if told else [s, sys.stdin], [], [], QUIET if told else None)[0]
            if not ready:
                break
            if sys.stdin in ready:
                told = not sys.stdin.read(1)
            if s in ready:
                number = NUMBER.unpack_from(s.recv(2048))[0]
                now = time.monotonic()
                longest = max(longest, now - before) if before else 0.0
                before = now
                duplicates += number in seen
                reordered += number < last
                seen.add(number)
                last = max(last, number)
    gap = max(0.0, longest - 1 / per_second)
    return {"received": len(seen), "duplicates": duplicates, "reordered": reordered, "longest_gap": gap}


def main():
    if sys.argv[1] == "send":
        result = send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        result = receive(int(sys.argv[2]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
