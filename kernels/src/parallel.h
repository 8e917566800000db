// Runs independent parts of one job at the same time.
#pragma once
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace mpc_kernels {

// Calls part(0), ..., part(parts - 1), each once, and returns when all are done. `part` must not throw.
// A part for which the system grants no thread runs in the caller.
template <class Part>
void parallel(std::size_t parts, const Part& part) {
  std::vector<std::thread> threads;
  threads.reserve(parts);
  std::size_t next = 1;
  try {
    for (; next < parts; ++next) threads.emplace_back([&part, next] { part(next); });
  } catch (const std::system_error&) {
    for (std::size_t i = next; i < parts; ++i) part(i);
  }
  part(0);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace mpc_kernels
