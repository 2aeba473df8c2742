# SPDX-License-Identifier: Apache-2.0
"""safetensors files with one flaw each: name -> (bytes, what the refusal must say besides the file's name)."""
import struct

from ref.safefile import frame


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def raw(text, size=8):
    return frame(text, bytes(size))


def many_values():
    """A header of 3 MB that is one array: much heap for a parser that does not count first."""
    return raw('{"w":[' + "1," * 1_500_000 + "1]}")


GOOD = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'

HEADERS = {
    "empty file": (b"", ["0 bytes", "8"]),
    "length cut off": (b"\x10\0\0", ["3 bytes", "8"]),
    "length past the end": (struct.pack("<Q", 1000) + b"{}", ["1000", "2 bytes"]),
    "length wraps around": (struct.pack("<Q", 2**64 - 8) + b"{}", ["18446744073709551608", "100000000"]),
    "header over 100 MB": (struct.pack("<Q", 100_000_001) + b"{}", ["100000001", "100000000"]),
    "no header": (struct.pack("<Q", 0), ["header"]),
    "not UTF-8": (raw(b'{"w\xff":{' + GOOD.encode() + b"}}"), ["byte 3", "UTF-8"]),
    "an overlong slash": (raw(b'{"w\xc0\xaf":{' + GOOD.encode() + b"}}"), ["byte 3", "UTF-8"]),
    "a surrogate": (raw(b'{"w\xed\xa0\x80":{' + GOOD.encode() + b"}}"), ["byte 3", "UTF-8"]),
    "an escaped NUL": (raw('{"w\\u0000x":{' + GOOD + "}}"), ["header", "NUL"]),
    "not JSON": (raw('{"w":{' + GOOD), ["header"]),
    "blanks in front": (raw(' {"w":{' + GOOD + "}}"), ["'{'"]),
    "an array": (raw("[]"), ["object", "'{'"]),
    "text behind": (raw('{"w":{' + GOOD + "}} x"), ["header", "byte"]),
    "a number like 007": (raw('{"w":{"dtype":"F32","shape":[007],"data_offsets":[0,8]}}'), ["header", "byte"]),
    "a deep array": (raw('{"w":' + "[" * 200_000 + "]" * 200_000 + "}"), ["header", "deep"]),
    "a deep object": (raw('{"w":' + '{"a":' * 200_000 + "1" + "}" * 200_000 + "}"), ["header", "deep"]),
    "far too many values": (many_values(), ["header"]),
    "a tensor twice": (raw('{"w":{' + GOOD + '},"w":{' + GOOD + "}}"), ['"w"', "twice"]),
    "a field twice": (raw('{"w":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'), ["dtype", "twice"]),
    "a tensor twice, escaped": (raw('{"w":{' + GOOD + '},"\\u0077":{' + GOOD + "}}"), ['"w"', "twice"]),
    "metadata twice": (raw('{"__metadata__":{},"__metadata__":{},"w":{' + GOOD + "}}"), ["__metadata__", "twice"]),
    "metadata that is no text": (raw({"__metadata__": {"format": 1}, "w": entry()}), ["__metadata__", "format", "string"]),
    "metadata that is no object": (raw({"__metadata__": [], "w": entry()}), ["__metadata__", "object"]),
    "a tensor that is no object": (raw({"w": [1, 2]}), ['"w"', "object"]),
    "an unknown dtype": (raw({"w": entry("F31")}), ['"w"', "dtype", "F31"]),
    "a dtype that is no text": (raw({"w": entry(7)}), ['"w"', "dtype", "string"]),
    "no dtype": (raw({"w": {"shape": [2], "data_offsets": [0, 8]}}), ['"w"', "dtype", "missing"]),
    "no shape": (raw({"w": {"dtype": "F32", "data_offsets": [0, 8]}}), ['"w"', "shape", "missing"]),
    "no offsets": (raw({"w": {"dtype": "F32", "shape": [2]}}), ['"w"', "data_offsets", "missing"]),
    "a shape that is a number": (raw({"w": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}), ['"w"', "shape", "array"]),
    "a negative axis": (raw({"w": entry(shape=[-2])}), ['"w"', "shape", "axis 0", "found -2"]),
    "half an element": (raw({"w": entry(shape=[2.5])}), ['"w"', "shape", "axis 0", "found 2.5"]),
    "an axis beyond 2^53": (raw({"w": entry(shape=[2**53 + 1])}), ['"w"', "shape", "axis 0", "found about 9007199254740992"]),
    "33 axes": (raw({"w": entry(shape=[1] * 32 + [2])}), ['"w"', "shape", "33", "32"]),
    "a shape that overflows": (raw({"w": entry(shape=[2**33, 2**33])}), ['"w"', "shape", "64 bits"]),
    "a shape whose bytes overflow": (raw({"w": entry(shape=[2**31, 2**31])}), ['"w"', "shape", "64 bits"]),
    "a shape whose product wraps to the size": (raw({"w": entry(shape=[2**32, 2**32, 2])}), ['"w"', "shape", "64 bits"]),
    "one offset": (raw({"w": entry(offsets=[0])}), ['"w"', "data_offsets", "two"]),
    "three offsets": (raw({"w": entry(offsets=[0, 8, 8])}), ['"w"', "data_offsets", "two", "found an array of 3"]),
    "a negative offset": (raw({"w": entry(offsets=[-8, 0])}), ['"w"', "data_offsets", "found -8"]),
    "offsets that end before they start": (raw({"a": entry(offsets=[0, 8]), "w": entry(offsets=[8, 0])}, 16), ['"w"', "data_offsets"]),
    "offsets past the end": (raw({"w": entry(shape=[4], offsets=[0, 16])}), ["16", "8"]),
    "offsets that overlap": (raw({"a": entry(), "w": entry(offsets=[4, 12])}, 12), ['"w"', "data_offsets", "[4, 12]", "8"]),
    "two tensors on one range": (raw({"a": entry(), "w": entry()}), ['"w"', "data_offsets", "[0, 8]", "8"]),
    "a hole": (raw({"a": entry(), "w": entry(offsets=[12, 20])}, 20), ['"w"', "data_offsets", "[12, 20]", "8"]),
    "a hole in front": (raw({"w": entry(offsets=[8, 16])}, 16), ['"w"', "data_offsets", "[8, 16]", "0"]),
    "offsets that do not fit the shape": (raw({"w": entry(shape=[3])}), ['"w"', "data_offsets", "8", "12"]),
    "half a byte": (raw({"w": entry("F4", [3], [0, 2])}, 2), ['"w"', "shape", "byte"]),
    "trailing bytes": (raw({"w": entry()}, 9), ["8", "9"]),
    "data cut off": (raw({"w": entry()}, 5), ["8", "5"]),
}
