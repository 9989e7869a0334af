"""Verified pushes, exact landings and honest claims for a shared infrastructure repository."""

__version__ = "0.2.0"
