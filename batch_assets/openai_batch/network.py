"""What the environment says of the way to the server, checked before anything is sent.

A proxy and certificates as other programs take them, and the headers that the SDK adds. What is
wrong with them is said here: the libraries would quote a value, which may be a secret.
"""

import os
import re
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpcore2
import httpx2

from batch_assets.domain.addresses import is_loopback
from batch_assets.domain.errors import ConfigurationError

_HEADERS = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
_HEADER_NAME = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def proxy_of(base_url: str) -> httpx2.Proxy | None:
    """The proxy that the environment has for a server; `None` for one on this machine.

    ConfigurationError if what it names is no proxy.
    """
    name = proxy_variable(base_url)
    if name is None:
        return None
    proxies = getproxies_environment()
    url = proxies[name.removesuffix("_PROXY").lower()]
    try:
        whole = url if "://" in url else f"http://{url}"
        proxy = httpx2.Proxy(whole)
        usable = bool(urlsplit(whole).hostname) and proxy.url.scheme in {"http", "https"}
    except (httpx2.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{name} is no address of a proxy: set it to one such as http://proxy.example:3128, "
            "or take it away."
        )
    return proxy


def proxy_variable(base_url: str) -> str | None:
    """The name of the variable, in capitals, that names the proxy for a server."""
    parts = urlsplit(base_url)
    proxies = getproxies_environment()
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc, proxies):
        return None
    return next(
        (f"{name.upper()}_PROXY" for name in (parts.scheme, "all") if name in proxies), None
    )


def trusted(base_url: str) -> ssl.SSLContext:
    """Whose certificates are believed: those of the environment, or this machine's.

    ConfigurationError if the environment names some that cannot be read.
    """
    if urlsplit(base_url).scheme == "http":
        # Reading a hundred certificates takes a while, and none is asked for.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpcore2.default_ssl_context()
    except OSError:
        name = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
        if name is None:
            raise
    raise ConfigurationError(
        f"{name} names no certificates that can be read: set it to a file in PEM format, or take "
        "it away."
    )


def check_headers() -> None:
    """ConfigurationError if the SDK would send a header that none can be."""
    for name in _HEADERS:
        value = os.environ.get(name, "")
        is_custom = name == "OPENAI_CUSTOM_HEADERS"
        lines = value.split("\n") if is_custom else [value]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise ConfigurationError(
                f"{name} holds a line break or another character that no header has: set it to "
                "the value alone, or take it away."
            )
        # The SDK leaves out a line without a colon.
        names = [line.partition(":")[0].strip() for line in lines if ":" in line]
        if is_custom and not all(map(_HEADER_NAME.fullmatch, names)):
            raise ConfigurationError(
                f"{name} holds a name that no header has: give each header a line of its own, as "
                "in `Name: value`, or take it away."
            )
