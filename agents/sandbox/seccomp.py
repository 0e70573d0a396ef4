"""The system calls that a sandboxed program is refused (EPERM), as a filter for the kernel (classic BPF, x86-64).

The namespaces already keep a program inside. The filter closes what they leave open: memory that belongs to no process
and so escapes the count (memfd, System V), sockets that know no network namespace (vsock), and large parts of the
kernel that no tool needs.
"""

import errno
import struct
from collections.abc import Iterable

Instruction = tuple[int, int, int, int]

REFUSED = {
    "shmget": 29,
    "msgget": 68,
    "ptrace": 101,
    "pivot_root": 155,
    "chroot": 161,
    "acct": 163,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "finit_module": 313,
    "memfd_create": 319,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsmount": 432,
    "mount_setattr": 442,
    "memfd_secret": 447,
}
REFUSED_TO_INTERPRETERS = {
    "mq_open": 240,  # queues and semaphores outlive the process
    "semget": 64,
    "vfork": 58,  # another program is another state
    "execve": 59,
    "execveat": 322,
    "kill": 62,  # signals to other processes
    "tkill": 200,
    "rt_sigqueueinfo": 129,
    "rt_tgsigqueueinfo": 297,
    "pidfd_send_signal": 424,
}
"""What the interpreter of the tool `python` is refused beside: with it, a snippet reaches its own process alone, so
that a fork of the process is a fork of all that the snippet can change."""
SOCKET = 41
SOCKET_FAMILIES = (1, 2, 10, 16)  # unix, internet 4 and 6, netlink: all of them end at the network namespace

_ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
_X32 = 0x40000000  # numbers from here on are those of the x32 ABI, which could go round the list
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENT_0_OFFSET = 0, 4, 16


def filter_program() -> bytes:
    """Return the filter of every sandboxed program, as the kernel's array of sock_filter."""
    program = _refuse(REFUSED.values())
    program += [(_EQUAL, 1, 0, SOCKET), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _ARGUMENT_0_OFFSET)]
    for family in SOCKET_FAMILIES:
        program += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _REFUSE))
    return _packed(program)


def interpreter_filter_program() -> bytes:
    """Return the filter that an interpreter sets itself beside that of the sandbox."""
    return _packed([*_refuse(REFUSED_TO_INTERPRETERS.values()), (_RETURN, 0, 0, _ALLOW)])


def _refuse(numbers: Iterable[int]) -> list[Instruction]:
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 1, 0, _ARCHITECTURE),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE),
    ]
    for number in numbers:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    return program


def _packed(program: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
