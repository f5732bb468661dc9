#include "gpu.hpp"

#include <cstdio>
#include <cstring>

namespace penstock::testing {
namespace {

void print_error(const char* which, Session& session, const std::vector<Tensor>& inputs) {
  try {
    session.run(views_of(inputs));
    std::printf("%s: none\n", which);
  } catch (const Error& error) {
    std::printf("%s: %s %d: %s\n", which, std::string(error_code_name(error.code())).c_str(),
                error.cuda_result(), error.what());
  }
}

}  // namespace

int run_fault_child() {
  const std::vector<Tensor> inputs = inputs_of("add");
  Session session(load_on_gpu("add"));
  expect_recorded("add", session.run(views_of(inputs)));
  {
    const Stream stream = Stream::create();
    launch_fault(stream);
    print_error("first", session, inputs);
    print_error("second", session, inputs);
  }
  return 0;
}

}  // namespace penstock::testing

int main(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "--fault-child") == 0)
    return penstock::testing::run_fault_child();
  ::testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
