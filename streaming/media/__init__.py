"""Sound and pictures as numbers: what the wire carries, becomes and bounds, and what is played.

Wire codecs, resampling, noise off, stretching; a jitter buffer in, a playout buffer out; still
images, sampled video, and video headers that claim too much.
"""
