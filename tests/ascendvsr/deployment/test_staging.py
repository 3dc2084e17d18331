"""What is exported into one folder at once."""

import threading

from ascendvsr.deployment.staging import staged


def test_programs_that_export_into_one_folder_at_once_do_not_mix_their_files(tmp_path):
    def write(content: str) -> None:
        for _ in range(30):
            with staged(tmp_path) as stage:
                for name in ("model.bin", "model.xml"):
                    (stage / name).write_text(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    assert (tmp_path / "model.bin").read_text() == (tmp_path / "model.xml").read_text()
