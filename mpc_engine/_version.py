"""The one place that states the version: the build and ``mpc_engine.__version__`` read it."""

__version__ = "0.1.0"
