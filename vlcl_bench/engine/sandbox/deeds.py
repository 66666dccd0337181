"""What a method's code can do that is looked at: kinds of deeds, the words for them, and the events that tell of them.

Most events are Python's own (PEP 578); those of functions that Python tells nothing of are raised by
:mod:`vlcl_bench.engine.sandbox.native_openers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlcl_bench.engine.sandbox.native_openers import OPENED_NATIVELY

Deed = Literal["open", "read", "write", "list", "change", "make", "start", "connect", "signal", "steer"]
LOOKING = ("read", "list")
"""Deeds that a :class:`Notice` lets go on."""
READING = "it may read only Python's libraries, its own folder and its scratch folder"
WORDS: dict[Deed, tuple[str, str, str]] = {
    "read": ("read", "opens", READING),
    "write": ("write", "writes", "it may write only to its scratch folder"),
    "list": ("list the folder", "lists the folder", "it may look only at its own folder and its scratch folder"),
    "change": ("change", "changes", "it may change only what is in its scratch folder"),
    "make": ("make a special file", "makes a special file", "it may make only files and folders"),
    "start": ("start a process", "starts a process", "it must not start processes"),
    "connect": ("use the network", "uses the network", "it has no network and no sockets"),
    "signal": ("send", "sends", "it may signal nobody else"),
    "steer": ("set priorities or limits", "sets priorities or limits", "it may not set those of other processes"),
}
"""Of each deed its infinitive, what a method does, and why it may not."""


@dataclass(frozen=True)
class Event:
    """What an event says is done, and which of its arguments are paths."""

    deed: Deed
    paths: tuple[int, ...] = ()


def _events(deed: Deed, names: str, *paths: int) -> dict[str, Event]:
    return dict.fromkeys(names.split(), Event(deed, paths))


EVENTS: dict[str, Event] = {
    "open": Event("open", (0,)),
    OPENED_NATIVELY: Event("read", (0,)),
    **_events("list", "os.listdir os.scandir", 0),
    **_events("change", "os.remove os.rmdir os.mkdir os.chmod os.chown os.truncate os.utime os.setxattr", 0),
    **_events("change", "os.removexattr os.chflags sqlite3.connect", 0),
    **_events("change", "os.rename os.link", 0, 1),
    **_events("change", "os.symlink", 1),
    **_events("start", "os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty os.startfile"),
    **_events("start", "subprocess.Popen pty.spawn _posixsubprocess.fork_exec"),
    **_events("connect", "socket.__new__ socket.connect socket.bind socket.sendto socket.sendmsg socket.getaddrinfo"),
    **_events("connect", "socket.gethostbyname socket.gethostbyaddr urllib.Request ftplib.connect smtplib.connect"),
    **_events("connect", "imaplib.open poplib.connect nntplib.connect telnetlib.Telnet.open http.client.connect"),
    **_events("signal", "os.kill os.killpg signal.pidfd_send_signal"),
    **_events("make", "os.mknod os.mkfifo"),
    **_events("steer", "os.setpriority os.sched_setscheduler os.sched_setparam os.sched_setaffinity resource.prlimit"),
    **_events("read", "readline.read_history_file readline.read_init_file", 0),
    **_events("write", "readline.write_history_file", 0),
    **_events("write", "readline.append_history_file", 1),
}
"""The events that are looked at. Of those that open, read or list, what is allowed depends on the place."""
ONLY_OTHERS = ("os.sched_setaffinity", "resource.prlimit")
"""Of those that steer, the ones that a process may do to itself: their first argument is its number, or 0."""
