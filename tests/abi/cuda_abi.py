"""Compares what src/cuda writes down of the CUDA driver with the headers of a CUDA toolkit.

    python3 tests/abi/cuda_abi.py --compiler c++ [--cuda-include DIR]

Every function of the table is compared with the toolkit's own type for the same name and version, every
constant and structure with its namesake. Exits with 77 where there is no toolkit.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
ENTRY = re.compile(r'DriverFunction\{"(\w+)",\s*(\d+),\s*offsetof\(Driver, (\w+)\)\}')

# Ours and the toolkit's.
CONSTANTS = {
    "kSuccess": "CUDA_SUCCESS",
    "kInvalidValue": "CUDA_ERROR_INVALID_VALUE",
    "kOutOfMemory": "CUDA_ERROR_OUT_OF_MEMORY",
    "kNotInitialized": "CUDA_ERROR_NOT_INITIALIZED",
    "kDeinitialized": "CUDA_ERROR_DEINITIALIZED",
    "kNoDevice": "CUDA_ERROR_NO_DEVICE",
    "kInvalidDevice": "CUDA_ERROR_INVALID_DEVICE",
    "kInvalidImage": "CUDA_ERROR_INVALID_IMAGE",
    "kInvalidContext": "CUDA_ERROR_INVALID_CONTEXT",
    "kNoBinaryForGpu": "CUDA_ERROR_NO_BINARY_FOR_GPU",
    "kUnsupportedPtxVersion": "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
    "kInvalidHandle": "CUDA_ERROR_INVALID_HANDLE",
    "kContextIsDestroyed": "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "kIllegalState": "CUDA_ERROR_ILLEGAL_STATE",
    "kNotFound": "CUDA_ERROR_NOT_FOUND",
    "kNotReady": "CUDA_ERROR_NOT_READY",
    "kIllegalAddress": "CUDA_ERROR_ILLEGAL_ADDRESS",
    "kNotSupported": "CUDA_ERROR_NOT_SUPPORTED",
    "kStreamCaptureUnsupported": "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
    "kStreamCaptureInvalidated": "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
    "kStreamCaptureUnmatched": "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
    "kStreamCaptureUnjoined": "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
    "kStreamCaptureIsolation": "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
    "kStreamCaptureImplicit": "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
    "kCapturedEvent": "CUDA_ERROR_CAPTURED_EVENT",
    "kStreamCaptureWrongThread": "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
    "kInvalidResourceType": "CUDA_ERROR_INVALID_RESOURCE_TYPE",
    "kInvalidResourceConfiguration": "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION",
    "kUnknown": "CUDA_ERROR_UNKNOWN",
    "Resource::Invalid": "CU_DEV_RESOURCE_TYPE_INVALID",
    "Resource::Sm": "CU_DEV_RESOURCE_TYPE_SM",
    "kStreamDefault": "CU_STREAM_DEFAULT",
    "kStreamNonBlocking": "CU_STREAM_NON_BLOCKING",
    "kEventDefault": "CU_EVENT_DEFAULT",
    "kEventBlockingSync": "CU_EVENT_BLOCKING_SYNC",
    "kEventDisableTiming": "CU_EVENT_DISABLE_TIMING",
    "kGreenContextDefaultStream": "CU_GREEN_CTX_DEFAULT_STREAM",
    "kCaptureNone": "CU_STREAM_CAPTURE_STATUS_NONE",
    "kCaptureActive": "CU_STREAM_CAPTURE_STATUS_ACTIVE",
    "kCaptureInvalidated": "CU_STREAM_CAPTURE_STATUS_INVALIDATED",
    "kCaptureGlobal": "CU_STREAM_CAPTURE_MODE_GLOBAL",
    "kCaptureThreadLocal": "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL",
    "kCaptureRelaxed": "CU_STREAM_CAPTURE_MODE_RELAXED",
    "kMaxThreadsPerBlock": "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK",
    "kMaxSharedMemoryPerBlock": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK",
    "kMultiprocessorCount": "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT",
    "kComputeCapabilityMajor": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR",
    "kComputeCapabilityMinor": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR",
    "kMaxSharedMemoryPerBlockOptin": "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    "kFunctionMaxDynamicSharedBytes": "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES",
    "kPointerContext": "CU_POINTER_ATTRIBUTE_CONTEXT",
    "kPointerMemoryType": "CU_POINTER_ATTRIBUTE_MEMORY_TYPE",
    "kPointerDevicePointer": "CU_POINTER_ATTRIBUTE_DEVICE_POINTER",
    "kPointerIsManaged": "CU_POINTER_ATTRIBUTE_IS_MANAGED",
    "kPointerDeviceOrdinal": "CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL",
    "kPointerRangeStart": "CU_POINTER_ATTRIBUTE_RANGE_START_ADDR",
    "kPointerRangeSize": "CU_POINTER_ATTRIBUTE_RANGE_SIZE",
    "kMemoryHost": "CU_MEMORYTYPE_HOST",
    "kMemoryDevice": "CU_MEMORYTYPE_DEVICE",
    "kMemoryArray": "CU_MEMORYTYPE_ARRAY",
    "kMemoryUnified": "CU_MEMORYTYPE_UNIFIED",
    "kHostPortable": "CU_MEMHOSTALLOC_PORTABLE",
    "kHostDeviceMap": "CU_MEMHOSTALLOC_DEVICEMAP",
    "kGraphKernel": "CU_GRAPH_NODE_TYPE_KERNEL",
    "kGraphMemcpy": "CU_GRAPH_NODE_TYPE_MEMCPY",
    "kGraphMemset": "CU_GRAPH_NODE_TYPE_MEMSET",
    "kGraphHost": "CU_GRAPH_NODE_TYPE_HOST",
    "kGraphChild": "CU_GRAPH_NODE_TYPE_GRAPH",
    "kGraphEmpty": "CU_GRAPH_NODE_TYPE_EMPTY",
    "kGraphWaitEvent": "CU_GRAPH_NODE_TYPE_WAIT_EVENT",
    "kGraphEventRecord": "CU_GRAPH_NODE_TYPE_EVENT_RECORD",
    "kGraphMemAlloc": "CU_GRAPH_NODE_TYPE_MEM_ALLOC",
    "kGraphMemFree": "CU_GRAPH_NODE_TYPE_MEM_FREE",
    "kSetCaptureDependencies": "CU_STREAM_SET_CAPTURE_DEPENDENCIES",
    "kUserObjectNoDestructorSync": "CU_USER_OBJECT_NO_DESTRUCTOR_SYNC",
    "kGraphUserObjectMove": "CU_GRAPH_USER_OBJECT_MOVE",
}

# Handles that are numbers, which no compiler takes for constants.
STREAMS = {"kLegacyStream": "CU_STREAM_LEGACY", "kPerThreadStream": "CU_STREAM_PER_THREAD"}

# Structures: ours and the toolkit's, and members of both. Of a MemcpySide there are two in a CUDA_MEMCPY3D.
SIDE = {"x_bytes": "XInBytes", "y": "Y", "z": "Z", "lod": "LOD", "memory_type": "MemoryType", "host": "Host",
        "device": "Device", "array": "Array", "pitch": "Pitch", "height": "Height"}
STRUCTURES = {
    ("KernelNodeParams", "CUDA_KERNEL_NODE_PARAMS_v2"): {
        "function": "func", "grid": "gridDimX", "block": "blockDimX", "shared_bytes": "sharedMemBytes",
        "parameters": "kernelParams", "extra": "extra", "kernel": "kern", "context": "ctx"},
    ("MemcpyNodeParams", "CUDA_MEMCPY3D_v2"): {
        **{f"from.{ours}": f"src{theirs}" for ours, theirs in SIDE.items()}, "from.reserved": "reserved0",
        **{f"to.{ours}": f"dst{theirs}" for ours, theirs in SIDE.items()}, "to.reserved": "reserved1",
        "width_bytes": "WidthInBytes", "height": "Height", "depth": "Depth"},
    ("MemsetNodeParams", "CUDA_MEMSET_NODE_PARAMS_v1"): {
        "to": "dst", "pitch": "pitch", "value": "value", "element_bytes": "elementSize", "width": "width",
        "height": "height"},
}

PROLOGUE = """\
#include <cuda.h>
#include <cudaTypedefs.h>
#include "cuda/driver.hpp"
#include <cstddef>
#include <type_traits>
using namespace penstock::cuda;

// Types that differ in name but are passed and laid out alike.
template <class T> struct Plain { using type = std::conditional_t<std::is_enum_v<T>, int, T>; };
template <class T> struct Plain<T*> { using type = typename Plain<T>::type*; };
template <class T> struct Plain<const T> { using type = const typename Plain<T>::type; };
static_assert(sizeof(unsigned long long) == sizeof(unsigned long));
template <> struct Plain<unsigned long long> { using type = unsigned long; };
template <> struct Plain<CUcontext> { using type = ContextHandle; };
template <> struct Plain<CUstream> { using type = StreamHandle; };
template <> struct Plain<CUevent> { using type = EventHandle; };
template <> struct Plain<CUmodule> { using type = ModuleHandle; };
template <> struct Plain<CUfunction> { using type = FunctionHandle; };
template <> struct Plain<CUgreenCtx> { using type = GreenContextHandle; };
template <> struct Plain<CUdevResourceDesc> { using type = ResourceDescHandle; };
template <> struct Plain<CUgraph> { using type = GraphHandle; };
template <> struct Plain<CUgraphExec> { using type = GraphExecHandle; };
template <> struct Plain<CUgraphNode> { using type = GraphNodeHandle; };
template <> struct Plain<CUkernel> { using type = KernelHandle; };
template <> struct Plain<CUuserObject> { using type = UserObjectHandle; };
template <> struct Plain<CUdevResource> { using type = Resource; };
template <> struct Plain<CUDA_KERNEL_NODE_PARAMS_v2> { using type = KernelNodeParams; };
template <> struct Plain<CUDA_MEMCPY3D_v2> { using type = MemcpyNodeParams; };
template <> struct Plain<CUDA_MEMSET_NODE_PARAMS_v1> { using type = MemsetNodeParams; };
template <class F> struct Signature;
template <class R, class... A> struct Signature<R (*)(A...)> {
  using type = typename Plain<R>::type (*)(typename Plain<A>::type...);
};
template <class Ours, class Theirs>
inline constexpr bool same_abi =
    std::is_same_v<typename Signature<Ours>::type, typename Signature<Theirs>::type>;

static_assert(sizeof(Resource) == sizeof(CUdevResource));
static_assert(offsetof(Resource, sm) == offsetof(CUdevResource, sm));
static_assert(sizeof(CUdevSmResource) <= sizeof(Resource::padding));
static_assert(offsetof(CUdevSmResource, smCount) == 0 && offsetof(CUdevSmResource, minSmPartitionSize) == 4 &&
              offsetof(CUdevSmResource, smCoscheduledAlignment) == 8);
using Launch = CUDA_KERNEL_NODE_PARAMS_v2;
static_assert(offsetof(Launch, gridDimY) == offsetof(Launch, gridDimX) + 4 &&
              offsetof(Launch, gridDimZ) == offsetof(Launch, gridDimX) + 8);
static_assert(offsetof(Launch, blockDimY) == offsetof(Launch, blockDimX) + 4 &&
              offsetof(Launch, blockDimZ) == offsetof(Launch, blockDimX) + 8);
"""


def find_include(given):
    """The folder of cuda.h; None where there is none."""
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda", "/usr"]
    folders = [given] if given else [Path(root) / "include" for root in roots if root]
    return next((folder for folder in folders if (folder / "cudaTypedefs.h").is_file()), None)


def undeclared_constants():
    """Constants of abi.hpp that nothing here compares."""
    text = (ROOT / "src/cuda/abi.hpp").read_text()
    names = set(re.findall(r"\b(k[A-Z]\w+) = \d+", text))
    return sorted(names - set(CONSTANTS) - set(STREAMS))


def wrong_streams(header):
    """Default streams that have other numbers in cuda.h."""
    text = (ROOT / "src/cuda/abi.hpp").read_text()
    for ours, theirs in STREAMS.items():
        number = re.search(rf"{ours} = (\d+);", text)
        if not number or not re.search(rf"#define {theirs}\s+\(\(CUstream\)0x{number[1]}\)", header):
            yield f"src/cuda/abi.hpp: {ours} is not {theirs}"


def structure_checks():
    """That members lie where the toolkit's do, and are as large."""
    for (ours, theirs), members in STRUCTURES.items():
        yield f'static_assert(sizeof({ours}) == sizeof({theirs}), "{ours}");'
        for mine, their in members.items():
            yield f'static_assert(offsetof({ours}, {mine}) == offsetof({theirs}, {their}), "{ours}::{mine}");'
            # Three numbers of ours are members of their own in the toolkit.
            if mine not in ("grid", "block"):
                yield f'static_assert(sizeof({ours}().{mine}) == sizeof({theirs}().{their}), "{ours}::{mine}");'


def uncompared_members():
    """Members of these structures that nothing here compares."""
    text = (ROOT / "src/cuda/abi.hpp").read_text()
    for (ours, _), members in STRUCTURES.items():
        body = re.search(rf"struct {ours} {{(.*?)\n}};", text, re.DOTALL)[1]
        for name in re.findall(r"(\w+)(?:{}| = [^;]+)?;", body):
            if name not in {member.split(".")[0] for member in members}:
                yield f"src/cuda/abi.hpp: {ours}::{name} is compared with nothing"


def unit(functions, typedefs):
    """The file to compile, and what is wrong already."""
    checks, problems = [], []
    for name, version, member in functions:
        theirs = f"PFN_{name}_v{version}"
        if f"{theirs})" not in typedefs:
            problems.append(f"the toolkit has no {name} of version {version}")
            continue
        checks.append(f'static_assert(same_abi<decltype(Driver::{member}), {theirs}>, "{name}");')
    for ours, theirs in CONSTANTS.items():
        checks.append(f'static_assert((unsigned long long)({ours}) == (unsigned long long)({theirs}), "{ours}");')
    checks += structure_checks()
    return PROLOGUE + "\n".join(checks) + "\n", problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--cuda-include", type=Path)
    options = parser.parse_args()

    include = find_include(options.cuda_include)
    if include is None:
        print("skipped: no CUDA toolkit (cudaTypedefs.h); --cuda-include names its headers")
        return SKIPPED
    functions = ENTRY.findall((ROOT / "src/cuda/driver_functions.cpp").read_text())
    text, problems = unit(functions, (include / "cudaTypedefs.h").read_text())
    problems += [f"src/cuda/abi.hpp: {name} is compared with nothing" for name in undeclared_constants()]
    problems += uncompared_members()
    problems += wrong_streams((include / "cuda.h").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "unit.cpp"
        source.write_text(text)
        command = [options.compiler, "-std=c++20", "-fsyntax-only", "-w", f"-I{ROOT / 'src'}",
                   f"-I{ROOT / 'include'}", f"-isystem{include}", str(source)]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        problems.append(result.stderr)
    print("\n".join(problems))
    print(f"{len(functions)} functions, {len(CONSTANTS) + len(STREAMS)} constants and {len(STRUCTURES)} structures compared "
          f"with {include}")
    return 1 if problems or not functions else 0


if __name__ == "__main__":
    sys.exit(main())
