"""The OpenAI Realtime API in its GA form, sans-I/O: frames in, events and commands out."""
