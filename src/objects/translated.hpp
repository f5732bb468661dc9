#pragma once

#include "base/fail.hpp"

#include <exception>
#include <new>
#include <string>
#include <utility>

namespace penstock::objects {

/// Runs `work`, which is code of someone else: what it throws becomes an Error that begins with `what`.
template <class Work>
void translated(const std::string& what, Work&& work) {
  try {
    std::forward<Work>(work)();
  } catch (const Error& error) {
    throw Error(error.code(), what + ": " + error.what(), error.cuda_result());
  } catch (const std::bad_alloc&) {
    base::fail(ErrorCode::OutOfMemory, "{}: out of memory", what);
  } catch (const std::exception& error) {
    base::fail(ErrorCode::Internal, "{}: {}", what, error.what());
  } catch (...) {
    base::fail(ErrorCode::Internal, "{}: an exception of unknown type", what);
  }
}

}  // namespace penstock::objects
