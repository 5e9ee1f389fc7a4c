"""The real-time core: protocol, media, turns and the engine; no web framework."""
