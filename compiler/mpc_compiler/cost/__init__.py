"""Cost model: rounds and bytes of operations, link profiles, estimates for SPU programs. Imports no jax."""

from mpc_compiler.cost.model import FAR, LAN, LINKS, LOOPBACK, NEAR, WAN, ZERO, Cost, Link, LinkProfile, seconds

__all__ = ["FAR", "LAN", "LINKS", "LOOPBACK", "NEAR", "WAN", "ZERO", "Cost", "Link", "LinkProfile", "seconds"]
