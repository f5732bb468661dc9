"""Makes the tensor files that the tests of src/io read, as NumPy and safetensors write them.

    python tests/unit/io/make_data.py

needs numpy and safetensors. Writes tests/unit/io/data/. Every array counts up from 0 (booleans
alternate), so that the tests know the values without a second file. The same files, and some
that are broken on purpose, go to tests/fuzz/corpus/tensor_file/ as seeds of the fuzzer.
"""

import shutil
import struct
from pathlib import Path

import numpy
from numpy.lib import format as npy_format
from safetensors.numpy import save_file

DATA = Path(__file__).resolve().parent / "data"
SEEDS = DATA.parents[2] / "fuzz" / "corpus" / "tensor_file"
DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 "
    "float16 float32 float64 complex64 complex128"
).split()


def count_up(dtype, shape):
    count = int(numpy.prod(shape))
    values = numpy.arange(count) % 2 if dtype == "bool" else numpy.arange(count)
    return values.astype(dtype).reshape(shape)


def write_version(name, version):
    with open(DATA / name, "wb") as file:
        npy_format.write_array(file, count_up("float32", (2, 3)), version=version)


def safetensors_bytes(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


def write_seeds():
    SEEDS.mkdir(parents=True, exist_ok=True)
    for path in DATA.iterdir():
        shutil.copyfile(path, SEEDS / path.name)
    npz = (DATA / "compressed.npz").read_bytes()
    npy = (DATA / "version1.npy").read_bytes()
    pair = b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
    broken = {
        "cut_short.npz": npz[: len(npz) // 2],
        "bomb.npz": npz.replace(struct.pack("<I", 80128), b"\xff\xff\xff\x7f"),
        "duplicate.npz": (DATA / "all.npz").read_bytes().replace(b"int16.npy", b"int32.npy"),
        "no_end.npz": npz[:-22],
        "cut_short.npy": npy[:-3],
        "negative.npy": npy.replace(b"(2, 3)", b"(2,-3)"),
        "overflow.npy": npy.replace(b"(2, 3), }    ", b"(9" + b"9" * 8 + b",)}"),
        "many_sizes.npy": npy.replace(b"(2, 3), }" + b" " * 30, b"(" + b"1," * 17 + b")} "),
        "huge_header.safetensors": struct.pack("<Q", 2**63) + b"{}",
        "overlap.safetensors": safetensors_bytes(
            pair + b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', b"abc"
        ),
        "duplicate.safetensors": safetensors_bytes(pair + pair[1:-1] + b"}", b"ab"),
        "deep.safetensors": safetensors_bytes(b'{"x":' + b"[" * 1000),
    }
    for name, data in broken.items():
        (SEEDS / name).write_bytes(data)


def main():
    DATA.mkdir(exist_ok=True)
    arrays = {dtype: count_up(dtype, (2, 3)) for dtype in DTYPES}
    numpy.savez(DATA / "all.npz", **arrays)
    numpy.savez_compressed(DATA / "compressed.npz", zeros=numpy.zeros((100, 100)), x=arrays["int64"])
    safe = {name: array for name, array in arrays.items() if name != "complex128"}
    save_file(safe, DATA / "all.safetensors", metadata={"made by": "safetensors"})

    write_version("version1.npy", (1, 0))
    write_version("version2.npy", (2, 0))
    write_version("version3.npy", (3, 0))
    numpy.save(DATA / "fortran.npy", numpy.asfortranarray(count_up("int32", (2, 3, 4))))
    numpy.save(DATA / "scalar.npy", numpy.float64(7))
    numpy.save(DATA / "empty.npy", numpy.zeros((0, 3), "float32"))
    numpy.save(DATA / "one.npy", count_up("int16", (5,)))

    numpy.save(DATA / "big_endian.npy", arrays["float32"].astype(">f4"))
    numpy.save(DATA / "objects.npy", numpy.array([{"a": 1}], dtype=object), allow_pickle=True)
    numpy.save(DATA / "text.npy", numpy.array(["one", "two"]))
    numpy.save(DATA / "fields.npy", numpy.zeros(2, dtype=[("a", "<i4"), ("b", "<f4")]))
    numpy.save(DATA / "dates.npy", numpy.array(["2020-01-01"], dtype="datetime64[D]"))
    # How a bfloat16 array of the ml_dtypes package is saved.
    header = b"{'descr': '<V2', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
    (DATA / "bfloat16.npy").write_bytes(
        npy_format.magic(1, 0) + struct.pack("<H", len(header)) + header + b"\x80\x3f\x00\x40"
    )
    write_seeds()


if __name__ == "__main__":
    main()
