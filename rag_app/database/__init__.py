"""Tables, engine, sessions, and the embedded server."""
