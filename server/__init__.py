"""The gateway: settings, HTTP and WebSocket transports that only pump, and the command line."""
