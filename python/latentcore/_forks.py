"""Torch's threads in forked processes, which have none of those that their parent had.

libgomp, which has torch's threads, would wait for them forever. So they are ended before a fork, as OpenMP 5.0 has it:
parent and child start new ones when they need some. Where latentcore was not there to do so, a process that was forked
has one thread, and more are an error.
"""

import ctypes
import os
import threading
from pathlib import Path

import torch

_SOFT = 1  # omp_pause_soft
_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of Linux

_ending = threading.local()  # the forking thread's own word for its child
_lost = False  # whether libgomp may wait for threads of another process


def check_threads() -> None:
    """Raise an error where torch would wait forever for its threads."""
    if _lost and not torch.compiler.is_compiling() and torch.get_num_threads() > 1:
        raise RuntimeError(
            f"a process that was forked before latentcore.ops was imported: expected torch.set_num_threads(1), got "
            f"{torch.get_num_threads()} threads, which would wait for the parent's; import latentcore.ops before the "
            'fork, or start processes by "spawn" or "forkserver"'
        )


def _end_threads() -> None:
    """End those of the calling thread, the only one that the child will have."""
    # a PyDLL's functions keep the interpreter lock: nothing happens in between
    pause = getattr(ctypes.PyDLL(None), "omp_pause_resource_all", None)
    # of lost threads the end would never come
    _ending.done = not _lost and pause is not None and pause(_SOFT) == 0


def _forget() -> None:
    _ending.done = False


def _in_child() -> None:
    """Begin with one thread, as a worker of torch's DataLoader does: there may be as many children as processors."""
    global _lost
    # C code that forks may leave out what was to be done before
    _lost = not getattr(_ending, "done", False)
    _forget()
    torch.set_num_threads(1)


def _inherited() -> bool:
    """Whether this process was forked, not started anew, from one that had torch's library and so perhaps threads."""
    try:
        flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
    except OSError:  # not Linux
        return False
    if not int(flags) & _FORKED_WITHOUT_EXEC:
        return False
    try:
        mine, parents = _places("self"), _places(os.getppid())
    except OSError:  # another user's
        return True
    # the kernel's own code is where it was in the process that forked, and elsewhere in all that were started anew
    orphan = mine.get("[vdso]") != parents.get("[vdso]")
    return orphan or mine.get("libtorch_cpu.so") == parents.get("libtorch_cpu.so")


def _places(process: int | str) -> dict[str, str]:
    """Where the code of a process lies in its memory, by the files' names."""
    lines = [line.split() for line in Path(f"/proc/{process}/maps").read_text().splitlines()]
    return {words[5].rpartition("/")[2]: words[0] for words in lines if len(words) > 5 and words[1] == "r-xp"}


if _inherited():
    _lost = True
    torch.set_num_threads(1)
os.register_at_fork(before=_end_threads, after_in_child=_in_child, after_in_parent=_forget)
