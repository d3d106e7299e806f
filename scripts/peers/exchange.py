"""What the same step is made of for several frameworks: weights and a batch in safetensors files, and visits asked for line by line.

    serve(load, visit)      # a peer: load() once, then for each line {"steps": N} of standard input visit(N) -> times and loss
"""
import ctypes
import json
import signal
import struct
import sys

import numpy as np

TYPES = {"F32": np.float32, "I32": np.int32, "I64": np.int64}


def read_safetensors(path, prefix=""):
    """{name without prefix: array} of the tensors whose name has the prefix. The format: its length, a JSON header, the bytes."""
    with open(path, "rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        header = json.loads(stream.read(length))
        begin = stream.tell()
        tensors = {}
        for name, told in header.items():
            if name == "__metadata__" or not name.startswith(prefix):
                continue
            first, last = told["data_offsets"]
            stream.seek(begin + first)
            array = np.frombuffer(bytearray(stream.read(last - first)), dtype=TYPES[told["dtype"]])
            tensors[name[len(prefix):]] = array.reshape(told["shape"])
    return tensors


def write_safetensors(path, tensors):
    names = {np.dtype(kind): name for name, kind in TYPES.items()}
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            stream.write(np.ascontiguousarray(array).tobytes())


def say(**what):
    print(json.dumps(what), flush=True)


def die_with_parent():
    """A peer may be compiling when who asked for it is killed: it must not go on beside the next measurement."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def serve(load, visit):
    say(**load())
    for line in sys.stdin:
        say(**visit(json.loads(line)["steps"]))


def add_options(parser):
    parser.add_argument("--weights", required=True, help="as of `stepscope step --weights`")
    parser.add_argument("--batch", required=True, help="tokens and targets, as of `stepscope step --batch`")
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
