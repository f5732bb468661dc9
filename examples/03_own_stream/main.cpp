// Orders work of two streams of one's own by an event, without the host waiting in between:
//
//     example_03_own_stream [DEVICE]
#include <penstock/error.hpp>
#include <penstock/stream.hpp>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  try {
    const int device = argc > 1 ? std::atoi(argv[1]) : 0;
    const penstock::StreamPriorities priorities = penstock::stream_priorities(device);
    const auto urgent = penstock::Stream::create({.device = device, .priority = priorities.greatest});
    const auto patient = penstock::Stream::create({.device = device, .priority = priorities.least});

    // Whatever is put on `patient` from here on begins when all that is on `urgent` by now is done.
    const auto event = penstock::Event::create({.device = device});
    event.record(urgent);
    patient.view().wait_for(event);
    patient.view().synchronize();

    for (const penstock::StreamView stream : {urgent.view(), patient.view()}) {
      std::cout << "a stream of " << to_string(stream.device()) << ", on " << stream.sm_count() << " SMs, "
                << (stream.is_done() ? "done" : "at work") << "\n";
    }
    return 0;
  } catch (const penstock::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
