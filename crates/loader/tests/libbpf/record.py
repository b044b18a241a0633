#!/usr/bin/env python3
"""Records what libbpf asks Linux to load for the test objects: see record.c. Wants root and strace."""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# Objects that need nothing of the running kernel's own types.
OBJECTS = ["core", "data", "maps", "programs"]
SLOT = re.compile(r"\{code=([\w|]+), dst_reg=(\w+), src_reg=(\w+), off=(-?\w+), imm=(-?\w+)\}")


def number(text):
    return sum(int(part, 0) for part in text.split("|"))


def instructions(line):
    line = re.sub(r" ?/\*.*?\*/", "", line)
    body = line.split("insns=[")[1].split("]")[0]
    for slot in SLOT.findall(body):
        yield [number(field) for field in slot]


def record(directory, name):
    command = ["strace", "-X", "raw", "-v", "-s", "200", "-e", "trace=bpf,write", "-o",
               "/dev/stderr", str(HERE / "record"), f"{directory}/{name}.bpf.o",
               f"{directory}/kernel.o"]
    lines = subprocess.run(command, capture_output=True, text=True).stderr.splitlines()
    program, out, done = None, [], set()
    for line in lines:
        if found := re.search(r'"PROGRAM (\S+)\\n"', line):
            program = found[1]
        loads = f'prog_name="{program[:15]}"' if program else "-"
        if loads in line and "insns=[" in line and program not in done:
            done.add(program)
            out.append(f"program {program}")
            second = False
            for code, dst, src, off, imm in instructions(line):
                imm = imm - (1 << 32) if imm >= 1 << 31 else imm
                is_map = code == 0x18 and src in (1, 2) and not second
                out.append(f"{code:02x} {dst} {src} {off} {'map' if is_map else imm}")
                second = code == 0x18 and not second
    (HERE / f"{name}.txt").write_text("\n".join(out) + "\n")
    print(name, len(done), "programs")


for object_name in OBJECTS:
    record(sys.argv[1], object_name)
