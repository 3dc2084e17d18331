"""The command `prepare`: what it checks, what it makes, that it may be stopped and repeated."""

import io
import json
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.degrade import blur_downsample, imresize
from ascendcv.dataloader.image import check_clip, list_images, read_image, write_image
from ascendcv.dataloader.layouts import read_layout
from ascendcv.utils.errors import InputError
from ascendvsr.cli import main
from ascendvsr.preparation import names
from ascendvsr.preparation.archives import unpack
from ascendvsr.preparation.sets import DATA_SETS, DEGRADATIONS
from tests.support import PROJECT, command_line

DATA = PROJECT.parent / "shared/data"
Reds = Callable[..., Path]


@pytest.fixture
def reds(tmp_path: Path, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Reds:
    """A maker of REDS as published, but with two training clips, one validation clip and frames of 34x48 pixels."""
    small = {"000": 3, "001": 3, "240": 3}
    part = DATA_SETS["reds"].parts[0].__class__("full", 3, 9, small, ((34, 48),))
    changed = DATA_SETS["reds"].__class__(**DATA_SETS["reds"].__dict__ | {"parts": (part,)})
    monkeypatch.setitem(DATA_SETS, "reds", changed)

    def make(folder: str = "source", *, clips=("train_sharp/000", "train_sharp/001", "val_sharp/000")) -> Path:
        for number, clip in enumerate(clips):
            for frame in range(3):
                pixels = photograph[number + frame : number + frame + 34, number : number + 48]
                write_image(tmp_path / folder / clip / f"{frame:08d}.png", pixels)
        return tmp_path / folder

    return make


def test_the_command_line_offers_all_that_there_is():
    assert (tuple(DATA_SETS), tuple(DEGRADATIONS)) == (names.DATA_SETS, names.DEGRADATIONS)


def run(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_reds_is_regrouped_and_made_small_as_it_was_published(reds: Reds, tmp_path: Path, capsys):
    source, target = reds(), tmp_path / "ready"
    assert run("reds", source, target) == 0
    assert "3 clips, 9 frames" in capsys.readouterr().out
    for clip in ("000", "001", "240"):
        for frame in range(3):
            gt = read_image(target / f"train_sharp/{clip}/{frame:08d}.png")
            assert gt.shape == (32, 48, 3)  # cut to what 4 divides
            lq = read_image(target / f"train_sharp_bicubic/X4/{clip}/{frame:08d}.png")
            np.testing.assert_array_equal(lq, imresize(gt, 0.25))
    assert (target / "meta_info_train_sharp.txt").read_text() == "".join(
        f"{clip} 3 (32,48,3)\n" for clip in ("000", "001", "240")
    )
    assert [clip.name for clip in read_layout("reds", target, "train", scale=4)] == ["001", "240"]


def test_repeating_it_changes_nothing_and_what_is_missing_is_made_again(reds: Reds, tmp_path: Path, capsys):
    source, target = reds(), tmp_path / "ready"
    run("reds", source, target)
    before = files(target)
    assert run("reds", source, target) == 0
    assert "no frames to be made" in capsys.readouterr().out
    assert {name: time for name, time in files(target).items() if name.endswith(".png")} == {
        name: time for name, time in before.items() if name.endswith(".png")
    }
    lost = target / "train_sharp_bicubic/X4/001/00000001.png"
    whole = lost.read_bytes()
    lost.write_bytes(whole[:-20])  # cut short by a crash
    (target / "train_sharp/240/00000000.png").unlink()
    assert run("reds", source, target) == 0
    assert lost.read_bytes() == whole
    assert files(target).keys() == before.keys()


def test_a_dry_run_tells_and_writes_nothing(reds: Reds, tmp_path: Path, capsys):
    assert run("reds", reds(), tmp_path / "ready", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "ready/train_sharp: 9 frames to be made" in out
    assert "ready/train_sharp_bicubic: 9 frames to be made" in out
    assert not (tmp_path / "ready").exists()


def test_a_check_alone_needs_no_target(reds: Reds, tmp_path: Path, capsys):
    source = reds()
    before = files(source)
    assert run("reds", source, "--check") == 0
    assert files(source) == before
    assert run("reds", source) == 2
    assert "name a folder for the result, or say --check" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda s: shutil.rmtree(s / "train_sharp/001"), "is not the whole set reds: 1 of 3 clips: 001; --partial"),
        (lambda s: (s / "val_sharp/000/00000002.png").unlink(), "3 frames in clip 240, which has 2"),
        (
            lambda s: (s / "train_sharp/000/00000001.png").write_bytes(b"no image"),
            "000/00000001.png is no readable",
        ),
        (lambda s: cut(s / "train_sharp/000/00000001.png"), "train_sharp/000/00000001.png is cut short"),
        (lambda s: damage(s / "train_sharp/000/00000001.png"), "train_sharp/000/00000001.png is no readable image"),
        (lambda s: resize(s / "train_sharp/000"), "000 has frames of 24x12 pixels; those of the set have 48x34"),
        (lambda s: resize_one(s / "train_sharp/000/00000002.png"), "00000002.png has 24x12 pixels, but the first"),
    ],
)
def test_what_is_missing_or_damaged_is_named_and_nothing_is_written(
    reds: Reds, tmp_path: Path, capsys, harm: Callable[[Path], None], message: str
):
    source = reds()
    harm(source)
    for arguments in ((tmp_path / "ready",), ("--check",)):
        assert run("reds", source, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "ready").exists()


def test_a_part_of_a_set_is_prepared_where_that_is_said(reds: Reds, tmp_path: Path, capsys):
    source = reds(clips=("train_sharp/001",))
    assert run("reds", source, tmp_path / "ready", "--partial") == 0
    assert "missing: 2 of 3 clips: 000, 240" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "ready/train_sharp").iterdir()] == ["001"]


def test_what_other_programs_leave_behind_is_no_clip(reds: Reds, tmp_path: Path):
    source = reds()
    (source / "__MACOSX/train_sharp").mkdir(parents=True)
    (source / "train_sharp/notes").mkdir()
    for name in ("train_sharp/.DS_Store", "train_sharp/000/Thumbs.db", "train_sharp/000/._00000000.png", "a.txt"):
        (source / name).write_text("stray")
    assert run("reds", source, tmp_path / "ready") == 0


def test_low_quality_frames_that_are_there_are_taken_unless_others_are_asked_for(
    reds: Reds, tmp_path: Path, capsys
):
    source = reds()
    run("reds", source, tmp_path / "first")
    shutil.copytree(tmp_path / "first/train_sharp_bicubic", tmp_path / "first/copy")
    lq = tmp_path / "first/train_sharp_bicubic/X4/000/00000000.png"
    write_image(lq, np.zeros((8, 12, 3), np.uint8))
    monkey = DATA_SETS["reds"].parts[0]
    object.__setattr__(monkey, "sizes", ())
    assert run("reds", tmp_path / "first", tmp_path / "second") == 0
    assert not read_image(tmp_path / "second/train_sharp_bicubic/X4/000/00000000.png").any()
    assert run("reds", tmp_path / "first", tmp_path / "third", "--lr", "bd") == 0
    gt = read_image(tmp_path / "third/train_sharp/000/00000000.png")
    made = read_image(tmp_path / "third/train_sharp_BDx4/000/00000000.png")
    np.testing.assert_array_equal(made, blur_downsample(gt, 4))
    assert run("reds", tmp_path / "first", tmp_path / "third") == 2
    assert "was prepared otherwise" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["lmdb", "tfrecord"])
def test_it_packs_what_training_reads(reds: Reds, tmp_path: Path, capsys, kind: str):
    source, target = reds(), tmp_path / "packed"
    assert run("reds", source, target, "--to", kind) == 0
    assert run("reds", source, tmp_path / "folders") == 0
    packed, plain = (read_layout("reds", tmp_path / name, "full", scale=4) for name in ("packed", "folders"))
    for one, other in zip(packed, plain, strict=True):
        assert (one.name, one.lq_size, one.gt_size) == (other.name, other.lq_size, other.gt_size)
        for mine, its in zip([*one.lq, *one.gt], [*other.lq, *other.gt], strict=True):
            np.testing.assert_array_equal(read_image(mine), read_image(its))
    before = files(target)
    capsys.readouterr()
    assert run("reds", source, target, "--to", kind) == 0
    assert "no frames to be made" in capsys.readouterr().out
    assert set(files(target)) == set(before)


def test_clips_of_one_s_own(tmp_path: Path, photograph: np.ndarray):
    for clip in ("a", "b"):
        for frame in range(2):
            write_image(tmp_path / f"mine/{clip}/{frame}.png", photograph[frame : frame + 32, :48])
    assert run("clips", tmp_path / "mine", tmp_path / "ready", "--lr", "duf") == 0
    clips = read_layout("vid4", tmp_path / "ready", ".", scale=4, lq_folder="BDx4")
    assert [(clip.name, len(clip.lq), clip.gt_size) for clip in clips] == [("a", 2, (32, 48)), ("b", 2, (32, 48))]


def test_pairs_of_one_s_own_are_checked(tmp_path: Path, photograph: np.ndarray, capsys):
    for kind in ("blur", "gt"):
        for frame in range(3):
            write_image(tmp_path / f"mine/{kind}/a/{frame}.png", photograph[frame : frame + 32, :48])
    assert run("pairs", tmp_path / "mine", "--check") == 0
    assert run("pairs", tmp_path / "mine", tmp_path / "ready") == 0
    (clip,) = read_layout("pairs", tmp_path / "ready", ".")
    assert [path.name for path in clip.lq] == ["0.png", "1.png", "2.png"]
    (tmp_path / "mine/gt/a/1.png").unlink()
    assert run("pairs", tmp_path / "mine", "--check") == 2
    assert "gt/a lacks 1.png" in capsys.readouterr().err


def test_deblurring_sets_are_arranged_as_kair_has_them(tmp_path: Path, capsys):
    for split, clip in (("train", "GOPR0372"), ("test", "GOPR0384")):
        for kind in ("blur", "sharp"):
            for frame in (47, 48):
                path = tmp_path / f"gopro/{split}/{clip}/{kind}/{frame:06d}.png"
                write_image(path, np.zeros((720, 1280, 3), np.uint8))
    assert run("gopro", tmp_path / "gopro", tmp_path / "ready", "--check") == 2
    assert "22 clips in train, of which 1 are there" in capsys.readouterr().err
    assert run("gopro", tmp_path / "gopro", tmp_path / "ready", "--partial") == 0
    (clip,) = read_layout("gopro", tmp_path / "ready", "test")
    assert clip.gt[0] == tmp_path / "ready/test_GT/GOPR0384/000047.png"
    assert (tmp_path / "ready/meta_info_train_GT.txt").read_text().split()[-1] == "000047"
    (tmp_path / "gopro/train/GOPR0372/blur/000048.png").unlink()
    assert run("gopro", tmp_path / "gopro", tmp_path / "other", "--partial") == 2
    assert "GOPR0372/blur lacks 000048.png" in capsys.readouterr().err


@pytest.mark.skipif(not DATA.is_dir(), reason="the published frames are not here")
@pytest.mark.parametrize("name", ["reds_7f", "vid4_foliage"])
def test_frames_made_small_equal_the_published_ones_bit_for_bit(tmp_path: Path, name: str):
    assert run("clips", DATA / name / "GT", tmp_path) == 0
    published = sorted((DATA / name / "BIx4").iterdir())
    made = sorted((tmp_path / "BIx4/GT").iterdir())
    for one, other in zip(made, published, strict=True):
        np.testing.assert_array_equal(read_image(one), read_image(other))


def test_options_that_do_not_fit_are_refused(tmp_path: Path, capsys):
    assert run("set8", tmp_path, tmp_path / "x", "--lr", "bd") == 2
    assert "--lr is for sets whose input is made" in capsys.readouterr().err
    assert run("reds", tmp_path / "nowhere", tmp_path / "x") == 2
    assert "there is no folder or archive" in capsys.readouterr().err
    assert run("reds", tmp_path, tmp_path / "x") == 2


# --- archives -----------------------------------------------------------------------------------------------


def test_archives_are_unpacked_and_prepared(reds: Reds, tmp_path: Path):
    source = reds()
    archives = tmp_path / "downloads"
    archives.mkdir()
    for name in ("train_sharp", "val_sharp"):
        with zipfile.ZipFile(archives / f"{name}.zip", "w") as archive:
            for path in sorted((source / name).rglob("*.png")):
                archive.write(path, Path(name[:-6], path.relative_to(source)))
            archive.writestr("__MACOSX/._x", b"stray")
    shutil.rmtree(source)
    assert run("reds", archives, tmp_path / "ready") == 0
    assert sorted(path.name for path in (tmp_path / "ready/train_sharp").iterdir()) == ["000", "001", "240"]
    assert run("reds", archives, "--check") == 2  # which writes nothing


def _tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isfile() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 1, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, link
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../out.png")], "would land elsewhere"),
        ([member("/etc/out.png")], "would land elsewhere"),
        ([member("a/../../out.png")], "would land elsewhere"),
        ([member("C:\\out.png")], "would land elsewhere"),
        ([member("link", tarfile.SYMTYPE, link="/etc"), member("link/out.png")], "is a link or a device"),
        ([member("hard", tarfile.LNKTYPE, link="/etc/passwd")], "is a link or a device"),
        ([member("pipe", tarfile.FIFOTYPE)], "is a link or a device"),
        ([member("dev", tarfile.CHRTYPE)], "is a link or a device"),
        ([member("a"), member("a/b")], "has a file where it has a folder too"),
        ([], "holds no files"),
    ],
)
def test_nothing_leaves_the_folder_that_an_archive_is_unpacked_into(tmp_path: Path, members: list, message: str):
    archive = _tar(tmp_path / "set.tar.gz", *members)
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "inner/set")
    assert not (tmp_path / "out.png").exists()
    assert not (tmp_path / "inner/out.png").exists()
    assert not (tmp_path / "inner/set").exists()


def test_zip_archives_that_lead_out_or_lie_about_sizes_are_refused(tmp_path: Path):
    for name in ("../out.png", "/out.png", "a\\..\\..\\out.png"):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(InputError, match="would land elsewhere"):
            unpack(tmp_path / "set.zip", tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="is a link or a device"):
        unpack(tmp_path / "set.zip", tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(1 << 20))
    data = bytearray((tmp_path / "set.zip").read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")  # the directory says: 10 bytes
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        unpack(tmp_path / "set.zip", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_archive_that_is_larger_than_the_disk_is_refused_before_it_fills_it(tmp_path: Path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(1 << 20))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1 << 19))
    with pytest.raises(InputError, match="holds more than the disk"):
        unpack(tmp_path / "set.zip", tmp_path / "set")


def test_a_cut_archive_leaves_nothing_under_its_name_and_a_whole_one_goes_on_from_there(tmp_path: Path):
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.png", rng.bytes(1000))
    whole = (tmp_path / "set.zip").read_bytes()
    (tmp_path / "set.zip").write_bytes(whole[:60] + bytes(30) + whole[90:])
    with pytest.raises(InputError, match=r"set\.zip is damaged"):
        unpack(tmp_path / "set.zip", tmp_path / "set")
    (tmp_path / "set.zip").write_bytes(whole)
    unpack(tmp_path / "set.zip", tmp_path / "set")
    assert len(list((tmp_path / "set").iterdir())) == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[80:140] = bytes(60)
    path.write_bytes(data)


def resize_one(path: Path) -> None:
    write_image(path, np.zeros((12, 24, 3), np.uint8))


def resize(folder: Path) -> None:
    for path in folder.iterdir():
        resize_one(path)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_leaves_whole_files_and_the_next_one_makes_the_rest(
    tmp_path: Path, photograph: np.ndarray, signal_number: int
):
    for frame in range(40):
        write_image(tmp_path / f"mine/a/{frame:03d}.png", np.tile(photograph[frame : frame + 256, :256], (2, 2, 1)))
    command = command_line("prepare", "clips", tmp_path / "mine", tmp_path / "ready", "--jobs", 1)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made = tmp_path / "ready/BIx4/a"
    while process.poll() is None and (not made.is_dir() or len(list(made.glob("*.png"))) < 3):
        time.sleep(0.01)
    process.send_signal(signal_number)
    assert process.wait(60) != 0
    there = list_images(made)[0]
    assert 3 <= len(there) < 40
    check_clip(there)
    assert not (tmp_path / "ready/prepared.json").exists()
    assert run("clips", tmp_path / "mine", tmp_path / "ready") == 0
    assert [len(list_images(tmp_path / "ready" / name / "a")[0]) for name in ("GT", "BIx4")] == [40, 40]
    assert not list((tmp_path / "ready").rglob(".*"))


def test_the_note_says_how_it_was_prepared(reds: Reds, tmp_path: Path):
    run("reds", reds(), tmp_path / "ready")
    note = json.loads((tmp_path / "ready/prepared.json").read_text())
    assert note == {"dataset": "reds", "lr": "bicubic", "to": "folders"}
