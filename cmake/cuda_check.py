"""Print the resources of every CUDA kernel from a build log, and fail where one spills without a stated reason.

usage: cuda_check.py BUILD_LOG ALLOWED_SPILLS

A line of ALLOWED_SPILLS holds a kernel's name as the table prints it, a colon and a space, and the reason; # starts a
comment.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(?P<name>\w+)' for '(?P<arch>sm_\w+)'")
SPILLS = re.compile(r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill")
USED = re.compile(r"Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?")


@dataclass
class Kernel:
    name: str
    arch: str
    stack: int = 0
    spilled: int = 0
    registers: int = 0
    shared: int = 0


def demangle(names: list[str]) -> list[str]:
    filtered = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return [readable(line) for line in filtered.stdout.splitlines()]


def readable(name: str) -> str:
    """`reparameterize_kernel<16, float>` out of the demangled name."""
    name = name.replace("(anonymous namespace)::", "").replace("latentcore::", "").removeprefix("void ")
    name = re.sub(r"_GLOBAL__N__\w+::", "", name)
    return re.sub(r"\((?:int|bool)\)", "", name).split("(")[0]


def read_log(text: str) -> list[Kernel]:
    kernels: list[Kernel] = []
    for line in text.splitlines():
        if found := ENTRY.search(line):
            kernels.append(Kernel(found["name"], found["arch"]))
        elif found := SPILLS.search(line):
            kernels[-1].stack = int(found["stack"])
            kernels[-1].spilled = int(found["stores"]) + int(found["loads"])
        elif found := USED.search(line):
            kernels[-1].registers = int(found["registers"])
            kernels[-1].shared = int(found["shared"] or 0)
    for kernel, name in zip(kernels, demangle([k.name for k in kernels]), strict=True):
        kernel.name = name
    return sorted(kernels, key=lambda k: (k.arch, k.name))


def read_allowed(text: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return dict(line.split(": ", 1) for line in lines if line)


def main(log: str, allowed_spills: str) -> int:
    kernels = read_log(Path(log).read_text())
    allowed = read_allowed(Path(allowed_spills).read_text())
    if not kernels:
        print(f"error: {log}: expected ptxas's resource lines, found none")
        return 1
    print(f"{'kernel':<64}{'arch':>7}{'registers':>11}{'shared B':>10}{'stack B':>9}{'spilled B':>11}")
    for k in kernels:
        print(f"{k.name:<64}{k.arch:>7}{k.registers:>11}{k.shared:>10}{k.stack:>9}{k.spilled:>11}")
    failed = [k for k in kernels if k.spilled and k.name not in allowed]
    for k in failed:
        print(f"error: {k.name} ({k.arch}) spills {k.spilled} bytes; list it with its reason in {allowed_spills}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
