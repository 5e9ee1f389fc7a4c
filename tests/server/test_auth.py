"""Keys and secrets: kept as digests, compared whole, gone in time."""

import hashlib
import hmac

import pytest

from server.auth import ApiKeys, ClientSecrets, digest_of, identify
from server.errors import SettingsError, TooManySecretsError, UnauthorizedError
from server.gateway import Gateway
from server.settings import load_settings
from tests.server.webrtc.rig import ScriptedEngine

KEY = "sk-a-key-that-is-long"


class Clock:
    def __init__(self):
        self.now_s = 1_000

    def __call__(self):
        return self.now_s


def secrets(max_secrets=10):
    clock = Clock()
    return ClientSecrets(max_secrets=max_secrets, clock=clock), clock


def test_a_server_without_keys_is_open():
    kept, _ = secrets()
    assert identify(ApiKeys(), kept, None).owner is None
    assert identify(ApiKeys(), kept, "whatever").owner is None


def test_a_key_is_known_as_it_is_and_by_its_digest():
    kept, _ = secrets()
    hashed = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
    owners = {identify(ApiKeys([key]), kept, KEY).owner for key in (KEY, hashed)}
    assert len(owners) == 1
    assert None not in owners


@pytest.mark.parametrize(
    "key",
    [None, "", "sk-another-key-entirely", KEY + "x", hashlib.sha256(KEY.encode()).hexdigest()],
)
def test_other_keys_are_not(key):
    kept, _ = secrets()
    with pytest.raises(UnauthorizedError):
        identify(ApiKeys([KEY]), kept, key)


def test_nothing_keeps_a_key_as_it_is():
    keys = ApiKeys([KEY])
    kept, _ = secrets()
    value, _ = kept.mint("me", {"type": "realtime"}, 60)
    seen = repr(vars(keys)) + repr(vars(kept)) + repr(keys.owner_of(KEY))
    assert KEY not in seen
    assert value not in seen


def test_every_key_is_compared_in_constant_time(monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    ApiKeys([KEY, "sk-the-second-key", "sk-the-third-key"]).owner_of(KEY)
    assert compared == [digest_of(k) for k in (KEY, "sk-the-second-key", "sk-the-third-key")]


@pytest.mark.parametrize("key", ["short", "ek_looks-like-a-secret", "sha256:abcd"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key):
    with pytest.raises(SettingsError, match="OMNILIVE_API_KEYS") as error:
        ApiKeys([key])
    assert key not in str(error.value)


def test_a_bad_key_is_blamed_on_the_setting_that_has_it():
    settings = load_settings(admin_key="short", api_keys=KEY)
    with pytest.raises(SettingsError, match="--admin-key / OMNILIVE_ADMIN_KEY: ") as error:
        Gateway(settings=settings, engine=ScriptedEngine())
    assert "api" not in str(error.value)


def test_a_secret_expires_and_is_forgotten():
    kept, clock = secrets()
    value, expires_at_s = kept.mint("me", {"type": "realtime"}, 60)
    assert expires_at_s == 1_060
    identity = identify(ApiKeys([KEY]), kept, value)
    assert (identity.owner, identity.is_secret) == ("me", True)
    assert identity.session == {"type": "realtime"}
    clock.now_s = 1_060
    with pytest.raises(UnauthorizedError, match="expired"):
        identify(ApiKeys([KEY]), kept, value)
    assert len(kept) == 0


def test_an_unknown_secret_is_refused_on_an_open_server_too():
    kept, _ = secrets()
    with pytest.raises(UnauthorizedError):
        identify(ApiKeys(), kept, "ek_made-up")


def test_secrets_are_bounded_and_expired_ones_make_room():
    kept, clock = secrets(max_secrets=2)
    kept.mint(None, None, 10)
    kept.mint(None, None, 60)
    with pytest.raises(TooManySecretsError, match=r"2 .*max_client_secrets"):
        kept.mint(None, None, 60)
    clock.now_s += 10
    kept.mint(None, None, 60)
    assert len(kept) == 2
