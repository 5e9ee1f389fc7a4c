"""The bodies of HTTP requests: what cannot be read is refused in the API's own form."""

import pytest

from tests.server.webrtc.rig import calling

SECRETS = "/v1/realtime/client_secrets"
COMPLETIONS = "/v1/chat/completions"
CALLS = "/v1/realtime/calls"


def nested(depth):
    return '{"a":' * depth + "0" + "}" * depth


async def refused(rig, path, body):
    """What is said of a JSON body; of a call, of the session in its form."""
    if path == CALLS:
        form = {"sdp": (None, "v=0"), "session": (None, body)}
        reply = await rig.http.post(path, files=form)
    else:
        reply = await rig.http.post(path, content=body)
    error = reply.json()["error"]
    assert {"message", "type", "code", "param"} == set(error)
    assert error["type"] == "invalid_request_error"
    return reply.status_code, error


@pytest.mark.parametrize("depth", [65, 300, 1_010, 5_000])
@pytest.mark.parametrize("path", [SECRETS, COMPLETIONS, CALLS])
async def test_a_body_is_so_deep_and_no_deeper(path, depth):
    async with calling() as rig:
        status, error = await refused(rig, path, nested(depth))
        assert (status, error["code"]) == (400, "invalid_json")
        assert "more than 64 levels deep" in error["message"]


NO_OBJECTS = ("{", "[]", "7", "null")


# A secret may be asked for without a body.
@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, "") for path in (COMPLETIONS, CALLS)),
        *((path, body) for path in (SECRETS, COMPLETIONS, CALLS) for body in NO_OBJECTS),
    ],
)
async def test_a_body_is_an_object(path, body):
    async with calling() as rig:
        status, error = await refused(rig, path, body)
        assert (status, error["code"]) == (400, "invalid_json")
        assert ("The part 'session'" if path == CALLS else "The body") in error["message"]
        wanted = "is not JSON" if body in ("", "{") else "is JSON, but not an object"
        assert wanted in error["message"]
