"""The program inside the sandbox: runs snippets, one after the other, and forks when it is told to. It imports nothing
of this project, because it is all that the sandbox gets of it.

The process that starts never runs a snippet; every interpreter is a fork of it or of another interpreter. Each has a
socket of its own, its control, on which the other side sends one byte and two descriptors:

    R   conversation, output   read a token and a snippet from the conversation to its end, run the snippet with stdout
                               and stderr to the output, and say the token on the conversation: the snippet has ended
    F   conversation, control  fork; the child answers with a descriptor of itself and goes on with its own control.
                               When the process has more than a fork would carry over, it says what that is.

At the end of its control it exits. The token is new for each snippet: what a snippet writes to every descriptor it
finds is not taken for the end of the snippet.
"""

import ast
import contextlib
import ctypes
import linecache
import os
import random
import signal
import socket
import sys
import traceback
import types

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _INSTRUCTION_BYTES = 22, 2, 8
_STREAMS = ((1, "stdout"), (2, "stderr"))
_PROCESS_EVENTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "subprocess.Popen", "pty.spawn"}


class Interpreter:
    """What one process holds: the snippets' module, and how many there have been."""

    def __init__(self) -> None:
        self._module = types.ModuleType("__main__")
        self._module.__dict__["__builtins__"] = __builtins__
        self._kept = sys.modules["__main__"]  # whose end would empty the names that this file's functions use
        sys.modules["__main__"] = self._module
        self._num_snippets = 0
        self._is_forking = False
        sys.addaudithook(self._refuse_processes)

    def serve(self, control: socket.socket) -> None:
        while True:
            order, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if order == b"R":
                self._run(*descriptors)
            elif order == b"F":
                control = self._fork(control, *descriptors)
            else:
                os._exit(0)

    def _run(self, conversation_descriptor: int, output: int) -> None:
        conversation = socket.socket(fileno=conversation_descriptor)
        with conversation.makefile("rb") as reader:
            token, code = reader.read().split(b"\n", 1)
        _send_streams_to(output)
        self._num_snippets += 1
        self._execute(code.decode(), f"<snippet {self._num_snippets}>")
        for _, name in _STREAMS:
            with contextlib.suppress(Exception):
                getattr(sys, name).flush()
        _close_streams()
        with contextlib.suppress(OSError):  # the snippet has closed it, or the other side waits no longer
            conversation.sendall(token)
        conversation.close()

    def _execute(self, code: str, name: str) -> None:
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        names = self._module.__dict__
        try:
            tree = ast.parse(code, name)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), name, "eval"), names)
                if value is not None:
                    names["_"] = value
                    print(repr(value))
        except BaseException as error:  # whatever it is, it ends the snippet and not the interpreter
            with contextlib.suppress(BaseException):
                shown = traceback.TracebackException.from_exception(error)
                _keep_frames_of_snippets(shown)
                print("".join(shown.format()), file=sys.stderr, end="")

    def _fork(self, control: socket.socket, conversation_descriptor: int, next_descriptor: int) -> socket.socket:
        with socket.socket(fileno=conversation_descriptor) as conversation:
            next_control = socket.socket(fileno=next_descriptor)
            refusal = _what_a_fork_would_lose({control.fileno(), conversation.fileno(), next_control.fileno()})
            if refusal is None:
                random_state = random.getstate()
                self._is_forking = True
                try:
                    child = os.fork()
                except OSError as error:
                    child, refusal = None, f"The process cannot be forked: {error}."
                self._is_forking = False
                if child == 0:
                    random.setstate(random_state)  # the module gives the child of a fork a new one
                    control.close()
                    _say_who_it_is(conversation)
                    return next_control
            if refusal is not None:
                with contextlib.suppress(OSError):  # the other side waits no longer
                    conversation.sendall(refusal.encode())
            next_control.close()
            return control

    def _refuse_processes(self, event: str, _: object) -> None:
        if event in _PROCESS_EVENTS and not self._is_forking:
            raise PermissionError("This interpreter starts no other process.")


def _say_who_it_is(conversation: socket.socket) -> None:
    itself = os.pidfd_open(os.getpid())
    try:
        socket.send_fds(conversation, [b"forked"], [itself])
    except OSError:  # nobody waits for this fork any more
        os._exit(0)
    os.close(itself)


def _keep_frames_of_snippets(shown: traceback.TracebackException | None) -> None:
    """Take out the frames of this file and of libraries, whose paths and lines are another on the next machine."""
    if shown is not None:
        kept = [frame for frame in shown.stack or () if frame.filename.startswith("<snippet ")]
        shown.stack = traceback.StackSummary.from_list(kept) if kept else None  # pyright: ignore[reportAttributeAccessIssue]
        for other in (shown.__cause__, shown.__context__, *(getattr(shown, "exceptions", None) or ())):
            _keep_frames_of_snippets(other)


def _send_streams_to(descriptor: int) -> None:
    for number, name in _STREAMS:
        os.dup2(descriptor, number)
        if getattr(getattr(sys, name, None), "closed", True):
            setattr(sys, name, _stream(number, "w"))
    os.close(descriptor)


def _close_streams() -> None:
    """Leave all three standard descriptors open, at nothing: the next ones that come must not take their numbers."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


def _stream(number: int, mode: str) -> object:
    return open(number, mode, buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _what_a_fork_would_lose(own: set[int]) -> str | None:
    """Return what the process has that its fork would not have, or would share with it; None if there is nothing."""
    if len(os.listdir("/proc/self/task")) > 1:
        return "Threads run in the interpreter, and a fork would not have them."
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in own and _is_open(descriptor):
            return "The interpreter has files or sockets open, whose positions a fork would share."
    with open("/proc/self/maps") as maps:
        if any(line.split()[1][1::2] == "ws" for line in maps):
            return "The interpreter has memory that a fork would share."
    if any(signal.getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)):
        return "A timer runs in the interpreter, and a fork would not have it."
    return None


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False  # it was that of the listing
    return True


def _refuse_system_calls(filter_program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = [("num_instructions", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    program = Program(len(filter_program) // _INSTRUCTION_BYTES, filter_program)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system-call filter was refused")


def main(filter_program: bytes) -> None:
    control = socket.socket(fileno=os.dup(0))
    control.set_inheritable(False)
    _close_streams()
    # One thread in numpy's linear algebra: a process with threads cannot be forked.
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    sys.path.insert(0, "")
    sys.argv = [""]
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        setattr(sys, name, _stream(number, mode))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are the other side's: nobody here waits for them
    random.seed(0)  # so that observations repeat
    _refuse_system_calls(filter_program)
    interpreter = Interpreter()
    control.sendall(b"up")
    interpreter.serve(control)


if __name__ == "__main__":
    main(bytes.fromhex(sys.argv[1]))
