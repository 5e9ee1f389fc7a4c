"""What people talk to the server with. Imports nothing of this repository but `streaming.protocol`."""
