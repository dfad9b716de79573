"""Telling endpoints what happened, until they have heard it."""
