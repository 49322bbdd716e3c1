"""The text of an API key, `lp_<key_id>_<secret>`, and the only thing that is stored of its secret."""

import re
from hashlib import sha256
from hmac import compare_digest
from typing import Final

KEY_ID_CHARS: Final = 12
KEY_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_API_KEY: Final = re.compile(r"lp_([a-z0-9]{12})_([A-Za-z0-9_-]{32,128})")


def format_api_key(key_id: str, secret: str) -> str:
    """The text that a caller presents; inverse of `parse_api_key`."""
    return f"lp_{key_id}_{secret}"


def parse_api_key(text: str) -> tuple[str, str] | None:
    """Split into (key_id, secret); None if the text has not the form of an API key."""
    match = _API_KEY.fullmatch(text)
    return (match[1], match[2]) if match else None


def hash_secret(secret: str) -> bytes:
    """SHA-256, 32 bytes; no salt or stretching, because the secret is random and long."""
    return sha256(secret.encode()).digest()


def secret_matches(secret: str, secret_sha256: bytes) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return compare_digest(hash_secret(secret), secret_sha256)
