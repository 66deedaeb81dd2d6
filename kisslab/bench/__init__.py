"""Measures every figure that this project claims, area by area."""
