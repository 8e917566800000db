// The parts of the Python module; module.cc puts them together.
#pragma once
#include <nanobind/nanobind.h>

#include "mpc_kernels/isa.h"

void bind_arith(nanobind::module_& m, mpc_kernels::Isa isa);
void bind_rank(nanobind::module_& m, mpc_kernels::Isa isa);
void bind_prg(nanobind::module_& m, mpc_kernels::Isa isa);
void bind_bits(nanobind::module_& m, mpc_kernels::Isa isa);
