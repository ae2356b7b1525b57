"""Decoding of compressed request bodies, with a bound on their size."""

import zlib

from serve.errors import BodyTooLarge, InvalidContentEncoding, UnsupportedEncoding

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # zlib finds out which of the two it is
SUPPORTED = ("gzip", "x-gzip", "deflate")


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body without its content encoding.

    Args:
        body: as it was received.
        encoding: the header Content-Encoding; empty if there is none.
        limit: most bytes that the result may have.

    Raises:
        UnsupportedEncoding: it is not gzip or deflate.
        InvalidContentEncoding: the body is not what the header says.
        BodyTooLarge: the result has more bytes.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in SUPPORTED:
        raise UnsupportedEncoding("send the body as it is, or with content-encoding: gzip")
    inflater = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        found = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidContentEncoding(f"the body is not {SUPPORTED[0]} or deflate") from None
    if len(found) > limit:
        raise BodyTooLarge(f"the body has more than {limit} bytes once it is decompressed")
    if not inflater.eof or inflater.unused_data:
        raise InvalidContentEncoding("the compressed body is incomplete, or something follows it")
    return found
