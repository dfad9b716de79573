"""Compares the service's books with the PSP's, and repairs what can be repaired for certain."""
