"""MP3 frames, walked by their headers: decoders skip what is damaged or missing and say nothing that can be asked for.

Layout: ISO/IEC 11172-3, section 2.4.1.3, and 13818-3; the table of the first frame is Xing's (LAME writes `Info` where
the bit rate is constant).
"""

from dataclasses import dataclass

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz, by the header's version bits: MPEG 1, 2 and 2.5."""
KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True)
class Frame:
    """A frame of layer III: its size in bytes, how many samples it holds, and its version and rate, which do not change
    within a file."""

    size: int
    samples: int
    stream: tuple[int, int]


@dataclass(frozen=True)
class Stream:
    """What stands in a file: whole frames and their samples, what its table says (None without one), bytes between
    frames that belong to none, and whether it ends within a frame."""

    frames: int
    samples: int
    declared: int | None
    lost: int
    ends_within: bool

    def find_damage(self) -> str:
        """What is wrong, or nothing. A file without a table that was cut between two frames looks whole."""
        if self.declared is not None and self.frames < self.declared - 1:  # some tables count their own frame
            return f"its header says {self.declared} frames, found {self.frames}"
        if self.lost:
            return f"{self.lost} bytes between its frames belong to none"
        return "it ends within a frame" if self.declared is None and self.ends_within else ""


def walk_frames(content: bytes) -> Stream | None:
    """The frames of an MP3 file; None for other files. Tags before, between and behind the frames are passed over."""
    at = _skip_tags(content, 0)
    first = read_frame(content, at)
    if not first:
        return None
    frames, lost, end = 0, 0, at
    declared = _read_table(content[at : at + first.size])
    at += first.size if declared is not None else 0
    while (at := _skip_tags(content, at)) < len(content):
        found = read_frame(content, at)
        if not found or found.stream != first.stream:
            at = _find_frame(content, at + 1, first.stream)
            continue
        lost += at - _skip_tags(content, end) if frames else 0
        if at + found.size > len(content):
            return Stream(frames, frames * first.samples, declared, lost, ends_within=True)
        frames, at = frames + 1, at + found.size
        end = at
    return Stream(frames, frames * first.samples, declared, lost, ends_within=False)


def read_frame(content: bytes, at: int) -> Frame | None:
    """The frame whose header stands at `at`, if one does."""
    header = int.from_bytes(content[at : at + 4])
    version, layer, kbits, rate, padding = (header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3,
                                            header >> 9 & 1)  # fmt: skip
    if len(content) < at + 4 or header >> 21 != 0x7FF or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    bits = 1000 * (KBITS_1 if version == 3 else KBITS_2)[kbits]
    return Frame(samples // 8 * bits // RATES[version][rate] + padding, samples, (version, rate))


def _read_table(frame: bytes) -> int | None:
    """The number of frames in the table that the first frame may hold instead of sound."""
    at = max(frame[:64].find(name) for name in (b"Xing", b"Info"))
    if at < 0 or not frame[at + 7] & 1:  # its flags: the number of frames is there
        return None
    return int.from_bytes(frame[at + 8 : at + 12])


def _skip_tags(content: bytes, at: int) -> int:
    """Behind the ID3v2 tags at `at`."""
    while content[at : at + 3] == b"ID3" and len(content) >= at + 10:
        size = 0
        for byte in content[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size
    return at


def _find_frame(content: bytes, at: int, stream: tuple[int, int]) -> int:
    """The next place where two frames of this stream follow each other; the end where there is none."""
    while (at := content.find(b"\xff", at)) >= 0:
        frame = read_frame(content, at)
        if frame and frame.stream == stream:
            following = read_frame(content, at + frame.size)
            if following and following.stream == stream:
                return at
        at += 1
    return len(content)
