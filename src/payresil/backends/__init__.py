"""Backends: ways to make a topology real."""
