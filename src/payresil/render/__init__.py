"""Renderers: a verdict as text, JSON, JUnit or HTML."""
