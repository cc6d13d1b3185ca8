"""Who vouches for a version: an Ed25519 signature over the digests of all its files.

Digests in the manifest show that files belong together; whoever can write the bucket can replace them together. The
signature shows that the holder of a key wrote them: at registration, after every gate, so that evaluation, gate report
and data verdict are covered like the model. It is optional; ``signing`` in the config says who must have signed.

The signed text is one line per file, as ``sha256sum`` writes it, under a first line that names its purpose.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.contracts import ModelSignature, read_contract, write_contract
from interlock.errors import ConfigError, GateFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE = "model_signature.json"
PURPOSE = "interlock model-signature/v1"


def sign_folder(folder: Path, private_key: bytes, public_keys: Sequence[str] = ()) -> ModelSignature:
    """Sign the files of ``folder`` (flat) with a PEM key and write the signature beside them.

    :class:`ConfigError` when the key is no Ed25519 key, or none of ``public_keys`` (if there are any) would accept it.
    """
    key = _private(private_key)
    name = key_name(key.public_key())
    known = [key_name(_public(text)) for text in public_keys]
    if known and name not in known:
        raise ConfigError(
            f"signing.private_key is {name}, signing.public_keys has {', '.join(known)}: no deployment would accept "
            "what it signs; add its public key"
        )
    files = _digests(folder)
    value = base64.b64encode(key.sign(_text(files))).decode()
    signature = ModelSignature(key=name, files=files, value=value)
    write_contract(signature, folder / FILE)
    return signature


def verify_folder(folder: Path, public_keys: Sequence[str], what: str) -> str:
    """The name of the key that signed the files of ``folder``; :class:`GateFailed` unless one of ``public_keys`` did.

    ``what`` is who is refused, for the message.
    """
    if not (folder / FILE).is_file():
        raise GateFailed(
            f"{what} is not signed, and the config says require_signature: not deployed; register it again"
        )
    signature = read_contract(folder / FILE, ModelSignature)
    keys = {key_name(public): public for public in map(_public, public_keys)}
    if signature.key not in keys:
        accepted = ", ".join(keys) or "none"
        raise GateFailed(f"{what} is signed by {signature.key}, accepted are {accepted}: not deployed")
    actual = _digests(folder)
    changed = sorted({name for name, _ in set(actual.items()) ^ set(signature.files.items())})
    if changed:
        raise GateFailed(
            f"{what}: {', '.join(changed)} changed after it was signed by {signature.key}: not deployed; "
            "register it again"
        )
    if not _is_signed(keys[signature.key], signature):
        raise GateFailed(f"{what}: the signature by {signature.key} is forged or broken: not deployed")
    return signature.key


def key_name(public: Ed25519PublicKey) -> str:
    """Sixteen hex digits that tell keys apart: the beginning of the SHA-256 of the 32 raw bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def _is_signed(public: Ed25519PublicKey, signature: ModelSignature) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(base64.b64decode(signature.value, validate=True), _text(signature.files))
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _text(files: Mapping[str, str]) -> bytes:
    return "\n".join([PURPOSE, *(f"{digest}  {name}" for name, digest in sorted(files.items())), ""]).encode()


def _digests(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != FILE]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _private(pem: bytes) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"signing.private_key cannot be read: {error}; make one: {_MAKE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"signing.private_key is not an Ed25519 key; make one: {_MAKE}")
    return key


def _public(pem: str) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"signing.public_keys: {error}; print one: openssl pkey -in key.pem -pubout") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("signing.public_keys: not an Ed25519 key; print one: openssl pkey -in key.pem -pubout")
    return key


_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem"
