"""Databases that replicate: members, their standing, the archive of their log, restoring from it.

It knows of folders, addresses and URLs, and nothing of topologies.
"""
