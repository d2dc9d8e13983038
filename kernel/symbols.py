#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Put the names of the image's functions into the image.

usage: symbols.py IMAGE OUTPUT

The linker has left room for them (symbol_table, core/panic.c). Format, little endian: number of symbols, 0; then for each,
by address: offset from image_start, offset of its name from the table's start; then the names, each ended by a zero byte.
"""
import struct
import subprocess
import sys


def main():
    image, output = sys.argv[1:3]
    address = {}
    for line in subprocess.run(["nm", image], check=True, capture_output=True, text=True).stdout.splitlines():
        fields = line.split()
        if len(fields) == 3:
            address[fields[2]] = (int(fields[0], 16), fields[1])
    start, room = address["image_start"][0], address["symbol_table"][0]
    size = address["symbol_table_end"][0] - room
    functions = sorted((a, name) for name, (a, kind) in address.items() if kind in "tTW" and a >= start)
    unique = [f for i, f in enumerate(functions) if i == 0 or f[0] != functions[i - 1][0]]
    head = 8 + 8 * len(unique)
    entries, names = b"", b""
    for a, name in unique:
        entries += struct.pack("<II", a - start, head + len(names))
        names += name.encode() + b"\0"
    table = struct.pack("<II", len(unique), 0) + entries + names
    if len(table) > size:
        sys.exit(f"symbols.py: {len(table)} bytes of symbols, room for {size}: enlarge SYMBOL_SPACE")
    with open(image, "rb") as f:
        data = bytearray(f.read())
    # The image is one segment whose file offsets follow its addresses.
    wide = data[4] == 2
    phoff = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)[0]
    if wide:
        offset, vaddr = struct.unpack_from("<QQ", data, phoff + 8)
    else:
        offset, vaddr = struct.unpack_from("<II", data, phoff + 4)
    at = offset + room - vaddr
    data[at:at + len(table)] = table
    with open(output, "wb") as f:
        f.write(data)


if __name__ == "__main__":
    main()
