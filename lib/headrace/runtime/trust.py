"""What the machine trusts, for a Java that does not know it.

A Java from the Python package index brings certificates of its own; behind a company's proxy, or with a private
mirror, the machine's own bundle is the one that counts.
"""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
BEGIN = b"-----BEGIN CERTIFICATE-----"
PASSWORD = "changeit"  # certificates are public; Java asks for a password all the same


def bundle(env: Mapping[str, str] = os.environ) -> Path | None:
    """The machine's file of certificates."""
    named = (env.get("SSL_CERT_FILE"), env.get("PIP_CERT"), ssl.get_default_verify_paths().cafile, *BUNDLES)
    return next((Path(name) for name in named if name and Path(name).is_file()), None)


def java_options(folder: Path, env: Mapping[str, str] = os.environ) -> str | None:
    """Write the machine's certificates where Java can read them; options of Java that say so, or None without any."""
    source = bundle(env)
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
    except ImportError:
        return None
    if source is None:
        return None
    certificates = []
    with warnings.catch_warnings(action="ignore"):  # on certificates older than today's rules
        for number, part in enumerate(source.read_bytes().split(BEGIN)[1:]):
            try:
                found = x509.load_pem_x509_certificate(BEGIN + part)
            except ValueError:  # not well formed; Java would refuse it as well
                continue
            certificates.append(pkcs12.PKCS12Certificate(found, b"ca%d" % number))
    if not certificates:
        return None
    store = folder / "trust.p12"
    store.write_bytes(pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(PASSWORD.encode())))
    trust = "-Djavax.net.ssl.trustStore"
    return f"{trust}={store} {trust}Type=PKCS12 {trust}Password={PASSWORD}"
