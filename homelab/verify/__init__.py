"""Suites, keys, receipts, scratch checkouts, runs."""
