#include "package/inflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

namespace penstock::package {
namespace {

/// zlib's state for one piece of data.
class Stream {
 public:
  Stream() {
    constexpr int kRaw = -MAX_WBITS;  // without a frame of zlib's
    if (::inflateInit2(&stream_, kRaw) != Z_OK) throw std::bad_alloc();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { ::inflateEnd(&stream_); }

  /// Goes on with as much of both as zlib counts in one call, and takes what it used off their fronts.
  int inflate(std::span<std::byte>& room, std::span<const std::byte>& packed) {
    // zlib never writes to its input.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream_.avail_in = counted(packed.size());
    stream_.next_out = reinterpret_cast<Bytef*>(room.data());
    stream_.avail_out = counted(room.size());
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    packed = packed.subspan(counted(packed.size()) - stream_.avail_in);
    room = room.subspan(counted(room.size()) - stream_.avail_out);
    return status;
  }

 private:
  static uInt counted(std::size_t bytes) {
    return static_cast<uInt>(std::min<std::size_t>(bytes, std::numeric_limits<uInt>::max()));
  }

  z_stream stream_{};
};

}  // namespace

Inflated inflate_into(std::span<std::byte> room, std::span<const std::byte> packed) {
  Stream stream;
  int status = Z_OK;
  while (status == Z_OK && !room.empty()) status = stream.inflate(room, packed);
  if (status == Z_OK) {
    // The end of the data may still have to be read; a byte more than there is room for may not be there.
    std::byte beyond{};
    std::span<std::byte> rest(&beyond, 1);
    while (status == Z_OK && !rest.empty()) status = stream.inflate(rest, packed);
    if (rest.empty()) return Inflated::TooLong;
  }
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status == Z_BUF_ERROR) return Inflated::Short;
  if (status != Z_STREAM_END) return Inflated::Damaged;
  if (!room.empty()) return Inflated::Short;
  return packed.empty() ? Inflated::Whole : Inflated::Damaged;
}

}  // namespace penstock::package
