// bench_proxy_ours PACKAGE X RESULT BLOCKS CALLS run|direct: writes the result of one run as raw floats, then
// times runs, or calls of the operator's function alone.
#include "../common/blocks.hpp"
#include "../common/raw.hpp"

#include <penstock/penstock.hpp>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <string_view>

namespace {

// Not seen through, or a direct call of it would be no call.
[[gnu::noinline]] void nothing(penstock::OperatorCall& call) { asm volatile("" : : "r"(&call) : "memory"); }

}  // namespace

int main(int, char** argv) {
  try {
    std::vector<float> x = bench::read_floats(argv[2]);
    penstock::LoadOptions options;
    options.registry.add({.schema = "fixtures::nothing(Tensor(a!) x) -> ()", .run = nothing});
    const penstock::Model model = penstock::Model::load(penstock::Package::open(argv[1]), options);
    penstock::Session session(model, {.threads = 1});
    const penstock::TensorView input(x.data(), penstock::DType::Float32, {4, 4});

    std::FILE* result = std::fopen(argv[3], "wb");
    if (result == nullptr) throw std::runtime_error("cannot write the result");
    const penstock::Tensor output = session.run({&input, 1}).at(0);
    bench::write_floats(result, output.data_as<float>(), static_cast<std::size_t>(output.numel()));
    std::fclose(result);

    const int blocks = std::atoi(argv[4]);
    const int calls = std::atoi(argv[5]);
    if (std::string_view(argv[6]) == "run") {
      bench::time_blocks(blocks, calls, [&] { static_cast<void>(session.run_borrowed({&input, 1})); });
    } else {
      // Never looked at: there is no call.
      alignas(penstock::OperatorCall) std::byte memory[sizeof(penstock::OperatorCall)] = {};
      auto& call = *reinterpret_cast<penstock::OperatorCall*>(memory);
      const std::function<void(penstock::OperatorCall&)> function = nothing;
      bench::time_blocks(blocks, calls, [&] {
        for (int i = 0; i < 100; ++i) function(call);
      });
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
