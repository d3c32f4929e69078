#!/usr/bin/env python3
"""Splits a small GGUF of make_model.py into two files: split_model.py IN PREFIX. Standard library alone."""
import struct
import sys

data = open(sys.argv[1], "rb").read()
at = 24
n_tensors, n_keys = struct.unpack_from("<QQ", data, 8)
SIZES = {4: 4, 5: 4, 6: 4, 7: 1}


def skip_text(at):
    return at + 8 + struct.unpack_from("<Q", data, at)[0]


def skip_value(at, kind):
    if kind == 8:
        return skip_text(at)
    if kind != 9:
        return at + SIZES[kind]
    element, count = struct.unpack_from("<iQ", data, at)
    at += 12
    for _ in range(count):
        at = skip_value(at, element)
    return at


keys_begin = at
for _ in range(n_keys):
    at = skip_text(at)
    kind = struct.unpack_from("<i", data, at)[0]
    at = skip_value(at + 4, kind)
keys = data[keys_begin:at]

tensors = []
for _ in range(n_tensors):
    begin = at
    at = skip_text(at)
    dims = struct.unpack_from("<I", data, at)[0]
    offset_at = at + 4 + 8 * dims + 4
    tensors.append((data[begin:offset_at], struct.unpack_from("<Q", data, offset_at)[0]))
    at = offset_at + 8
start = at + -at % 32
ends = [offset for _, offset in tensors[1:]] + [len(data) - start]


def key(name, kind, form, value):
    return struct.pack("<Q", len(name)) + name + struct.pack("<i" + form, kind, value)


for no, part in enumerate((range(0, 8), range(8, n_tensors))):
    split = key(b"split.no", 2, "H", no) + key(b"split.count", 2, "H", 2)
    split += key(b"split.tensors.count", 5, "i", n_tensors)
    infos, blob = b"", b""
    for i in part:
        infos += tensors[i][0] + struct.pack("<Q", len(blob))
        blob += data[start + tensors[i][1]:start + ends[i]]
    head = struct.pack("<IQQ", 3, len(part), 3 + (n_keys if no == 0 else 0))
    header = b"GGUF" + head + (keys if no == 0 else b"") + split + infos
    with open(f"{sys.argv[2]}-{no + 1:05d}-of-00002.gguf", "wb") as f:
        f.write(header + bytes(-len(header) % 32) + blob)
