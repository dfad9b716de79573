"""Values, shapes and tables: no sockets, no clock, no subprocess."""
