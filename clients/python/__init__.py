"""An asyncio client of the Realtime WebSocket: sources of speech, turns, measurements."""
