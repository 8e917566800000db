// Working memory for shares, overwritten before it is given back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace mpc_kernels {

class Scratch {
 public:
  explicit Scratch(std::size_t size) : size_(size), data_(new std::uint64_t[size]) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (size_ == 0) return;
    std::memset(data_.get(), 0, size_ * sizeof(std::uint64_t));
    // Without this the compiler may drop a write to memory that is about to be freed.
    __asm__ __volatile__("" : : "r"(data_.get()) : "memory");
  }
  std::uint64_t* data() noexcept { return data_.get(); }

 private:
  std::size_t size_;
  std::unique_ptr<std::uint64_t[]> data_;
};

}  // namespace mpc_kernels
