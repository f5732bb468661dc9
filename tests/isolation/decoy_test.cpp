// decoy_test PACKAGES NAME...: runs packages in a process whose global scope has decoys of the names that
// they import (it is linked to them, so they come before everything else).

#include "agree.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  for (const char* name :
       {"aoti_torch_get_sizes", "GOMP_parallel", "Sleef_expf8_u10", "AOTInductorModelContainerRun"}) {
    if (::dlsym(RTLD_DEFAULT, name) == nullptr) {
      std::printf("the decoy of %s is not there, so this test would show nothing\n", name);
      return 2;
    }
  }
  for (int i = 2; i < argc; ++i) {
    const std::string problem = penstock::isolation::disagreement(std::string(argv[1]) + "/" + argv[i]);
    if (!problem.empty()) {
      std::printf("%s: %s\n", argv[i], problem.c_str());
      return 1;
    }
  }
  return 0;
}
