"""Packing folders of frames into one file: an LMDB as BasicSR's and KAIR's, or a TFRecord file."""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.image import encode_image, image_header, list_images, read_image
from ascendcv.dataloader.stored import open_frame
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path

_MAP_SIZE = 1 << 40  # bytes that an LMDB may grow to; the file is as long as what is in it
_BATCH = 100  # frames that are written at once


class Entry(NamedTuple):
    """A frame: its key (000/00000000), the bytes of a PNG file, and (height, width, channels)."""

    key: str
    png: bytes
    shape: tuple[int, int, int]


def entries_of(folder: Path) -> Iterator[Entry]:
    """The frames of all clips in a folder, in the order of their keys; those that are no PNG become one."""
    found = []
    for name, clip in folders_of_frames(folder, "").items():
        found += [(f"{name}/{path.stem}" if name else path.stem, path) for path in list_images(clip)[0]]
    for key, path in sorted(found):
        header = image_header(path)
        with open_frame(path) as file:
            data = file.read()
        if not data.startswith(b"\x89PNG"):
            data = encode_image(read_image(path), ".png")
        yield Entry(key, data, (header.height, header.width, header.channels))


def write_lmdb(path: Path, frames: Iterable[Entry]) -> int:
    """Writes an LMDB with meta_info.txt, which appears when it is complete; returns how many frames it has.

    Raises `InputError` where the library `lmdb` is missing.
    """
    try:
        import lmdb
    except ImportError:
        raise InputError("writing an LMDB needs the library lmdb: pip install 'ascendvsr[lmdb]'") from None
    count = 0
    with (
        atomic_folder(path) as temporary,
        lmdb.open(str(temporary), map_size=_MAP_SIZE) as environment,
        open(temporary / "meta_info.txt", "w", encoding="utf-8", errors="surrogateescape") as lines,
    ):
        frames = iter(frames)
        while batch := list(itertools.islice(frames, _BATCH)):
            with environment.begin(write=True) as transaction:
                for entry in batch:
                    transaction.put(os.fsencode(entry.key), entry.png)
                    lines.write(f"{entry.key}.png ({','.join(map(str, entry.shape))}) 1\n")
            count += len(batch)
    return count


def write_tfrecord(path: Path, frames: Iterable[Entry]) -> int:
    """Writes a TFRecord file, a `tf.train.Example` per frame: key, image (PNG), shape. Returns how many it has."""
    from ascendcv.utils.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    def bytes_feature(value: bytes) -> "tf.train.Feature":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    count = 0
    with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for entry in frames:
            features = {
                "key": bytes_feature(os.fsencode(entry.key)),
                "image": bytes_feature(entry.png),
                "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=entry.shape)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))
            count += 1
    return count
