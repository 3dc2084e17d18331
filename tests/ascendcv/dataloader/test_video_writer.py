"""A video that is written holds what the frames were: times, colors, pixel format, shape of pixels."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_picture
from ascendcv.dataloader.video_color import layout_of
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture, remux

MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
BARS = np.array([*itertools.product([0.0, 1.0], repeat=3), (0.5, 0.5, 0.5), (0.75, 0.25, 0.1)])
BAR = 24  # pixels wide


def restore(source: Path, target: Path, change=lambda pixels: pixels, settings=None, **options) -> list[str]:
    given = open_source(source, **options)
    sink = open_sink(target, like=given.footage, **(settings or {}))
    with sink as write:
        for frame in given:
            write(frame.name, change(frame.pixels), frame)
    return [*given.notes, *sink.notes]


def to_codes(rgb: np.ndarray, matrix: int, full: bool, bits: int) -> np.ndarray:
    """ITU-T H.273 in float64: RGB in 0..1 -> Y, Cb, Cr, not rounded."""
    red, blue = MATRICES[matrix]
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = [(rgb[..., 2] - luma) / (2 * (1 - blue)), (rgb[..., 0] - luma) / (2 * (1 - red))]
    scale, peak = 1 << (bits - 8), (1 << bits) - 1
    if full:
        return np.stack([luma * peak, *(part * peak + 128 * scale for part in chroma)], -1)
    return np.stack([(luma * 219 + 16) * scale, *((part * 224 + 128) * scale for part in chroma)], -1)


def to_rgb(codes: np.ndarray, matrix: int, full: bool, bits: int) -> np.ndarray:
    """The inverse of `to_codes`, clipped to 0..1."""
    red, blue = MATRICES[matrix]
    scale, peak = 1 << (bits - 8), (1 << bits) - 1
    luma = codes[..., 0] / peak if full else (codes[..., 0] / scale - 16) / 219
    blue_part, red_part = ((codes[..., c] - 128 * scale) / (peak if full else 224 * scale) for c in (1, 2))
    r, b = luma + 2 * (1 - red) * red_part, luma + 2 * (1 - blue) * blue_part
    return np.clip(np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], -1), 0, 1)


def bars_frame(pixel_format: str, codes: np.ndarray) -> av.VideoFrame:
    """Bars of constant Y, Cb, Cr (or G, B, R) in a planar format."""
    frame = av.VideoFrame(BAR * len(codes), 48, pixel_format)
    for channel, plane in enumerate(frame.planes):
        dtype = np.dtype("u1" if frame.format.components[0].bits == 8 else "<u2")
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        line = codes[:, channel].repeat(BAR * plane.width // frame.width)
        rows[:, : plane.width] = line.astype(dtype)
    return frame


def middles(planes: np.ndarray) -> np.ndarray:
    """[bars, 8, C] of [H, W, C]: what is 8 pixels from a bar's edges."""
    columns = planes[24].reshape(len(BARS), BAR, -1)
    return columns[:, 8:-8]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "rgb"])
def test_color_bars_come_back_within_one_code_value_of_float64(tmp_path, chroma, matrix, full, bits):
    deep = "" if bits == 8 else f"{bits}le"
    pixel_format = f"gbrp{deep}" if chroma == "rgb" else f"yuv{chroma}p{deep}"
    peak = (1 << bits) - 1
    tags = (0, 2, 13, 1) if chroma == "rgb" else (matrix, 2 if full else 1, 14 if matrix == 9 else 1, matrix)
    if chroma == "rgb":
        codes = np.rint(BARS[:, [1, 2, 0]] * peak)
        expected = codes[:, [2, 0, 1]] / peak
    else:
        codes = np.clip(np.rint(to_codes(BARS, matrix, full, bits)), 0, peak)
        expected = to_rgb(codes, matrix, full, bits)
    frames = [bars_frame(pixel_format, codes)] * 2
    make_video(
        tmp_path / "in.mkv",
        codec="ffv1" if chroma != "rgb" or bits > 8 else "libx265",
        planes=frames,
        pixel_format=pixel_format,
        tags=tags,
    )
    source = open_source(tmp_path / "in.mkv")
    unit = 255 if source.footage.bits == 8 else 65535
    for _, pixels in source:
        read = middles(pixels) / unit
        assert np.abs(read - expected[:, np.newaxis]).max() * peak <= 1
    codec = "hevc" if chroma == "rgb" else "ffv1"
    settings = {"codec": codec} | ({"crf": 0} if codec == "hevc" else {})
    restore(tmp_path / "in.mkv", tmp_path / "out.mkv", settings=settings)
    again = open_source(tmp_path / "out.mkv")
    for _, pixels in again:
        assert np.abs(middles(pixels) / unit - expected[:, np.newaxis]).max() * peak <= 2
    with av.open(str(tmp_path / "out.mkv")) as container:
        frame = next(container.decode(video=0))
    written_bits = 10 if matrix == 9 and chroma != "rgb" else bits  # BT.2020 is written with 10 bits or more
    assert frame.format.name == pixel_format.removesuffix("10le") + ("10le" if written_bits == 10 else "")
    if chroma == "rgb":
        return
    assert (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries) == tags
    centers = BAR // 2 + BAR * np.arange(len(BARS))
    wanted = to_codes(pixels[24, centers] / unit, matrix, full, written_bits)
    stored = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, "u1" if written_bits == 8 else "<u2").reshape(plane.height, -1)
        stored.append(rows[plane.height // 2, centers * plane.width // frame.width])
    assert np.abs(np.stack(stored, -1) - np.clip(wanted, 0, (1 << written_bits) - 1)).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(720, 1), (576, 6)])
def test_a_missing_matrix_follows_the_size_whatever_else_is_tagged(tmp_path, height, matrix):
    """720 lines with transfer and primaries alone: pure green is (0, 189, 0) and not (13, 222, 3)."""
    green = np.array([0, 189, 0]) / 255
    codes = np.rint(to_codes(green, matrix, False, 8))
    frame = bars_frame("yuv420p", np.tile(codes, (4, 1)))
    frame = frame.reformat(width=96, height=height)
    make_video(tmp_path / "v.mkv", planes=[frame], codec="ffv1", tags=(2, 1, 1, 1))
    ((_, pixels),) = open_source(tmp_path / "v.mkv")
    np.testing.assert_allclose(pixels[height // 2, 48], [0, 189, 0], atol=1)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
def test_all_four_tags_are_written_even_if_none_came(tmp_path, ending):
    make_video(tmp_path / "in.mkv")
    restore(tmp_path / "in.mkv", tmp_path / f"out.{ending}")
    with av.open(str(tmp_path / f"out.{ending}")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_range, context.color_trc, context.color_primaries)
    assert tags == (6, 1, 6, 6)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_hdr_stays_hdr(tmp_path, codec):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    options = {"x265-params": f"log-level=none:master-display={display}:max-cll=1000,400"}
    make_video(
        tmp_path / "in.mkv",
        moving_picture(5, 64, 64),
        codec="libx265",
        pixel_format="yuv420p10le",
        tags=(9, 1, 16, 9),
        options=options,
    )
    notes = restore(tmp_path / "in.mkv", tmp_path / "out.mp4", settings={"codec": codec})
    assert any("PQ and BT.2020" in note for note in notes)
    colors = [open_source(tmp_path / name).footage.color for name in ("in.mkv", "out.mp4")]
    assert (colors[1].matrix, colors[1].full_range, colors[1].transfer, colors[1].primaries) == (9, False, 16, 9)
    assert colors[1].content_light == colors[0].content_light == (1000, 400)
    np.testing.assert_allclose(
        [float(value) for value in colors[1].mastering_display],
        [float(value) for value in colors[0].mastering_display],
        rtol=1e-3,
    )
    assert open_source(tmp_path / "out.mp4").footage.pixel_format == "yuv420p10le"


def test_hdr_frames_of_a_folder_tell_their_colors(tmp_path):
    make_video(tmp_path / "in.mkv", pixel_format="yuv420p10le", tags=(9, 1, 16, 9))
    restore(tmp_path / "in.mkv", tmp_path / "out")
    picture = read_picture(tmp_path / "out" / "00000000.png")
    assert (picture.pixels.dtype, picture.tags.cicp) == (np.uint16, (9, 16, 0, 1))
    notes = restore(tmp_path / "in.mkv", tmp_path / "tiff", settings={"image_format": "tiff"})
    assert any("only PNG files can tell the colors" in note for note in notes)


def test_wide_gamut_of_8_bits_is_written_with_10(tmp_path):
    make_video(tmp_path / "in.mp4", tags=(1, 1, 1, 12))
    notes = restore(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert any("Display P3" in note for note in notes)
    footage = open_source(tmp_path / "out.mp4").footage
    assert (footage.pixel_format, footage.color.primaries) == ("yuv420p10le", 12)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "target", "expected"),
    [
        ("libx264", "yuv422p", "out.mp4", ("h264", "yuv422p")),
        ("libx264", "yuv444p", "out.mov", ("h264", "yuv444p")),
        ("libx264", "yuv422p10le", "out.mkv", ("h264", "yuv422p10le")),
        ("libx265", "yuv420p12le", "out.mp4", ("hevc", "yuv420p12le")),
        ("libx265", "gbrp10le", "out.mp4", ("hevc", "gbrp10le")),
        ("libx264rgb", "rgb24", "out.mp4", ("h264", "gbrp")),
        ("ffv1", "yuv444p16le", "out.mkv", ("ffv1", "yuv444p16le")),
        ("libx264", "yuv420p10le", "out.webm", ("av1", "yuv420p10le")),
        ("libvpx-vp9", "yuv444p", "out.webm", ("vp9", "yuv444p")),
    ],
)
def test_pixels_stay_what_they_are(tmp_path, codec, pixel_format, target, expected):
    make_video(tmp_path / "in.mkv", moving_picture(5, 64, 64), codec=codec, pixel_format=pixel_format)
    notes = restore(tmp_path / "in.mkv", tmp_path / target)
    with av.open(str(tmp_path / target)) as container:
        video = container.streams.video[0]
        found = (
            video.codec_context.name.removeprefix("lib").replace("dav1d", "av1"),
            next(container.decode(video)).format.name,
        )
    assert found == expected
    exchanged = expected[0] not in ("h264", "vp9")
    assert any("because" in note for note in notes) == exchanged


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mkv", "vp9.webm", "ffv1.mkv", "av1.mp4", "prores.mov"])
@pytest.mark.parametrize("chroma", ["420", "422"])
@pytest.mark.parametrize("depth", [8, 10])
def test_chroma_stays_where_it_is(tmp_path, name, chroma, depth):
    """Two colors that change into each other: half a pixel further they would differ by 2 of 255."""
    ramp = np.zeros((64, 256, 3))
    ramp[..., 0] = 128 + 120 * np.sin(np.arange(256) / 20)
    ramp[..., 2] = 128 - 120 * np.sin(np.arange(256) / 20)
    slope = np.gradient(ramp[..., 0], axis=1)
    frames = np.rint(ramp * (257 if depth == 10 else 1)).astype(np.uint16 if depth == 10 else np.uint8)
    codec, ending = name.split(".")
    settings = {"codec": codec, "pixel_format": f"yuv{chroma}p{'10le' if depth == 10 else ''}"}
    settings |= {} if codec in ("ffv1", "prores") else {"crf": 4}
    try:
        sink = open_sink(tmp_path / f"v.{ending}", **settings)
    except InputError:
        pytest.skip(f"{codec} has no {settings['pixel_format']}")
    with sink as write:
        for index in range(3):
            write(str(index), frames)
    for _, pixels in open_source(tmp_path / f"v.{ending}"):
        error = pixels[..., 0] / (257 if depth == 10 else 1) - ramp[..., 0]
        shift = (error * slope).sum() / np.square(slope).sum()  # in pixels
        assert abs(shift) < 0.06


def test_stripes_one_pixel_wide_survive(tmp_path):
    stripes = np.zeros((5, 64, 64, 3), np.uint8)
    stripes[:, :, ::2, 0], stripes[:, :, 1::2, 2] = 255, 255
    for codec, pixel_format in (("libx264rgb", "rgb24"), ("ffv1", "bgr0")):
        make_video(tmp_path / "in.mkv", stripes, codec=codec, pixel_format=pixel_format)
        restore(tmp_path / "in.mkv", tmp_path / "out.mp4")
        for _, pixels in open_source(tmp_path / "out.mp4"):
            assert np.square(pixels.astype(float) - stripes[0]).mean() < 65025 / 10**4  # 40 dB


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"codec": "theora"}, "no codec 'theora'"),
        ({"codec": "prores"}, r"cannot hold prores; \.mp4 files take"),
        ({"codec": "vp9"}, "vp9 cannot hold yuv420p10le"),
        ({"pixel_format": "yuv999p"}, "no pixel format 'yuv999p'"),
        ({"crf": 99}, "crf should be 0"),
        ({"codec": "vp9", "pixel_format": "yuv420p", "preset": "slow"}, "vp9 has no presets"),
    ],
)
def test_what_is_named_and_cannot_be_is_refused_at_once(tmp_path, settings, reason):
    make_video(tmp_path / "in.mkv", pixel_format="yuv420p10le")
    footage = open_source(tmp_path / "in.mkv").footage
    with pytest.raises(InputError, match=reason):
        open_sink(tmp_path / "out.mp4", like=footage, **settings)


def test_what_is_named_is_taken(tmp_path):
    make_video(tmp_path / "in.mkv", pixel_format="yuv420p10le")
    settings = {"codec": "hevc", "crf": 30, "preset": "ultrafast", "pixel_format": "yuv444p"}
    assert restore(tmp_path / "in.mkv", tmp_path / "out.mp4", settings=settings) == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("hevc", "yuv444p")


@pytest.mark.parametrize(
    ("source", "target"),
    [("yuv420p", "yuv422p10le"), ("yuv422p", "yuv422p10le"), ("yuv444p", "yuv444p10le")],
)
def test_a_named_codec_takes_a_larger_format_that_holds_all(tmp_path, source, target):
    """ProRes has ten bits and 4:2:2 at least, and phones have eight and 4:2:0."""
    make_video(tmp_path / "in.mkv", codec="ffv1", pixel_format=source)
    notes = restore(tmp_path / "in.mkv", tmp_path / "out.mov", settings={"codec": "prores"})
    assert any(f"written as {target}, which holds all of {source}" in note for note in notes)
    with av.open(str(tmp_path / "out.mov")) as container:
        written = layout_of(container.streams.video[0].codec_context.pix_fmt)
    assert written.chroma == layout_of(target).chroma
    assert written.bits >= 10  # its decoder gives 4:4:4 twelve
    for before, after in zip(open_source(tmp_path / "in.mkv"), open_source(tmp_path / "out.mov"), strict=True):
        depth = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 257}[after.pixels.dtype]
        assert np.square(after.pixels / depth - before.pixels.astype(float)).mean() < 65025 / 10**3.5  # 35 dB


def test_a_preset_that_is_none_is_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"h264 does not take .*fastest"),
        open_sink(tmp_path / "v.mp4", preset="fastest") as write,
    ):
        write("0", np.zeros((32, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
def test_every_frame_keeps_its_time_to_the_tick(tmp_path, ending):
    ticks = [*range(0, 90000, 1501), *range(90000, 900001, 90000)]
    frames = moving_picture(1, 16, 16).repeat(len(ticks), axis=0)
    make_video(tmp_path / "in.mp4", frames, times=ticks, time_base=Fraction(1, 90000))
    restore(tmp_path / "in.mp4", tmp_path / f"out.{ending}")
    times = np.array([float(frame.time) for frame in open_source(tmp_path / f"out.{ending}")])
    assert len(times) == len(ticks)
    tick = 1e-9 if ending in ("mp4", "mov") else 0.0005001
    assert np.abs(times - np.array(ticks) / 90000).max() <= tick


def test_an_hour_does_not_drift(tmp_path):
    """With 1/1001 frames a second missing each, as cameras that drop frames do."""
    rate = Fraction(30000, 1001)
    count = 3600
    ticks = [30 * index for index in range(count)]  # one frame in 30: the hour, not its every frame
    frames = moving_picture(1, 16, 16).repeat(count, axis=0)
    make_video(tmp_path / "in.mp4", frames, rate=rate, times=ticks, time_base=1 / rate)
    restore(tmp_path / "in.mp4", tmp_path / "out.mkv")
    last = [frame.time for frame in open_source(tmp_path / "out.mkv")][-1]
    assert abs(last - ticks[-1] / rate) <= Fraction(1, 2000)
    assert last > 3599


def test_two_rates_joined_by_copying_are_restored_whole(tmp_path):
    """24 frames a second, then 60."""
    ticks = [*range(0, 48 * 5, 5), *range(48 * 5, 48 * 5 + 120 * 2, 2)]
    frames = moving_picture(len(ticks), 16, 16)
    make_video(tmp_path / "in.mp4", frames, times=ticks, time_base=Fraction(1, 120))
    restore(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert [frame.time * 120 for frame in open_source(tmp_path / "out.mp4")] == ticks


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
def test_pixels_that_are_not_square_keep_their_shape(tmp_path, ending):
    make_video(tmp_path / "in.mp4", aspect=Fraction(16, 15))
    restore(tmp_path / "in.mp4", tmp_path / f"out.{ending}", change=lambda pixels: pixels.repeat(2, 0).repeat(2, 1))
    footage = open_source(tmp_path / f"out.{ending}").footage
    assert (footage.height, footage.width) == (96, 128)
    # Matroska tells whole pixels: of 128 * 16 / 15 = 136 8/15, 137.
    assert footage.aspect == (Fraction(137, 128) if ending in ("mkv", "webm") else Fraction(16, 15))


def test_a_rotation_is_not_doubled(tmp_path):
    make_video(tmp_path / "in.mp4", frames := moving_picture(3), codec="libx264rgb", pixel_format="rgb24")
    remux(tmp_path / "in.mp4", tmp_path / "turned.mp4", prepare=lambda _, video: video.set_display_rotation(90))
    restore(tmp_path / "turned.mp4", tmp_path / "out.mp4", settings={"crf": 0})
    for frame, expected in zip(open_source(tmp_path / "out.mp4"), frames, strict=True):
        np.testing.assert_allclose(frame.pixels.astype(int), np.rot90(expected), atol=2)


def with_alpha(count: int = 4) -> np.ndarray:
    alpha = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[None, None, :, None], (count, 64, 64, 1))
    return np.concatenate([moving_picture(count, 64, 64), alpha], -1)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "source", "target", "expected"),
    [
        ("libvpx-vp9", "yuva420p", "in.webm", "out.webm", "vp9"),
        ("libvpx", "yuva420p", "in.webm", "out.webm", "vp9"),
        ("libvpx-vp9", "yuva420p", "in.webm", "out.mov", "prores"),
        ("prores_ks", "yuva444p10le", "in.mov", "out.mov", "prores"),
        ("prores_ks", "yuva444p10le", "in.mov", "out.mkv", "ffv1"),
    ],
)
def test_transparency_is_kept_where_it_can_be(tmp_path, codec, pixel_format, source, target, expected):
    options = {"auto-alt-ref": "0", "crf": "4", "b": "2M"} if "vpx" in codec else {}
    make_video(tmp_path / source, with_alpha(), codec=codec, pixel_format=pixel_format, options=options)
    restore(tmp_path / source, tmp_path / target)
    result = open_source(tmp_path / target)
    with av.open(str(tmp_path / target)) as container:
        assert container.streams.video[0].codec_context.name == expected
    for frame, given in zip(result, with_alpha(), strict=True):
        unit = np.iinfo(frame.pixels.dtype).max
        assert np.abs(frame.pixels[..., 3] / unit - given[..., 3] / 255).mean() < 0.01


def test_transparency_is_refused_at_once_where_it_cannot_be(tmp_path):
    make_video(
        tmp_path / "in.webm",
        with_alpha(),
        codec="libvpx-vp9",
        pixel_format="yuva420p",
        options={"auto-alt-ref": "0"},
    )
    footage = open_source(tmp_path / "in.webm").footage
    for name in ("out.mp4", "out.y4m"):
        with pytest.raises(InputError, match="cannot hold transparency"):
            open_sink(tmp_path / name, like=footage)
    with pytest.raises(InputError, match="cannot hold transparency; take png"):
        open_sink(tmp_path / "out", like=footage, image_format="jpg")


def test_an_odd_size_keeps_whole_chroma_and_says_so(tmp_path):
    make_video(tmp_path / "in.mkv", moving_picture(3, 33, 47), codec="ffv1")
    notes = restore(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert any("written as yuv444p, because 47x33 is an odd size" in note for note in notes)
    assert [pixels.shape for _, pixels in open_source(tmp_path / "out.mp4")] == [(33, 47, 3)] * 3


def test_frames_of_another_size_are_refused_and_nothing_is_left(tmp_path):
    with (
        pytest.raises(InputError, match="frame 1 has 32x48 pixels, the first has 32x32"),
        open_sink(tmp_path / "v.mp4") as write,
    ):
        write("0", np.zeros((32, 32, 3), np.uint8))
        write("1", np.zeros((48, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_no_frames_make_no_file(tmp_path):
    with pytest.raises(InputError, match=r"v\.mp4: there are no frames"), open_sink(tmp_path / "v.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_not_utf_8(tmp_path):
    odd = tmp_path / b"o\xe9.mp4".decode("utf-8", "surrogateescape")
    with open_sink(odd) as write:
        write("0", np.zeros((32, 32, 3), np.uint8))
    assert len(list(open_source(odd))) == 1


def test_pictures_with_a_cicp_chunk_become_a_video_with_their_colors(tmp_path):
    from ascendcv.dataloader.footage import PictureTags

    with open_sink(tmp_path / "v.mp4") as write:
        pixels = np.zeros((32, 32, 3), np.uint16)
        write("0", pixels, Frame("0", pixels, tags=PictureTags(cicp=(9, 16, 0, 1))))
    color = open_source(tmp_path / "v.mp4").footage.color
    assert (color.matrix, color.transfer, color.primaries) == (9, 16, 9)
