"""Makes the seeds of all targets but fuzz_tensor_file: python tests/fuzz/make_corpus.py

Needs a C compiler for the small library, and takes objects and calls from the packages of the tests;
everything else is built here. Seeds are sound files and ones that are each wrong in one way.
"""

import base64
import io
import pathlib
import struct
import subprocess
import tarfile
import tempfile
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
OBJECTS = pathlib.Path(__file__).parent.parent / "packages" / "torch-2.15-objects.tar.xz"

SOURCE = r"""
#include <stdlib.h>
extern int aoti_torch_get_dim(void *, long *);
__attribute__((visibility("default"))) const char _binary_constants_bin_start[16] = {1};
__attribute__((visibility("default"))) const char _binary_constants_bin_end[1] = {2};
static __thread int last;
__attribute__((constructor)) static void start(void) { last = 1; }
__attribute__((visibility("default"))) int AOTInductorModelContainerRun(void *tensor) {
  long dim = getenv("PENSTOCK") != 0;
  return aoti_torch_get_dim(tensor, &dim) + last;
}
"""

# Needs versions of a library that Penstock stands in for, and of one that it does not.
SOURCE_OPENMP = SOURCE.replace("last;\n}", "last + omp_get_num_threads();\n}").replace(
    "extern int", "extern int omp_get_num_threads(void);\nextern int", 1)

METADATA = '{"AOTI_DEVICE_KEY": "cpu", "AOTI_CPU_ISA": "AVX2"}'

LEAF = '{"type": null, "context": null, "children_spec": []}'
SPEC = (
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": ['
    '{"type": "builtins.tuple", "context": "null", "children_spec": [' + LEAF + "]}, "
    '{"type": "builtins.dict", "context": "[\\"scale\\", \\"opts\\"]", "children_spec": ['
    + LEAF + ', {"type": "builtins.list", "context": "null", "children_spec": [' + LEAF + "]}]}]}]"
)

WRAPPER = """    : AOTInductorModelBase(2,
                           1,
                           1,
    inputs_info_[0].name = "arg0_1";
    inputs_info_[1].name = "arg1_1";
    constants_info_[0].data_size = 128;
    constants_info_[0].shape = {4, 8};
    constants_info_[0].stride = {8, 1};
    constants_info_[0].original_fqn = "fc.weight";
    in_spec_ = R"(%s)";
    int32_t arg0_1_expected_dtype = aoti_torch_dtype_float32();
    if (arg0_1_size[0] < 2) {
    if (arg0_1_size[0] > 64) {
    if (64 != arg0_1_size[1]) {
    if (1 != arg0_1_stride[1]) {
    int32_t arg1_1_expected_dtype = aoti_torch_dtype_int64();
    int32_t arg1_1_expected_device_type = 0;
    int64_t s17 = arg0_1_size[0];
    int64_t s77 = s17;
    if (check()) { assert_size_stride(arg1_1, {s77, 3L}, {3L, 1L}, "input"); }
// /usr/bin/g++ -O1 -march=x86-64-v3
""" % SPEC

# The pickle of a float32 parameter [8, 16], as torch.save writes it.
STORAGE = b"(X\x07\0\0\0storageq\x02ctorch\nFloatStorage\nq\x03X\x01\0\0\x000q\x04X\x03\0\0\0cpuK\x80tQ"
HOOKS = b"ccollections\nOrderedDict\n)R"
TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\0K\x08K\x10\x86K\x10K\x01\x86\x89"
          + HOOKS + b"tR")
# An object of a class, whose state comes next.
OBJECT = b"\x80\x02c__torch__.torch.classes.ns\nThing\n)\x81"
PICKLES = {
    "tensor": b"\x80\x02" + TENSOR + b".",
    "parameter": b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + TENSOR + b"\x88" + HOOKS + b"\x87R.",
    "protocol4": b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93)R.",
    "truncated": b"\x80\x02" + TENSOR[:90],
    "bytes": OBJECT + b"c_codecs\nencode\nX\x03\0\0\0a\xc3\xa9X\x06\0\0\0latin1\x86Rb.",
    "cycle": OBJECT + b"]q\0h\0ab.",
    # Pairs of the pair before, 40 deep.
    "laughs": OBJECT + b"K\1" + b"q\0h\0\x86" * 40 + b"b.",
    "numbers": b"\x80\x02(J\xff\xff\xff\xffM\xff\xff\x8a\x08\0\0\0\0\0\0\0\x80tq\0h\0\x86.",
}

KERNEL = """    float tmp_acc0_arr[2];
    #pragma omp parallel num_threads(2)
        int tid = omp_get_thread_num();
        tmp_acc0_arr[tid] = 1;
    for (int tid = 0; tid < 2; tid++)
"""


def save(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def library(text=SOURCE, *options):
    with tempfile.TemporaryDirectory() as folder:
        source, out = pathlib.Path(folder, "a.c"), pathlib.Path(folder, "a.so")
        source.write_text(text)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Os", "-s", "-fvisibility=hidden", "-nostartfiles",
             "-Wl,-z,noseparate-code,--build-id=none,--hash-style=both", source, *options, "-o", out],
            check=True,
        )
        return out.read_bytes()


def patched(data, offset, form, value):
    return data[:offset] + struct.pack(form, value) + data[offset + struct.calcsize(form):]


def dynamic_entries(data):
    """File offsets of the entries of the dynamic section, by tag."""
    (start,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    for i in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, start + i * 56)
        if kind == 2:
            return {struct.unpack_from("<q", data, at)[0]: at for at in range(offset, offset + size, 16)}
    raise ValueError("no dynamic section")


def make_elf():
    elf = library()
    save("elf_image", "sound.so", elf)
    save("elf_image", "aarch64.so", patched(elf, 18, "<H", 183))
    save("elf_image", "relocatable.so", patched(elf, 16, "<H", 1))
    save("elf_image", "no_segments.so", patched(elf, 56, "<H", 0))
    save("elf_image", "no_sections.so", patched(elf, 40, "<Q", 2**64 - 1))
    for i in range(1, 8):
        save("elf_image", f"cut_{i}.so", elf[: len(elf) * i // 8])
    names = {5: "strtab", 6: "symtab", 7: "rela", 10: "strsz", 23: "jmprel", 0x6FFFFEF5: "gnu_hash",
             0x6FFFFFFE: "verneed"}
    for tag, name in names.items():
        offset = dynamic_entries(elf).get(tag)
        if offset is not None:
            save("elf_image", f"far_{name}.so", patched(elf, offset + 8, "<Q", 2**63))
            save("elf_image", f"zero_{name}.so", patched(elf, offset + 8, "<Q", 0))


def make_library_image():
    """Two bytes that say what is left out come first."""
    elf = library(SOURCE_OPENMP, "-fopenmp")
    entries = dynamic_entries(elf)
    (needs,) = struct.unpack_from("<Q", elf, entries[0x6FFFFFFE] + 8)  # the first segment: addresses are offsets
    (symbols,) = struct.unpack_from("<Q", elf, entries[6] + 8)
    (count,) = struct.unpack_from("<Q", elf, entries[0x6FFFFFFF] + 8)
    whole = b"\0\0"
    save("library_image", "sound.so", whole + elf)
    save("library_image", "left_out.so", b"\x10\x02" + elf)
    save("library_image", "tables_left_out.so", b"\0\xff" + elf)
    # The record after the last one is far behind what is loaded.
    last = needs
    while (following := struct.unpack_from("<I", elf, last + 12)[0]) != 0:
        last += following
    far = elf + bytes(0x8000)
    far = patched(far, last + 12, "<I", len(far) - 64 - last)
    (name,) = struct.unpack_from("<I", elf, needs + 4)
    far = far[:-64] + struct.pack("<HHI", 1, 0, name) + far[-56:]
    save("library_image", "needs_far.so", whole + patched(far, entries[0x6FFFFFFF] + 8, "<Q", count + 1))
    save("library_image", "versions_over_symbols.so", whole + patched(elf, entries[0x6FFFFFF0] + 8, "<Q", symbols))


def archive(files, method=zipfile.ZIP_STORED, top="top/"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(top + name, (1980, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


def zip64(data):
    """The archive with a zip64 end record before its end record."""
    end = len(data) - 22
    count, size, offset = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    return data[:end] + record + locator + data[end:]


def make_archive():
    model = "data/aotinductor/model/"
    files = {
        "archive_format": "pt2",
        "archive_version": "0",
        "byteorder": "little",
        model + "w.wrapper.so": library(),
        model + "w.wrapper.cpp": WRAPPER,
        model + "k.kernel.cpp": KERNEL,
        model + "w.wrapper_metadata.json": METADATA,
        model + "k.kernel_metadata.json": METADATA,
    }
    small = {"archive_format": "pt2", "a/b": "hello" * 20}
    stored = archive(small)
    end = len(stored) - 22
    save("archive", "package.pt2", archive(files))
    save("archive", "package_deflated.pt2", archive(files, zipfile.ZIP_DEFLATED))
    save("archive", "stored.zip", stored)
    save("archive", "deflated.zip", archive(small, zipfile.ZIP_DEFLATED))
    save("archive", "bzip2.zip", archive(small, zipfile.ZIP_BZIP2))
    save("archive", "lzma.zip", archive(small, zipfile.ZIP_LZMA))
    save("archive", "zip64.zip", zip64(stored))
    save("archive", "empty.zip", archive({}))
    save("archive", "up.zip", archive({"../../up": "x"}))
    save("archive", "absolute.zip", archive({"a": "x"}, top="/"))
    save("archive", "backslash.zip", archive({"a\\b": "x"}))
    save("archive", "no_top.zip", archive(small, top=""))
    save("archive", "count.zip", patched(stored, end + 10, "<H", 3))
    save("archive", "directory_far.zip", patched(stored, end + 16, "<I", 2**32 - 2))
    save("archive", "size_far.zip", patched(stored, end + 12, "<I", 2**32 - 2))
    save("archive", "bomb.zip", patched(stored, stored.index(b"PK\x01\x02") + 24, "<I", 2**32 - 2))
    # Zeros of as much as deflate can make of so little.
    save("archive", "zeros.zip", archive({f"{i}": bytes(20 << 20) for i in range(4)}, zipfile.ZIP_DEFLATED))
    for i in range(1, 4):
        save("archive", f"cut_{i}.zip", stored[: len(stored) * i // 4])


def make_manifest():
    save("manifest", "metadata.json", METADATA)
    save("manifest", "call_spec.json", SPEC)
    save("manifest", "deep_context.json", SPEC.replace('"null"', '"%s"' % ("[" * 100 + "]" * 100), 1))
    save("manifest", "deep_context_value.json", SPEC.replace('"null"', "[" * 60 + "]" * 60, 1))
    leaves = ", ".join([LEAF] * 3)
    output = '[1, {"type": "builtins.dict", "context": "[\\"a\\", 1, null]", "children_spec": [%s]}]'
    save("manifest", "output_spec.json", output % leaves)
    save("manifest", "duplicate.json", '{"a": "1", "a": "2"}')
    save("manifest", "deep.json", "[" * 100 + "]" * 100)
    save("manifest", "deep_object.json", '{"a":' * 100)
    save("manifest", "number.json", '{"AOTI_DEVICE_KEY": 1e999}')
    save("manifest", "text.cpp", WRAPPER + "\0" + KERNEL)
    save("manifest", "no_counts.cpp", WRAPPER[WRAPPER.index("inputs_info_"):])
    save("manifest", "huge_counts.cpp", WRAPPER.replace("Base(2", "Base(99999999999999999999"))
    save("manifest", "raw_string.cpp", ' in_spec_ = R"(a)" R"(b)" R"(c')


def make_pickle():
    for name, data in PICKLES.items():
        save("pickle", name, data)


def make_weights():
    config = '{"fc.weight": ["weight_0", [8, 16], [16, 1], 0], "fc.row": ["weight_0", [16], [1], 112]}'
    weight = archive({"data.pkl": PICKLES["tensor"], "byteorder": "little", "data/0": bytes(512)}, top="archive/")

    def package(text):
        files = {"data/aotinductor/model/weights_config.json": text, "data/weights/weight_0": weight}
        return archive(files)

    save("weights", "sound.pt2", package(config))
    save("weights", "far.pt2", package(config.replace("112", "113")))
    save("weights", "rank.pt2", package(config.replace("[16], [1]", f"{[1] * 40}, {[1] * 40}")))
    save("weights", "huge.pt2", package(config.replace("[16], [1]", f"[{2**62}, {2**62}], [0, 0]")))
    save("weights", "up.pt2", package(config.replace("weight_0", "../weight_0")))
    save("weights", "cut.pt2", package(config[:-9]))


def packaged(package, suffix):
    """The one entry of a package of the tests whose name ends so."""
    with tarfile.open(OBJECTS) as packages:
        data = packages.extractfile(f"torch-2.15-objects/{package}.pt2").read()
    with zipfile.ZipFile(io.BytesIO(data)) as entries:
        (name,) = [name for name in entries.namelist() if name.endswith(suffix)]
        return entries.read(name)


def make_objects():
    for package in ["engines", "object_ints", "object_mixed", "object_tensor", "queue"]:
        packed = packaged(package, "custom_obj_0")
        with zipfile.ZipFile(io.BytesIO(packed)) as entries:
            save("pickle", package, entries.read("archive/data.pkl"))
        save("archive", f"{package}.zip", archive({"custom_obj_0": packed}))
    for package in ["engines", "operator_effects", "operator_kinds", "queue"]:
        save("objects", f"nodes_{package}", packaged(package, ".wrapper.json"))
    save("objects", "config", packaged("engines", "custom_objs_config.json"))


def make_engine_state():
    texts = ["10", "engine", "2%9%0%0%NVIDIA H200", "cGxhbg==", "x%y", "z%w", "1", "bWV0YQ==", "linux_x86_64", "0", "1",
             "1", "z@x@user"]
    changed = lambda position, text: texts[:position] + [text] + texts[position + 1:]
    header = base64.b64encode(b"vtrt" + bytes(20) + bytes([1, 7, 1, 116])).decode()
    states = {"whole": texts, "format_7": ["7", *texts[1:10]], "format_6": ["6", *texts[1:9]], "short": texts[:12],
              "empty": [""], "device": changed(2, "0%9%0"), "dla": changed(2, "0%8%7%1%A%B"), "base64": changed(3, "no"),
              "padding": changed(3, "YQ==YQ=="), "header": changed(3, header), "twice": changed(4, "x%x"),
              "no_names": ["10", *texts[1:4], "", "", *texts[6:12], ""], "flag": changed(6, "2"),
              "aliases": changed(12, "z@x"), "other_alias": changed(12, "v@x@user")}
    for name, state in states.items():
        save("engine_state", name, "\0".join(state))


if __name__ == "__main__":
    make_engine_state()
    make_elf()
    make_library_image()
    make_archive()
    make_manifest()
    make_pickle()
    make_weights()
    make_objects()
