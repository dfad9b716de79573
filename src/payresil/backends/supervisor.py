"""The one process that starts every node, and that ends them all when the harness is gone.

A program of its own, run as ``python -I -S supervisor.py FD HARNESS_PID``; it needs the standard
library alone, so that it starts in a few hundredths of a second. It talks JSON lines over the
socket FD. The requests are

    {"id": 1, "do": "spawn", "argv": […], "env": {…}, "log": "path", "user": [uid, gid] or null,
     "end_signal": 9, "folder": "path" or null}
                                             → {"id": 1, "pid": 123} or {"id": 1, "error": "…"}
    {"id": 2, "do": "signal", "pid": 123, "number": 19}     → {"id": 2}
    {"id": 3, "do": "sweep", "folder": "path"}              → {"id": 3}

and ``{"exited": 123, "status": -9}`` is said at once when a node ends.

It lives as long as the socket is open and the harness runs, and ignores the signals of a terminal.
Then it ends every node, whatever they left behind, removes the folders it was told to sweep, and
exits. Should it be killed itself, the kernel kills the nodes (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

#: How long nodes may take to end by their own end signals, and then everything by SIGKILL.
QUIET_END_S = 1.0
KILLED_END_S = 1.0

#: Signals that no process can catch: they go to everything a node started, wherever it is.
_WHOLE_TREE = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)

#: A program inherits which signals are ignored; nodes start with the defaults.
_IGNORED_HERE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Supervisor:
    """Starts, signals, reaps and ends nodes on behalf of the harness."""

    def __init__(self, channel: socket.socket, harness_pid: int) -> None:
        """`channel` is connected to the harness, which is this process's parent."""
        self._channel = channel
        self._harness_pid = harness_pid
        self._unread = b""
        self._end_signals: dict[int, int] = {}  # of every running node, by process id
        self._folders: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._woken = _wake_on_child()

    def serve(self) -> None:
        """Do as told until the harness is gone; returns when nothing is left."""
        self._selector.register(self._channel, selectors.EVENT_READ, self._obey)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        with suppress(OSError):  # gone already, or a kernel before 5.3: the socket tells
            # A descendant of the harness could hold the socket open: watch the harness as well.
            harness = os.pidfd_open(self._harness_pid)
            self._selector.register(harness, selectors.EVENT_READ, lambda: False)
        going = os.getppid() == self._harness_pid
        try:
            while going:
                for key, _ in self._selector.select():
                    going = key.data() and going
        finally:
            self._end_everything()

    def _obey(self) -> bool:
        try:
            received = self._channel.recv(65536)
        except ConnectionError:
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            do: Callable[[dict[str, Any]], dict[str, Any]] = getattr(self, f"_do_{request['do']}")
            self._say({"id": request["id"], **do(request)})
        return received != b""

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the harness is gone, which the loop is about to see
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _do_spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            pid = spawn(request)
        except OSError as error:
            return {"error": f"{error.strerror}: {error.filename}"}
        self._end_signals[pid] = request["end_signal"]
        return {"pid": pid}

    def _do_signal(self, request: dict[str, Any]) -> dict[str, Any]:
        pid, number = request["pid"], request["number"]
        if pid not in self._end_signals:
            return {}  # it has ended: the number may belong to a stranger by now
        if number not in _WHOLE_TREE:
            _send_group(pid, number)
        elif number == signal.SIGCONT:
            _send_each(tree(pid), number)
        else:
            frozen = freeze(pid)
            if number == signal.SIGKILL:
                _send_each(frozen, number)
                # The address of a node that crashed is free only when all of it is gone.
                self._wait_until(lambda: not any(map(_is_left, frozen)), KILLED_END_S)
        return {}

    def _do_sweep(self, request: dict[str, Any]) -> dict[str, Any]:
        self._folders.append(request["folder"])
        return {}

    def _reap(self) -> bool:
        """Bury every dead child, the adopted ones too, and tell the harness of its nodes."""
        with suppress(BlockingIOError):  # called without having been woken
            self._woken.recv(4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return True
            if self._end_signals.pop(pid, None) is not None:
                self._say({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _wait_until(self, over: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not over() and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)
        self._reap()

    def _end_everything(self) -> None:
        quiet = set()
        for pid, number in tuple(self._end_signals.items()):
            _send_each(tree(pid), signal.SIGCONT)  # a paused node hears nothing else
            _send_group(pid, number)
            if number != signal.SIGKILL:
                quiet.add(pid)
        self._wait_until(lambda: not quiet & self._end_signals.keys(), QUIET_END_S)
        self._wait_until(_kill_descendants, KILLED_END_S)
        for folder in self._folders:
            _remove(folder)


def spawn(request: dict[str, Any]) -> int:
    """Start a program in a session of its own; the id of its process.

    Raises:
        OSError: with the name of what is missing or refused, the program or its log.
    """
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    told, tell = os.pipe()  # both close on exec, so end of file means that it runs
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(request, log, tell, supervisor)
    os.close(log)
    os.close(tell)
    with open(told, "rb") as file:
        failure = file.read()
    if failure:
        os.waitpid(pid, 0)
        number, _, what = failure.decode().partition(" ")
        raise OSError(int(number), os.strerror(int(number)), what)
    return pid


def _become(request: dict[str, Any], log: int, tell: int, supervisor: int) -> NoReturn:
    what = request["argv"][0]
    try:
        os.setsid()
        for number in _IGNORED_HERE:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if request["user"] is not None:
            _change_user(*request["user"])
        if request["folder"] is not None:
            what = request["folder"]
            os.chdir(what)
            what = request["argv"][0]
        # After the change of user, which clears it.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == supervisor:
            os.execvpe(what, request["argv"], request["env"])
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in an argument
        reason = error.errno if isinstance(error, OSError) else errno.EINVAL
        os.write(tell, f"{reason} {what}".encode())
    finally:
        os._exit(127)


def _change_user(uid: int, gid: int) -> None:
    os.chdir("/")  # where the harness was started may be closed to this user
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def processes() -> dict[int, tuple[int, int]]:
    """Parent and session of every process on the machine, zombies left out."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent, _, session = file.read().rpartition(b") ")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if state not in (b"Z", b"X"):
            found[int(name)] = int(parent), int(session)
    return found


def tree(root: int) -> set[int]:
    """`root`, everything that descends from it, and everything in its session."""
    running = processes()
    found = {pid for pid, (_, session) in running.items() if session == root} | {root}
    while True:
        more = {pid for pid, (parent, _) in running.items() if parent in found} - found
        if not more:
            return found & running.keys()
        found |= more


def freeze(root: int) -> set[int]:
    """Stop a whole tree; looked at again until nothing new was started meanwhile."""
    frozen: set[int] = set()
    while more := tree(root) - frozen:
        _send_each(more, signal.SIGSTOP)
        frozen |= more
    return frozen


def _kill_descendants() -> bool:
    """Kill whatever descends from here; True when there is nothing left."""
    left = tree(os.getpid()) - {os.getpid()}
    _send_each(left, signal.SIGKILL)
    return not left


def _send_each(pids: set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _send_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _is_left(pid: int) -> bool:
    """Also as a zombie: of one with threads, the first may be dead and the others not yet."""
    return os.path.exists(f"/proc/{pid}")


def _remove(folder: str) -> None:
    import shutil  # only at the very end: it costs as much as all of the above

    shutil.rmtree(folder, ignore_errors=True)


def _wake_on_child() -> socket.socket:
    """A socket that becomes readable when a child changes its state."""
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.detach(), warn_on_full_buffer=False)
    return woken


def main() -> None:
    """Serve the harness that started this program."""
    for number in _IGNORED_HERE:
        signal.signal(number, signal.SIG_IGN)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    channel = socket.socket(fileno=int(sys.argv[1]))
    Supervisor(channel, int(sys.argv[2])).serve()


if __name__ == "__main__":
    main()
