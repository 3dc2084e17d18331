"""Restoring in a program of your own: python examples/restore_clip.py clip.mp4 restored.mp4

The clip is read, restored and written frame by frame, so that its length costs no memory.
"""

import argparse

import ascendvsr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", help="a video, a picture or a folder of frames")
    parser.add_argument("output", help="a video, or a folder for frames")
    parser.add_argument("--model", default="edvr_tiny_x4", help="one of `ascendvsr models x4`")
    options = parser.parse_args()

    network = ascendvsr.EDVR.from_preset(options.model)
    count = ascendvsr.restore(network, options.input, options.output, scene_cuts="auto", progress=False)
    print(f"{count} frames restored")


if __name__ == "__main__":
    main()
