"""Tests of the engine; a package so that they can share :mod:`tests.strategies` and the like."""
