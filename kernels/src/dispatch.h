// Compiles one loop for every instruction set and picks at run time: MPC_DISPATCH(name, (parameters), (arguments))
// defines `void name(parameters..., Isa isa)` from an always-inlined `name_loop(parameters...)`.
#pragma once
#include "mpc_kernels/isa.h"

#define MPC_LOOP static inline __attribute__((always_inline))
#define MPC_UNPACK_(...) __VA_ARGS__

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
#define MPC_TARGET_512 __attribute__((target("avx512f,prefer-vector-width=512")))
#else
#define MPC_TARGET_512 __attribute__((target("avx512f")))
#endif
#define MPC_DISPATCH(name, parameters, arguments)                                                        \
  static void name##_portable parameters { name##_loop arguments; }                                      \
  __attribute__((target("avx2"))) static void name##_avx2 parameters { name##_loop arguments; }          \
  MPC_TARGET_512 static void name##_avx512 parameters { name##_loop arguments; }                         \
  void name(MPC_UNPACK_ parameters, Isa isa) {                                                            \
    if (has_avx512(isa)) return name##_avx512 arguments;                                                 \
    if (isa == Isa::avx2) return name##_avx2 arguments;                                                  \
    name##_portable arguments;                                                                           \
  }
#else
#define MPC_DISPATCH(name, parameters, arguments) \
  void name(MPC_UNPACK_ parameters, Isa) { name##_loop arguments; }
#endif
