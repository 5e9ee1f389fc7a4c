"""An asyncio client of the Realtime WebSocket: sources of speech, one turn, and its measurements."""
