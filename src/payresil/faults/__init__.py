"""Faults: one file each, healing beside injecting."""
