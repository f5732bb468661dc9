#pragma once

#include "contract/machine.hpp"
#include "contract/operator_recording.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace penstock::contract {

using Call = std::function<AOTITorchError(OperatorCase&)>;
using Handle = AtenTensorHandle;
using Int = std::int64_t;
using Flag = std::int32_t;

/// The function that answers an import, called with `arguments`.
template <class... Arguments>
AOTITorchError call(const std::string& name, Arguments... arguments) {
  void* const address = machine().function(name);
  EXPECT_NE(address, nullptr) << name;
  if (address == nullptr) return 1;
  machine().begin_call();
  const AOTITorchError code = reinterpret_cast<AOTITorchError (*)(Arguments...)>(address)(arguments...);
  machine().end_call();
  return code;
}

inline Int number(const OperatorCase& one, const char* name) { return one.json().at(name).get<Int>(); }
inline Flag flag(const OperatorCase& one, const char* name) {
  return one.json().at(name).get<bool>() ? 1 : 0;
}

/// Runs every case of a recording with the call of its operator.
inline void run_recording(const std::string& name, const std::map<std::string, Call>& calls) {
  const OperatorRecording recording(name);
  ASSERT_FALSE(recording.cases().empty());
  for (const auto& one : recording.cases()) {
    machine().run_case(
        one, [&] { OperatorCase(recording, one).check(calls.at(one.at("op").get<std::string>())); });
  }
}

}  // namespace penstock::contract
