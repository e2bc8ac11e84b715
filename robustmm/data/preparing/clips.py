"""The two inputs of audio-visual clips: sound and frames, from a video, or as somebody extracted them."""

from functools import partial
from pathlib import Path

from robustmm.data.preparing.benchmark import Absent, Cell, Made
from robustmm.data.preparing.frames import extract_frames, pack_frames
from robustmm.data.preparing.raw import RawTree
from robustmm.data.preparing.sound import extract_sound
from robustmm.errors import DataError

VIDEOS = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm", ".flv")
SOUNDS = (".wav", ".flac")


def find_clip(tree: RawTree, clip: str, expected: str, per_second: int, rate: int) -> dict[str, Cell]:
    """The inputs `audio` and `video` of a clip: `<clip>.wav`, else the sound of its video at `rate` Hz; the pictures
    in a folder `<clip>`, else frames of its video. `expected` is where the video usually stands, for sentences."""
    video = tree.find_stem(clip, VIDEOS)
    return {
        "audio": find_sound(tree, clip, video, expected, rate),
        "video": find_picture(tree, clip, video, expected, per_second),
    }


def find_sound(tree: RawTree, clip: str, video: Path | None, expected: str, rate: int) -> Cell:
    if found := tree.find_stem(clip, SOUNDS):
        return tree.keep_sound(found, expected)
    if video is None:
        return Absent(f"{tree.root / expected} is not there, nor {clip}.wav anywhere in {tree.root}")
    return Made(f"audio-{rate}hz/{safe_name(clip)}.wav", (video,), partial(extract_sound, video, rate))


def find_picture(tree: RawTree, clip: str, video: Path | None, expected: str, per_second: int) -> Cell:
    name = f"video-{per_second}fps/{safe_name(clip)}.avi"
    if frames := tree.find_frames(clip):
        return Made(name, tuple(frames), partial(pack_frames, frames, per_second))
    if video is None:
        return Absent(f"{tree.root / expected} is not there, nor a folder {clip} of frames anywhere in {tree.root}")
    return Made(name, (video,), partial(extract_frames, video, per_second))


def safe_name(clip: str) -> str:
    """A clip's name as that of a file. Raises DataError for one that would lead into another folder."""
    if not clip or clip != Path(clip).name or clip.startswith(".") or any(c in clip for c in '\\:\0*?"<>|'):
        raise DataError(f'"{clip}" cannot be the name of a file')
    return clip
