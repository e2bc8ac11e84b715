"""The sound of a video, taken out by the user's own ffmpeg: no library of ours decodes it."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np

from robustmm.errors import DataError

SECONDS = 600
"""After so long a conversion is given up."""


def find_ffmpeg() -> str | None:
    return shutil.which("ffmpeg")


def extract_sound(path: Path, rate: int) -> bytes:
    """A 16-bit mono WAV of the video's sound at `rate` Hz. Raises DataError where it has none, or ffmpeg fails."""
    import soundfile

    program = find_ffmpeg()
    if program is None:
        raise DataError(f"ffmpeg is not on PATH, which takes the sound out of {path}")
    source = ["-protocol_whitelist", "file", "-i", f"file:{path.absolute()}"]  # a playlist must not lead elsewhere
    form = ["-vn", "-ac", "1", "-ar", str(rate), "-f", "s16le", "-acodec", "pcm_s16le", "pipe:1"]
    command = [program, "-nostdin", "-hide_banner", "-v", "error", *source, *form]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"ffmpeg could not read {path}: {type(error).__name__}") from error
    if done.returncode or len(done.stdout) < 2:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(f"{path} has no sound that ffmpeg can take out ({said[0] if said else 'no samples'})")
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 2 * 2], "<i2")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
