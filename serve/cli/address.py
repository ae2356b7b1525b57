"""Addresses of a server as text."""


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL: an IPv6 address stands in brackets."""
    if ":" not in host:
        return f"{host}:{port}"
    return f"[{host.replace('%', '%25')}]:{port}"  # RFC 6874: the zone of a link-local address


def url_of(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://{authority(host, port)}"
