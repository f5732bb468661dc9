#include "cuda_ops/scan.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"

namespace penstock::cuda_ops {
namespace {

using kernels::ScanPhase;

struct ScanKernels {
  Kernel by_block;
  Kernel serial;
  std::size_t value_bytes;  ///< Of what is combined.
};

constexpr std::size_t kWord = 8;
constexpr ScanKernels kInteger{
    {kScanImage, "penstock_scan_integer"}, {kScanImage, "penstock_scan_serially_integer"}, kWord};
constexpr ScanKernels kReal{
    {kScanImage, "penstock_scan_real"}, {kScanImage, "penstock_scan_serially_real"}, kWord};
constexpr ScanKernels kComplex{
    {kScanImage, "penstock_scan_complex"}, {kScanImage, "penstock_scan_serially_complex"}, 2 * kWord};
constexpr ScanKernels kLogSum{
    {kScanImage, "penstock_scan_log_sum"}, {kScanImage, "penstock_scan_serially_log_sum"}, kWord};
constexpr ScanKernels kIntegerExtreme{{kScanImage, "penstock_scan_integer_extreme"},
                                      {kScanImage, "penstock_scan_serially_integer_extreme"},
                                      2 * kWord};
constexpr ScanKernels kRealExtreme{{kScanImage, "penstock_scan_real_extreme"},
                                   {kScanImage, "penstock_scan_serially_real_extreme"},
                                   2 * kWord};

const ScanKernels& kernels_of(ScanKind kind, DType dtype) {
  switch (kind) {
    case ScanKind::Sum:
    case ScanKind::Product: return is_complex(dtype) ? kComplex : is_integer(dtype) ? kInteger : kReal;
    case ScanKind::LogSum: return kLogSum;
    default: return is_integer(dtype) ? kIntegerExtreme : kRealExtreme;
  }
}

kernels::Scan arguments_of(ScanKind kind, const ScanOperands& operands) {
  const tensor::TensorObject& indices = operands.indices != nullptr ? *operands.indices : operands.out;
  kernels::Scan scan{
      .self = operands.self.data,
      .out = operands.out.data,
      .indices = operands.indices != nullptr ? reinterpret_cast<std::int64_t*>(indices.data) : nullptr,
      .totals = nullptr,
      .self_dtype = element_of("a scan", operands.self.dtype),
      .out_dtype = element_of("a scan", operands.out.dtype),
      .phase = ScanPhase::Whole,
      .smallest = kind == ScanKind::Smallest ? 1 : 0,
      .is_product = kind == ScanKind::Product ? 1 : 0,
      .tiles = 0,
      .rows = make_rows<3>({&operands.self, &operands.out, &indices}, operands.dim)};
  scan.tiles = (scan.rows.length + kernels::kScanTile - 1) / kernels::kScanTile;
  return scan;
}

/// True where a thread a row is the better way: rows that are short, or whose neighbors lie between their
/// elements, and enough of them.
bool is_serial(const shim::CudaCall& call, const kernels::Scan& scan) {
  constexpr std::int64_t kShort = 32;
  constexpr std::int64_t kRowsOfSm = 256;
  const std::int64_t rows = scan.rows.starts.count;
  if (scan.rows.length <= kShort) return true;
  return scan.rows.step[0] != 1 && rows >= kRowsOfSm * static_cast<std::int64_t>(call.sm_count);
}

}  // namespace

void scan(const shim::CudaCall& call, ScanKind kind, const ScanOperands& operands) {
  if (operands.out.numel == 0) return;
  const ScanKernels& kernels = kernels_of(kind, operands.out.dtype);
  kernels::Scan scan = arguments_of(kind, operands);
  const std::int64_t rows = scan.rows.starts.count;
  if (is_serial(call, scan)) return kernels.serial.launch(call, grid_for(call, rows), scan);
  const Grid by_row = grid_of_blocks(call, rows, kernels::kScanThreads);
  constexpr std::int64_t kFewTiles = 4;
  if (scan.tiles <= kFewTiles || rows >= static_cast<std::int64_t>(call.sm_count)) {
    return kernels.by_block.launch(call, by_row, scan);
  }
  const Temporary totals(call, rows * scan.tiles, kernels.value_bytes);
  const Grid by_tile = grid_of_blocks(call, rows * scan.tiles, kernels::kScanThreads);
  scan.totals = totals.data();
  for (const ScanPhase phase : {ScanPhase::Totals, ScanPhase::Carry, ScanPhase::Apply}) {
    scan.phase = phase;
    kernels.by_block.launch(call, phase == ScanPhase::Carry ? by_row : by_tile, scan);
  }
}

}  // namespace penstock::cuda_ops
