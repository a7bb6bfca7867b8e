"""Read the resources of every CUDA kernel from a build log, and fail where one spills without a stated reason.

usage: cuda_check.py check|matrix BUILD_LOG ALLOWED_SPILLS TABLE NVCC_VERSION

`matrix` writes TABLE, with a line per kernel and a column per architecture. `check` prints the resources and fails
where they differ from TABLE. Another nvcc allots other registers, so beside a TABLE of another version `check` compares
only which kernels there are.

A line of ALLOWED_SPILLS holds a kernel's name as the table prints it (* stands for anything), a colon and a space, and
the reason; # starts a comment.
"""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(?P<name>\w+)' for '(?P<arch>sm_\w+)'")
SPILLS = re.compile(r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill")
USED = re.compile(r"Used (?P<registers>\d+) registers(?:.*?(?P<shared>\d+) bytes smem)?")
WRITTEN = re.compile(r"with nvcc (?P<version>[\d.]+)")
HEADER = """\
# Resources of the CUDA kernels

Written by `make cuda-matrix` with nvcc {version}; `make cuda-check` compares the column of sm_90. A cell holds
registers per thread / bytes of static shared memory per block / bytes of stack per thread / bytes spilled per thread
(stores and loads).

"""


@dataclass
class Kernel:
    name: str
    arch: str
    stack: int = 0
    spilled: int = 0
    registers: int = 0
    shared: int = 0

    @property
    def cell(self) -> str:
        return f"{self.registers} / {self.shared} / {self.stack} / {self.spilled}"


def demangle(names: list[str]) -> list[str]:
    filtered = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return [readable(line) for line in filtered.stdout.splitlines()]


def readable(name: str) -> str:
    """`reparameterize_kernel<16, float>` out of the demangled name."""
    name = name.replace("(anonymous namespace)::", "").replace("latentcore::", "").removeprefix("void ")
    name = re.sub(r"_GLOBAL__N__\w+::", "", name)
    # casts of template arguments, `(int)4` or `(latentcore::Kind)1`; what is left in parentheses are the parameters
    return re.sub(r"\([\w: ]+\)(?=-?\d)", "", name).split("(")[0]


def read_log(text: str) -> list[Kernel]:
    kernels: list[Kernel] = []
    for line in text.splitlines():
        if found := ENTRY.search(line):
            kernels.append(Kernel(found["name"], found["arch"]))
        elif found := SPILLS.search(line):
            # once for the kernel and once for every function that it calls
            kernels[-1].stack = max(kernels[-1].stack, int(found["stack"]))
            kernels[-1].spilled += int(found["stores"]) + int(found["loads"])
        elif found := USED.search(line):
            kernels[-1].registers = int(found["registers"])
            kernels[-1].shared = int(found["shared"] or 0)
    for kernel, name in zip(kernels, demangle([k.name for k in kernels]), strict=True):
        kernel.name = name
    return sorted(kernels, key=lambda k: (k.arch, k.name))


def read_allowed(text: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return dict(line.split(": ", 1) for line in lines if line)


def architectures(kernels: list[Kernel]) -> list[str]:
    return sorted({k.arch for k in kernels}, key=lambda arch: (len(arch), arch))


def as_table(kernels: list[Kernel], version: str) -> str:
    columns = architectures(kernels)
    cells = {(k.name, k.arch): k.cell for k in kernels}
    rows = [["kernel", *columns], ["---"] * (len(columns) + 1)]
    rows += [[f"`{name}`", *(cells.get((name, a), "") for a in columns)] for name in sorted({k.name for k in kernels})]
    return HEADER.format(version=version) + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def read_table(text: str) -> dict[tuple[str, str], str]:
    """The cells by kernel and architecture."""
    rows = [[cell.strip(" `") for cell in line[1:-1].split("|")] for line in text.splitlines() if line.startswith("|")]
    if not rows:
        return {}
    columns = rows[0][1:]
    return {(row[0], a): cell for row in rows[2:] for a, cell in zip(columns, row[1:], strict=True) if cell}


def differences(kernels: list[Kernel], table: str, version: str) -> list[str]:
    """What TABLE says otherwise about the architectures that were compiled."""
    found = WRITTEN.search(table)
    same_compiler = found is not None and found["version"] == version
    if found and not same_compiler:
        print(f"the table was written with nvcc {found['version']}, this is {version}: only names are compared")
    compiled = {(k.name, k.arch): k.cell for k in kernels}
    written = {key: cell for key, cell in read_table(table).items() if key[1] in architectures(kernels)}
    return [
        f"{key[0]} ({key[1]}): compiled {compiled.get(key, 'nowhere')}, in the table {written.get(key, 'nowhere')}"
        for key in sorted(compiled | written)
        if key not in compiled or key not in written or (same_compiler and compiled[key] != written[key])
    ]


def print_resources(kernels: list[Kernel]) -> None:
    print(f"{'kernel':<64}{'arch':>7}{'registers':>11}{'shared B':>10}{'stack B':>9}{'spilled B':>11}")
    for k in kernels:
        print(f"{k.name:<64}{k.arch:>7}{k.registers:>11}{k.shared:>10}{k.stack:>9}{k.spilled:>11}")


def main(mode: str, log: str, allowed_spills: str, table: str, version: str) -> int:
    kernels = read_log(Path(log).read_text())
    allowed = read_allowed(Path(allowed_spills).read_text())
    if not kernels:
        print(f"error: {log}: expected ptxas's resource lines, found none")
        return 1
    errors = [
        f"{name} ({arch}) is the name of {count} kernels, which the table cannot tell apart"
        for (name, arch), count in Counter((k.name, k.arch) for k in kernels).items()
        if count > 1
    ]
    errors += [
        f"{k.name} ({k.arch}) spills {k.spilled} bytes; list it with its reason in {allowed_spills}"
        for k in kernels
        if k.spilled and not any(fnmatchcase(k.name, pattern) for pattern in allowed)
    ]
    path = Path(table)
    if mode == "matrix":
        path.write_text(as_table(kernels, version))
        columns = architectures(kernels)
        print(f"{table}: {len({k.name for k in kernels})} kernels, {len(columns)} architectures ({' '.join(columns)})")
    else:
        print_resources(kernels)
        stale = differences(kernels, path.read_text() if path.exists() else "", version)
        errors += stale
        if stale:
            errors.append(f"{table} is not what was compiled: run `make cuda-matrix` and commit the table")
    for error in errors:
        print(f"error: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
