"""The real-time core: protocol, media, turns and engine. No web framework in here."""
