# SPDX-License-Identifier: Apache-2.0
"""Commands and status of mirrors, in the words of ovs-vsctl(8)."""


def mirror_words(name="m0", bridge="br0", output=None, src=(), dst=(), **columns):
    """The commands of one vsctl call that adds a mirror to `bridge`. `src`, `dst`: names of ports."""
    ids = {port: f"@p{n}" for n, port in enumerate(dict.fromkeys([*([output] if output else []), *src, *dst]))}
    words = []
    for port, i in ids.items():
        words += ["--", f"--id={i}", "get", "Port", port]
    words += ["--", "--id=@m", "create", "Mirror", f"name={name}"]
    if output:
        words.append(f"output-port={ids[output]}")
    for column, ports in (("select-src-port", src), ("select-dst-port", dst)):
        if ports:
            words.append(f"{column}={','.join(ids[p] for p in ports)}")
    words += [f"{k.replace('_', '-')}={v}" for k, v in columns.items()]
    return [*words, "--", "add", "Bridge", bridge, "mirrors", "@m"]


def mirror(host, *args, **columns):
    host.vsctl(*mirror_words(*args, **columns))


def no_mirrors(host, bridge="br0"):
    host.vsctl("clear", "Bridge", bridge, "mirrors")


def copies(host, name="m0"):
    """(packets, bytes) in the mirror's row; (0, 0) while the row has no statistics."""
    found = host.ask("--data=bare", "--no-headings", "--columns=statistics", "find", "Mirror", f"name={name}")
    statistics = dict(pair.split("=") for pair in found.split())
    return tuple(int(statistics.get(k, 0)) for k in ("tx_packets", "tx_bytes"))
