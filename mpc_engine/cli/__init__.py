"""The command line `mpc-engine`: what users could also do with :mod:`mpc_engine`, for people and scripts."""
