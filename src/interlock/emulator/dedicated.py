"""Dedicated endpoints: the client calls them as ``https://<dedicatedEndpointDns>/v1/…`` and nothing else.

So there is a port with TLS on loopback, from the first dedicated endpoint on, that hands everything on to the
emulator's own port. Its certificate is made once, ``<state>/tls/certificate.pem``, and clients have to be told to trust
it: ``REQUESTS_CA_BUNDLE``. The emulator answers for such an endpoint on its own port as well.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path

from interlock.emulator.relay import relay

_YEARS = 10


class DedicatedPort:
    """``address`` is where the emulator itself listens, ``folder`` that of the certificate."""

    def __init__(self, folder: Path, address: tuple[str, int]) -> None:
        self._folder = folder
        self._address = address
        self._dns = ""
        self._server: asyncio.Task[asyncio.Server] | None = None

    def dns(self) -> str:
        """What the client is told, ``localhost:…``; takes connections from now on."""
        if not self._dns:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*_certificate(self._folder))
            listener = socket.create_server(("127.0.0.1", 0))  # it listens: who comes before the task runs, waits
            self._server = asyncio.create_task(asyncio.start_server(self._hand_on, sock=listener, ssl=context))
            self._dns = f"localhost:{listener.getsockname()[1]}"
        return self._dns

    async def stop(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            (await self._server).close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, *self._address)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key for localhost, made if they are not there; only their owner can read the key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if certificate.exists() and key.exists():
        return certificate, key
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key.unlink(missing_ok=True)
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return certificate, key
