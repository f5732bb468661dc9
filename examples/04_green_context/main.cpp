// Gives a quarter of a GPU to one stream and what is left to another, and shows where their work runs:
//
//     example_04_green_context [DEVICE]
#include <penstock/error.hpp>
#include <penstock/partition.hpp>

#include <cstdlib>
#include <iostream>
#include <set>
#include <vector>

int main(int argc, char** argv) {
  try {
    const int device = argc > 1 ? std::atoi(argv[1]) : 0;
    const auto all = penstock::SmResource::of_device(device);
    std::cout << "cuda:" << device << " has " << all.sm_count() << " SMs, in parts of "
              << all.least_sm_count() << " or more\n";

    std::set<unsigned> seen;
    for (const penstock::SmResource& part : all.split("25%,rest")) {
      const auto context = penstock::GreenContext::create(part);
      // The stream holds its context: whoever has the stream needs nothing else.
      const penstock::Stream stream = context.create_stream();
      const std::vector<unsigned> blocks = penstock::probe_sms(stream);
      const std::set<unsigned> sms(blocks.begin(), blocks.end());
      std::cout << blocks.size() << " blocks ran on " << sms.size() << " of the " << context.sm_count()
                << " SMs of a partition\n";
      for (const unsigned sm : sms) {
        if (!seen.insert(sm).second) {
          std::cout << "SM " << sm << " ran blocks of two partitions\n";
          return 1;
        }
      }
    }
    return 0;
  } catch (const penstock::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
