"""What people talk to the server with. Of this repository they may import `streaming.protocol`."""
