"""Measured ratios against named alternatives; run by `make bench`, never by the tests."""
