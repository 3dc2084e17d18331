"""What names on the command line mean, and where results go."""

from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.footage import Footage
from ascendcv.dataloader.image import write_image
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.jobs import Job, check_target, find_jobs, target_of
from tests.support import PROJECT


def footage(kind: str) -> Footage:
    return Footage("name", kind, 4, 4, 3, 8)


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_image(folder / name, np.zeros((4, 4, 3), np.uint8))
    return folder


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with two videos, of which a name is all that is looked at here."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("b10.mp4", "b2.avi", "readme.txt", ".hidden.mp4"):
        (folder / name).write_bytes(b"")
    return folder


def sources(*names: object, output: str | None = None) -> list[str]:
    return [Path(job.source).name for job in find_jobs([str(name) for name in names], output)[0]]


def test_a_folder_of_videos_is_a_batch_in_natural_order(videos):
    assert sources(videos) == ["b2.avi", "b10.mp4"]


def test_patterns_are_files(videos):
    assert sources(videos / "*.mp4") == ["b10.mp4"]
    assert sources(videos / "b?.*", videos / "b10.mp4", videos / "b2.avi") == ["b2.avi", "b10.mp4", "b2.avi"]


def test_a_folder_of_frames_is_one_clip_and_a_folder_of_those_a_batch(tmp_path):
    clips = tmp_path / "clips"
    for name in ("c10", "c9"):
        pictures(clips / name, "0.png", "1.png")
    assert sources(clips / "c9") == ["c9"]
    assert sources(clips) == ["c9", "c10"]
    pictures(clips, "folder.jpg")  # a cover hides nothing
    jobs, (note,) = find_jobs([str(clips)], None)
    assert [Path(job.source).name for job in jobs] == ["c9", "c10"]
    assert "1 picture is beside" in note or "1 picture" in note


def test_a_folder_of_both_says_what_it_takes(videos):
    pictures(videos, "cover.jpg")
    jobs, (note,) = find_jobs([str(videos)], None)
    assert len(jobs) == 2
    assert "cover.jpg" in note
    pictures(videos, *(f"{number}.png" for number in range(3)))
    jobs, (note,) = find_jobs([str(videos)], None)
    assert [job.source for job in jobs] == [str(videos)]
    assert "2 videos are left out" in note


def test_the_second_of_two_names_is_the_output_if_it_is_new_or_a_folder(videos, tmp_path):
    clip = str(videos / "b2.avi")
    assert find_jobs([clip, str(tmp_path / "new.mp4")], None)[0] == [Job(clip, str(tmp_path / "new.mp4"))]
    assert find_jobs([clip, str(tmp_path)], None)[0] == [Job(clip, str(tmp_path))]
    assert sources(clip, videos / "b10.mp4") == ["b2.avi", "b10.mp4"]
    assert find_jobs(["-", "-"], None)[0] == [Job("-", "-")]


def test_several_clips_go_into_a_folder(videos, tmp_path):
    jobs, _ = find_jobs([str(videos)], str(tmp_path / "out"))
    targets = [target_of(job, footage("video"), None) for job in jobs]
    assert targets == [str(tmp_path / "out/b2.mkv"), str(tmp_path / "out/b10.mp4")]
    for place in (str(tmp_path / "one.mp4"), str(videos / "b2.avi"), "-"):
        with pytest.raises(InputError, match="2 clips cannot go into"):
            find_jobs([str(videos)], place)


@pytest.mark.parametrize(
    ("source", "kind", "target"),
    [
        ("a/clip.mp4", "video", "a/clip_restored.mp4"),
        ("a/clip.webm", "video", "a/clip_restored.webm"),
        ("a/clip.avi", "video", "a/clip_restored.mkv"),
        ("a/clip.hevc", "video", "a/clip_restored.mkv"),
        ("a/photo.jpg", "picture", "a/photo_restored.jpg"),
        ("a/photo.gif", "picture", "a/photo_restored.png"),
        ("a/loop.gif", "animation", "a/loop_restored.gif"),
        ("a/v1.5 take.mp4", "video", "a/v1.5 take_restored.mp4"),
    ],
)
def test_without_an_output_the_result_is_beside_its_input(source, kind, target):
    assert target_of(Job(source), footage(kind), None) == target


def test_a_folder_becomes_a_folder(tmp_path):
    folder = pictures(tmp_path / "take 1.5", "0.png")
    assert target_of(Job(str(folder)), footage("pictures"), None) == str(tmp_path / "take 1.5_restored")
    assert target_of(Job("clip.mp4"), footage("video"), "tiff") == "clip_restored"


def test_what_exists_is_replaced_only_on_request_and_an_input_never(tmp_path):
    clip, other = tmp_path / "clip.mp4", tmp_path / "other.mp4"
    clip.write_bytes(b"")
    other.write_bytes(b"")
    with pytest.raises(InputError, match=r"other\.mp4 exists: say --overwrite"):
        check_target(str(other), [str(clip)], overwrite=False)
    check_target(str(other), [str(clip)], overwrite=True)
    with pytest.raises(InputError, match="is an input, which is never replaced"):
        check_target(str(tmp_path / "." / "clip.mp4"), [str(clip)], overwrite=True)
    frames = pictures(tmp_path / "frames", "0.png")
    with pytest.raises(InputError, match=r"frames holds frames \(0\.png \.\.\.\)"):
        check_target(str(frames), [str(clip)], overwrite=False)
    check_target(str(tmp_path / "new"), [str(clip)], overwrite=False)


@pytest.mark.parametrize("names", [["nowhere.mp4"], ["no*such"], ["/dev/null"]])
def test_names_that_mean_nothing_are_refused(names):
    with pytest.raises(InputError, match=r"there is no file|neither a file nor a folder"):
        find_jobs(names, None)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no frames, no folders of frames and no videos"):
        find_jobs([str(tmp_path)], str(tmp_path / "out"))


def test_the_standard_input_needs_an_output():
    with pytest.raises(InputError, match="name an output"):
        find_jobs(["-"], None)


@pytest.mark.parametrize(
    ("case", "names"),
    [("lmdb_reds", ["000", "001"]), ("lmdb_vimeo", ["00001/0003", "00002/0004"])],
)
def test_the_clips_of_an_lmdb_go_into_folders_beside_it_or_where_that_is_said(tmp_path, case, names):
    lmdb = tmp_path / "train.lmdb"
    lmdb.mkdir()
    vector = np.load(PROJECT / f"tests/golden/vectors/common/{case}.npz")
    (lmdb / "data.mdb").write_bytes(vector["data_mdb"].tobytes())
    jobs, _ = find_jobs([str(lmdb)], None)
    assert [job.source for job in jobs] == [str(lmdb / name) for name in names]
    assert [target_of(job, footage("pictures"), None) for job in jobs] == [
        str(tmp_path / "train_restored" / name) for name in names
    ]
    jobs, _ = find_jobs([str(lmdb)], str(tmp_path / "out"))
    assert [target_of(job, footage("pictures"), None) for job in jobs] == [str(tmp_path / "out" / n) for n in names]
    jobs, _ = find_jobs([str(lmdb / names[0])], str(tmp_path / "out"))
    assert [target_of(job, footage("pictures"), None) for job in jobs] == [str(tmp_path / "out")]
