"""Data sets in their authors' folders: what is found, in which order, what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.image import write_image
from ascendcv.dataloader.layouts import DVD_SCORED, DVD_TEST, Listed, read_layout, read_meta_info
from ascendcv.utils.errors import InputError

Frames = Callable[..., None]


@pytest.fixture
def frames(tmp_path: Path, photograph: np.ndarray) -> Frames:
    """Writes frames of 8x12 pixels into folders of `tmp_path`."""

    def write(*folders: str, names=("00000", "00001", "00002"), ending: str = "png", size=(8, 12)) -> None:
        for folder in folders:
            for number, name in enumerate(names):
                write_image(
                    tmp_path / folder / f"{name}.{ending}", photograph[number : number + size[0], : size[1]]
                )

    return write


def summary(clips: list[Clip], root: Path) -> list[tuple[str, str, str]]:
    """Of each clip its name and the folders of its input and ground truth ('' where there is none)."""
    return [
        (clip.name, *(str(paths[0].parent.relative_to(root)) if paths else "" for paths in (clip.lq, clip.gt)))
        for clip in clips
    ]


# --- pairs --------------------------------------------------------------------------------------------------


def test_pairs_are_frames_of_equal_names_in_blur_and_gt(frames: Frames, tmp_path: Path):
    frames("train/blur/b", "train/gt/b", "train/blur/a", "train/gt/a", names=("x9", "x10"))
    clips = read_layout("pairs", tmp_path, "train")
    assert summary(clips, tmp_path) == [("a", "train/blur/a", "train/gt/a"), ("b", "train/blur/b", "train/gt/b")]
    assert [path.name for path in clips[0].lq] == ["x9.png", "x10.png"] == [path.name for path in clips[0].gt]
    assert (clips[0].lq_size, clips[0].gt_size, clips[0].bits) == ((8, 12), (8, 12), 8)


def test_the_folders_may_have_other_names_endings_and_a_scale(frames: Frames, tmp_path: Path):
    frames("train_sharp_bicubic/X4/000", ending="jpg")
    frames("train_sharp/000", size=(32, 48))
    folders = {"lq_folder": "train_sharp_bicubic/X4", "gt_folder": "train_sharp"}
    clips = read_layout("pairs", tmp_path, ".", scale=4, **folders)
    assert summary(clips, tmp_path) == [("000", "train_sharp_bicubic/X4/000", "train_sharp/000")]
    assert clips[0].gt_size == (32, 48)
    with pytest.raises(InputError, match=r"train_sharp/000 has frames of 48x32 pixels; 2 times .* \(`scale`\)"):
        read_layout("pairs", tmp_path, ".", scale=2, **folders)


def test_one_clip_needs_no_folder_of_its_own(frames: Frames, tmp_path: Path):
    frames("walk/blur", "walk/GT")
    for data_dir, part in ((tmp_path, "walk"), (tmp_path / "walk", ".")):
        clips = read_layout("pairs", data_dir, part, gt_folder="GT")
        assert summary(clips, tmp_path) == [("walk", "walk/blur", "walk/GT")]
    assert summary(read_layout("davis", tmp_path, "walk/GT"), tmp_path) == [("GT", "walk/GT", "walk/GT")]
    assert summary(read_layout("random", tmp_path, "walk/blur"), tmp_path) == [("blur", "walk/blur", "")]


def test_without_a_folder_of_ground_truth_there_are_frames_to_restore(frames: Frames, tmp_path: Path):
    frames("val/blur/a")
    assert summary(read_layout("pairs", tmp_path, "val"), tmp_path) == [("a", "val/blur/a", "")]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            [("s/blur/a", ("0", "1")), ("s/gt/a", ("0",))],
            r"gt/a has 1 frames, but .*blur/a has 2: they should be pairs",
        ),
        (
            [("s/blur/a", ("0", "1")), ("s/gt/a", ("0", "2"))],
            r"should be pairs; .*gt/a lacks 1\.png; .*blur/a lacks 2\.png: copy",
        ),
        ([("s/blur/a", ("0",)), ("s/gt/b", ("0",))], r"blur/a has no partner .*gt/a"),
        ([("s/blur/a", ("0",)), ("s/gt/a", ("0",)), ("s/gt/b", ("0",))], r"gt/b has no partner .*blur/b"),
        ([("s/blur", ("0",)), ("s/gt/a", ("0",))], r"gt/a has no partner .*blur/a"),
        ([("s/gt/a", ("0",))], r"there is no folder .*s/blur"),
        ([("s/blur/a", ())], r"there is no folder .*s: `part` should name one in"),
    ],
)
def test_what_is_no_pair_is_named(frames: Frames, tmp_path: Path, written: list, message: str):
    for folder, names in written:
        frames(folder, names=names)
    with pytest.raises(InputError, match=message):
        read_layout("pairs", tmp_path, "s", training=True)


def test_a_folder_that_is_not_there_is_named_by_its_key(tmp_path: Path):
    with pytest.raises(InputError, match=r"no data set in .*nowhere: give its folder as `data_dir`"):
        read_layout("pairs", tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match=r"there is no folder .*val: `part` should name one"):
        read_layout("davis", tmp_path, "val")


# --- clips that are clean, clips that are to be restored ----------------------------------------------------


def test_clean_clips_are_input_and_ground_truth(frames: Frames, tmp_path: Path):
    frames("train_GT/bear", "train_GT/.hidden", ending="jpg")
    (clip,) = read_layout("davis", tmp_path, "train_GT")
    assert clip.lq == clip.gt == [tmp_path / f"train_GT/bear/0000{number}.jpg" for number in range(3)]


def test_a_random_video_has_no_ground_truth(frames: Frames, tmp_path: Path):
    frames("random/walk", names=("b", "a"), ending="jpg")
    (clip,) = read_layout("random", tmp_path, "random")
    assert [path.name for path in clip.lq] == ["a.jpg", "b.jpg"]
    assert clip.gt == []


# --- DVD and GoPro ------------------------------------------------------------------------------------------


def test_dvd_is_one_folder_whose_test_sequences_are_known_by_name(frames: Frames, tmp_path: Path):
    for name in ("720p_240fps_1", "IMG_0009", "IMG_0030"):
        frames(f"quantitative_datasets/{name}/input", f"quantitative_datasets/{name}/GT", ending="jpg")
    names = {part: [c.name for c in read_layout("dvd", tmp_path, part)] for part in ("train", "test", "full")}
    assert names == {
        "train": ["720p_240fps_1", "IMG_0009"],
        "test": ["IMG_0030"],
        "full": ["720p_240fps_1", "IMG_0009", "IMG_0030"],
    }
    inside = read_layout("dvd", tmp_path / "quantitative_datasets", "test")
    assert summary(inside, tmp_path / "quantitative_datasets") == [("IMG_0030", "IMG_0030/input", "IMG_0030/GT")]


def test_dvd_as_pvdnet_and_kair_arrange_it(frames: Frames, tmp_path: Path):
    frames("pvdnet/train_DVD/IMG_0001/input", "pvdnet/train_DVD/IMG_0001/GT")
    frames("pvdnet/test_DVD/IMG_0030/input", "pvdnet/test_DVD/IMG_0030/GT")
    for part, expected in (("train", "train_DVD/IMG_0001"), ("test", "test_DVD/IMG_0030")):
        clips = read_layout("dvd", tmp_path / "pvdnet", part)
        assert summary(clips, tmp_path / "pvdnet") == [(expected[-8:], f"{expected}/input", f"{expected}/GT")]
    for split, name in (("train_GT", "IMG_0001"), ("train_GT", "IMG_0002"), ("test_GT", "IMG_0030")):
        frames(f"kair/{split}/{name}", f"kair/{split}_blurred/{name}")
    frames("kair/train_GT_with_val/IMG_0001", "kair/train_GT_blurred_with_val/IMG_0001")
    train = read_layout("dvd", tmp_path / "kair", "train")
    assert summary(train, tmp_path / "kair") == [
        (name, f"train_GT_blurred/{name}", f"train_GT/{name}") for name in ("IMG_0001", "IMG_0002")
    ]
    assert [clip.name for clip in read_layout("dvd", tmp_path / "kair", "test")] == ["IMG_0030"]


@pytest.mark.parametrize(("layout", "part"), [("dvd", "train"), ("davis", "train_GT")])
def test_a_folder_called_lmdb_that_is_none_is_named(tmp_path: Path, layout: str, part: str):
    (tmp_path / "train_GT.lmdb").mkdir()
    with pytest.raises(InputError, match=r"; .*train_GT.lmdb is no LMDB: it has no data.mdb"):
        read_layout(layout, tmp_path, part)


def test_dvd_s_protocol_scores_30_positions_of_10_sequences():
    assert (len(DVD_TEST), len(set(DVD_TEST))) == (10, 10)
    assert len(DVD_SCORED) == 30
    assert list(DVD_SCORED) == sorted(set(DVD_SCORED))
    assert DVD_SCORED[-1] < 100


def test_gopro_has_two_kinds_of_blur(frames: Frames, tmp_path: Path):
    for split, name in (("train", "GOPR0372"), ("test", "GOPR0384")):
        frames(*(f"{split}/{name}/{kind}" for kind in ("blur", "blur_gamma", "sharp")), names=("000047", "000048"))
    for gamma, kind in ((False, "blur"), (True, "blur_gamma")):
        clips = read_layout("gopro", tmp_path, "train", gamma=gamma)
        assert summary(clips, tmp_path) == [("GOPR0372", f"train/GOPR0372/{kind}", "train/GOPR0372/sharp")]
    assert [clip.name for clip in read_layout("gopro", tmp_path, "full")] == ["GOPR0372", "GOPR0384"]


def test_gopro_as_pvdnet_and_kair_arrange_it(frames: Frames, tmp_path: Path):
    frames("test_nah/GOPR0384/blur_gamma", "test_nah/GOPR0384/sharp")
    (clip,) = read_layout("gopro", tmp_path, "test", gamma=True)
    assert clip.lq[0] == tmp_path / "test_nah/GOPR0384/blur_gamma/00000.png"
    with pytest.raises(InputError, match=r"GOPR0384 has blur_gamma but not blur: set `gamma` True"):
        read_layout("gopro", tmp_path, "test")
    frames("train_GT_blurred/GOPR0372", "train_GT/GOPR0372")
    assert summary(read_layout("gopro", tmp_path, "train"), tmp_path) == [
        ("GOPR0372", "train_GT_blurred/GOPR0372", "train_GT/GOPR0372")
    ]


@pytest.mark.parametrize("layout", ["dvd", "gopro"])
def test_their_sets_have_names(tmp_path: Path, layout: str):
    with pytest.raises(InputError, match=rf"`part` is 'val'; with `layout` {layout} it should be train"):
        read_layout(layout, tmp_path, "val", training=True)
    with pytest.raises(InputError, match=rf"has no clips for 'test' as `layout` {layout} has them"):
        read_layout(layout, tmp_path, "test")


# --- Vimeo-90K and lists of clips ---------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", ["", "/sequences"])
def test_vimeo_septuplets_are_those_of_its_lists(frames: Frames, tmp_path: Path, sequences: str):
    names = [f"im{number}" for number in range(1, 8)]
    for clip in ("00001/0001", "00001/0002", "00002/0001"):
        frames(f"vimeo_septuplet{sequences}/{clip}", names=names, size=(16, 32))
        frames(f"vimeo_septuplet_matlabLRx4{sequences}/{clip}", names=names, size=(4, 8))
    (tmp_path / "vimeo_septuplet/sep_testlist.txt").write_text("00001/0002\n00002/0001\n\n")
    clips = read_layout("vimeo", tmp_path, "test", scale=4)
    assert [clip.name for clip in clips] == ["00001/0002", "00002/0001"]
    assert [path.stem for path in clips[0].gt] == names
    assert clips[0].lq[0] == tmp_path / f"vimeo_septuplet_matlabLRx4{sequences}/00001/0002/im1.png"
    (fast,) = read_layout("vimeo", tmp_path, "test", scale=4, listed=[Listed("00001/0001", 7)])
    assert fast.name == "00001/0001"
    with pytest.raises(InputError, match=r"there is no list of clips .*sep_trainlist.txt"):
        read_layout("vimeo", tmp_path, "train", scale=4)
    with pytest.raises(InputError, match=r"BDLRx4/00001/0002"):
        read_layout("vimeo", tmp_path, "test", scale=4, lq_folder="vimeo_septuplet_BDLRx4")


def test_meta_info_files_have_one_three_or_four_fields_and_any_line_ends(tmp_path: Path):
    path = tmp_path / "meta_info.txt"
    path.write_bytes(b"000 100 (720,1280,3)\r\nGOPR0372_07_00 100 (720,1280,3) 000047\r\n\r\n00001/0266\r\n")
    assert read_meta_info(path) == [
        Listed("000", 100, None),
        Listed("GOPR0372_07_00", 100, 47),
        Listed("00001/0266", None, None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1 (1,1,3)\nb many (1,1,3)\n", r"meta_info.txt, line 2: it should be NAME \[FRAMES"),
        (b"a 1 (1,1,3) 0 5\n", r"line 1: it should be"),
        (b"\n\n", r"meta_info.txt lists no clips"),
        (b"\xff\xfe\x00", r"is no readable list of clips"),
    ],
)
def test_a_malformed_list_is_named_with_its_line(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "meta_info.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_meta_info(path)


def test_a_list_chooses_clips_and_knows_their_frames(frames: Frames, tmp_path: Path):
    frames("t/blur/a", "t/blur/b", "t/gt/a", "t/gt/b", names=("00047", "00048"))
    (clip,) = read_layout("pairs", tmp_path, "t", listed=[Listed("b", 2, 47)])
    assert clip.name == "b"
    for listed, message in (
        (Listed("b", 3, 47), r"blur/b has 2 frames, but the list of clips says 3"),
        (Listed("b", 2, 0), r"blur/b begins with frame 00047, but the list of clips says 0"),
        (Listed("c"), r"clip c is in the list but not in"),
    ):
        with pytest.raises(InputError, match=message):
            read_layout("pairs", tmp_path, "t", listed=[listed])


def test_clips_that_are_held_out_are_evaluated_and_not_trained_on(frames: Frames, tmp_path: Path):
    frames("s/a", "s/b", "s/c", "t/d")
    options = {"hold_out": ["b", "c"]}
    assert [clip.name for clip in read_layout("davis", tmp_path, "s", training=True, **options)] == ["a"]
    assert [clip.name for clip in read_layout("davis", tmp_path, "s", **options)] == ["b", "c"]
    assert [clip.name for clip in read_layout("davis", tmp_path, "t", **options)] == ["d"]


# --- frames and their partners ------------------------------------------------------------------------------


def test_frames_that_are_missing_on_either_side_are_named_rather_than_mispaired(frames: Frames, tmp_path: Path):
    frames("s/blur/a", names=("0", "1", "3"))
    frames("s/gt/a", names=("0", "2", "3"))
    with pytest.raises(InputError, match=r"gt/a lacks 1\.png; .*blur/a lacks 2\.png: copy what is missing again"):
        read_layout("pairs", tmp_path, "s")


def test_partners_may_have_other_names_of_the_same_numbers(frames: Frames, tmp_path: Path):
    frames("s/blur/a", names=("lq_0005", "lq_0006"))
    frames("s/gt/a", names=("6", "5"))
    (clip,) = read_layout("pairs", tmp_path, "s")
    assert [path.stem for path in clip.gt] == ["5", "6"]


def test_a_hole_in_both_is_told(frames: Frames, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    frames("s/blur/a", "s/gt/a", names=("0", "1", "2", "4", "5"))
    read_layout("pairs", tmp_path, "s")
    assert "s/blur/a seems to lack frame 3" in caplog.text


def test_ground_truth_that_the_scale_does_not_divide_is_named_with_what_mends_it(frames: Frames, tmp_path: Path):
    frames("s/blur/a", size=(8, 12))
    frames("s/gt/a", size=(34, 48))
    with pytest.raises(
        InputError, match=r"48x34 pixels; 4 times .* 48x32 .* cut them .* to 48x32, which `ascendvsr"
    ):
        read_layout("pairs", tmp_path, "s", scale=4)


def test_what_other_programs_leave_behind_does_not_block_a_set(frames: Frames, tmp_path: Path):
    frames("s/blur/a", "s/gt/a", "s/blur/__MACOSX", "s/gt/.thumbs")
    (tmp_path / "s/blur/notes").mkdir()
    (tmp_path / "s/blur/notes/read me.txt").write_text("notes")
    for name in ("Thumbs.db", ".DS_Store", "._00000.png", "list.txt"):
        (tmp_path / "s/blur/a" / name).write_text("stray")
        (tmp_path / "s/gt" / name).write_text("stray")
    assert summary(read_layout("pairs", tmp_path, "s"), tmp_path) == [("a", "s/blur/a", "s/gt/a")]


def test_names_may_be_any_bytes(frames: Frames, tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"s/cl\xefp")
    frames("s/x")
    (tmp_path / "s/x").rename(folder)
    for path in folder.iterdir():
        path.rename(folder / (path.stem + os.fsdecode(b"_\xff.png")))
    (clip,) = read_layout("davis", tmp_path, "s")
    assert (clip.name, len(clip.gt)) == (os.fsdecode(b"cl\xefp"), 3)


# --- published sets -----------------------------------------------------------------------------------------


def test_reds_as_published_and_regrouped(frames: Frames, tmp_path: Path):
    for name in ("000", "001", "011", "015", "020", "239"):
        frames(f"train_sharp/{name}", size=(32, 48))
        frames(f"train_sharp_bicubic/X4/{name}", f"train_blur/{name}")
    frames("val_sharp/000", size=(32, 48))
    frames("val_sharp_bicubic/X4/000")
    expected = {
        "train": ["001", "239", "240"],
        "train_official": ["000", "001", "011", "015", "020", "239"],
        "val": ["240"],
        "reds4": ["000", "011", "015", "020"],
    }
    for part, names in expected.items():
        assert [clip.name for clip in read_layout("reds", tmp_path, part, scale=4)] == names
    (clip,) = read_layout("reds", tmp_path, "val", scale=4)
    assert (clip.lq[0].parent, clip.gt[0].parent) == (
        tmp_path / "val_sharp_bicubic/X4/000",
        tmp_path / "val_sharp/000",
    )
    (tmp_path / "val_sharp/000").rename(tmp_path / "train_sharp/240")
    (tmp_path / "val_sharp_bicubic/X4/000").rename(tmp_path / "train_sharp_bicubic/X4/240")
    assert [clip.name for clip in read_layout("reds", tmp_path, "train", scale=4)] == expected["train"]
    with pytest.raises(InputError, match=r"`part` is 'test'; with `layout` reds it should be train"):
        read_layout("reds", tmp_path, "test", scale=4)


def test_a_clip_of_reds4_that_is_missing_is_named(frames: Frames, tmp_path: Path):
    for name in ("000", "011", "020"):
        frames(f"train_sharp/{name}", size=(32, 48))
        frames(f"train_sharp_bicubic/{name}")
    with pytest.raises(InputError, match=r"lacks the clips 015 of reds4"):
        read_layout("reds", tmp_path, "reds4", scale=4)


def test_vid4_and_udm10_in_their_folders_or_as_them(frames: Frames, tmp_path: Path):
    frames("Vid4/GT/walk", size=(32, 48))
    frames("Vid4/BIx4/walk", "Vid4/BDx4/walk")
    for data_dir, part in ((tmp_path, "Vid4"), (tmp_path, "test"), (tmp_path / "Vid4", ".")):
        (clip,) = read_layout("vid4", data_dir, part, scale=4)
        assert clip.lq[0].parent == tmp_path / "Vid4/BIx4/walk"
    (clip,) = read_layout("vid4", tmp_path, "Vid4", scale=4, lq_folder="BDx4")
    assert clip.lq[0].parent == tmp_path / "Vid4/BDx4/walk"
    frames("UDM10/archpeople/truth", size=(32, 48))
    frames("UDM10/archpeople/blur4")
    (clip,) = read_layout("udm10", tmp_path, ".", scale=4)
    assert (clip.name, clip.lq[0].parent.name, clip.gt[0].parent.name) == ("archpeople", "blur4", "truth")


def test_clean_sets(frames: Frames, tmp_path: Path):
    frames("Set8/tractor", "JPEGImages/480p/bear", "JPEGImages/480p/camel", ending="jpg")
    (clip,) = read_layout("set8", tmp_path, "test")
    assert clip.lq == clip.gt
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/train.txt").write_text("camel\n")
    assert [clip.name for clip in read_layout("davis", tmp_path, "train")] == ["camel"]


def test_vimeo_s_ground_truth_may_be_of_the_middle_frame_only_and_its_lists_tell_the_speed(
    frames: Frames, tmp_path: Path
):
    names = [f"im{number}" for number in range(1, 8)]
    frames("vimeo_septuplet_matlabLRx4/00001/0001", names=names)
    frames("vimeo_septuplet/00001/0001", names=("im4",), size=(32, 48))
    (tmp_path / "meta_info_Vimeo90K_test_slow_GT.txt").write_text("00001/0001 7 (32,48,3)\r\n")
    (clip,) = read_layout("vimeo", tmp_path, "slow", scale=4)
    assert [path and path.stem for path in clip.gt] == [None, None, None, "im4", None, None, None]
    (tmp_path / "meta_info_Vimeo90K_test_slow_GT.txt").write_text("00001/0001 7 (256,448,3)")
    with pytest.raises(InputError, match=r"frames of 48x32 pixels, but the list of clips says 448x256"):
        read_layout("vimeo", tmp_path, "slow", scale=4)


def test_a_clip_that_is_listed_twice_is_read_once(frames: Frames, tmp_path: Path):
    frames("s/a", "s/b")
    clips = read_layout("davis", tmp_path, "s", listed=[Listed("b"), Listed("a"), Listed("b")])
    assert [clip.name for clip in clips] == ["a", "b"]


# --- LMDB ---------------------------------------------------------------------------------------------------


@pytest.fixture
def reds_lmdb(tmp_path: Path) -> Path:
    """As BasicSR keeps REDS: two LMDBs, the keys of one of which begin with X4."""
    import lmdb

    from ascendcv.dataloader.image import encode_image

    for name, prefix, size in (("train_sharp", "", (32, 48)), ("train_sharp_bicubic", "X4/", (8, 12))):
        folder = tmp_path / f"{name}.lmdb"
        lines = []
        with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
            for clip in ("000", "011", "015", "020", "100"):
                for frame in range(3):
                    pixels = np.full((*size, 3), 10 * int(clip) % 256 + frame, np.uint8)
                    key = f"{prefix}{clip}/{frame:08d}"
                    transaction.put(key.encode(), encode_image(pixels, ".png"))
                    lines.append(f"{key}.png ({size[0]},{size[1]},3) 1\n")
        (folder / "meta_info.txt").write_text("".join(lines))
    return tmp_path


def test_reds_in_lmdbs(reds_lmdb: Path):
    (clip,) = read_layout("reds", reds_lmdb, "train", scale=4)
    assert clip.name == "100"
    assert clip.lq[2] == reds_lmdb / "train_sharp_bicubic.lmdb/X4/100/00000002.png"
    assert clip.gt[2] == reds_lmdb / "train_sharp.lmdb/100/00000002.png"
    assert len(read_layout("reds", reds_lmdb, "reds4", scale=4)) == 4


@pytest.mark.parametrize("ending", ["", ".lmdb"])
def test_an_lmdb_may_be_the_folder_of_either_side_or_the_data_set(reds_lmdb: Path, ending: str):
    folders = {"lq_folder": f"train_sharp_bicubic{ending}", "gt_folder": f"train_sharp{ending}"}
    assert len(read_layout("pairs", reds_lmdb, ".", scale=4, **folders)) == 5
    absolute = {key: str(reds_lmdb / name) for key, name in folders.items()}
    assert len(read_layout("pairs", reds_lmdb, ".", scale=4, **absolute)) == 5
    clips = read_layout("davis", reds_lmdb / f"train_sharp{ending}", ".")
    assert [clip.name for clip in clips] == ["000", "011", "015", "020", "100"]
    with pytest.raises(InputError, match=r"which is an LMDB: say '\.' for all that it holds"):
        read_layout("davis", reds_lmdb / f"train_sharp{ending}", "train")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("(32,48,3)", "(32,47,3)", r"meta_info.txt says \(32,47,3\) of 00000000 in clip 000, .* has \(32,48,3\)"),
        ("(32,48,3)", "(32,48,1)", r"says \(32,48,1\)"),
        ("000/00000001", "000/00000009", r"lists 000/00000009, and 1 in all, that data.mdb does not have"),
        ("(32,48,3)", "32x48", r"meta_info.txt, line 1: it should be KEY.png"),
    ],
)
def test_an_lmdb_is_as_its_meta_info_says(reds_lmdb: Path, before: str, after: str, message: str):
    path = reds_lmdb / "train_sharp.lmdb/meta_info.txt"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        read_layout("davis", reds_lmdb / "train_sharp.lmdb", ".")


def test_the_list_of_an_lmdb_chooses_clips(reds_lmdb: Path):
    listed = read_meta_info(reds_lmdb / "train_sharp.lmdb/meta_info.txt")[:2]
    clips = read_layout("davis", reds_lmdb / "train_sharp.lmdb", ".", listed=listed)
    assert [clip.name for clip in clips] == ["000", "011"]
