# SPDX-License-Identifier: Apache-2.0
"""listen_fds.py [NAME=FD]... -- COMMAND...: runs the command with these descriptors as systemd would hand them over
(sd_listen_fds(3)): from number 3 on, and with LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES."""
import fcntl
import os
import sys

end = sys.argv.index("--")
pairs = [word.rsplit("=", 1) for word in sys.argv[1:end]]
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100 + len(pairs)) for _, fd in pairs]
for _, fd in pairs:
    os.close(int(fd))
for number, fd in enumerate(high, 3):
    os.dup2(fd, number, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(pairs)), LISTEN_FDNAMES=":".join(n for n, _ in pairs))
os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
