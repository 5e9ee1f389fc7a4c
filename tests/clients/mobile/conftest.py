"""The SDK's tests share the tiny server of the gateway's."""

from tests.server.conftest import serving, tiny_server

__all__ = ["serving", "tiny_server"]
