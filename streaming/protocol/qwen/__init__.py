"""The dialect of Qwen-Omni-Realtime, as a layer around the session of the GA protocol."""
