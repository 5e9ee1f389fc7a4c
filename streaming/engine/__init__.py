"""The engine: the process that owns the networks, and what the gateway needs to talk to it."""
