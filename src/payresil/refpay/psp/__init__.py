"""The payment service provider, reached through its official SDK."""
