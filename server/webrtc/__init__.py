"""Calls over WebRTC: offer and answer, microphone, loudspeaker, camera and the event channel."""
