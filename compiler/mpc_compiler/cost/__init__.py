"""Cost model: rounds and bytes of operations, link profiles, estimates for SPU programs. Imports no jax."""

from mpc_compiler.cost.model import LAN, LOOPBACK, WAN, ZERO, Cost, LinkProfile, seconds

__all__ = ["LAN", "LOOPBACK", "WAN", "ZERO", "Cost", "LinkProfile", "seconds"]
