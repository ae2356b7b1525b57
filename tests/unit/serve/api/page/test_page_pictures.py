"""Pictures of the page: each has its size, and its own content."""

import struct
from pathlib import Path

from support.page.pictures import PICTURES, take_pictures

SIZE = struct.Struct(">II")  # in a PNG, from byte 16


def test_every_picture_is_taken(tmp_path: Path) -> None:
    bodies = [path.read_bytes() for path in take_pictures(tmp_path)]
    sizes = [SIZE.unpack_from(body, 16) for body in bodies]
    assert sizes == [(picture.width, picture.height) for picture in PICTURES]
    assert len(set(bodies)) == len(PICTURES)
