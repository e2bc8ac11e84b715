"""Makes robustmm/data/_digits: handwritten digits paired by class with spoken digits.

    apt-get install espeak-ng && pip install scikit-learn scipy opencv-python-headless soundfile
    python scripts/make_digits.py            # about half a minute, overwrites robustmm/data/_digits

Images: "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI 1998, CC BY 4.0), the 1797 scans of
8 x 8 pixels in scikit-learn. Neighbouring scans tend to be by one writer, so each split has its own stretch of them:
of every digit the first 80 train, the next 20 valid, the next 40 test. No scan is used twice.

Sound: the English words "zero" to "nine" said by espeak-ng (made with 1.51). A speaker is an accent and a voice
variant; test and valid are spoken by variants that training never hears, partly with accents it never hears.

Both are made hard on purpose, here and nowhere else, so that neither is enough alone. A scan is enlarged to 16 x 16,
turned, shifted and scaled a little, crossed by a blank band of 3 to 5 pixels, faded, and given sensor noise. A clip is
heard at 8 kHz in a small room with noise 5 to 20 dB below the voice, and kept in 6 bits, whose rounding is finer than
the noise. Both are done alike in every split. Everything is drawn from one seed: the same versions make the same files.
"""

import csv
import subprocess
from pathlib import Path

import cv2
import numpy as np
import soundfile
from scipy.signal import fftconvolve, resample_poly
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent.parent / "robustmm" / "data" / "_digits"
SEED = 20240
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TAKES = 2  # of each word by each speaker
RATE = 8000
SIDE = 16
ACROSS = 40  # images per row of the sheet
LONGEST = 0.8  # seconds
COLUMNS = ("id", "split", "label", "speaker", "source", "speed", "pitch", "snr", "start", "length")
STEP = 4  # 8-bit samples are multiples of this: 6 bits

# Variants of one family (steph, steph2) stay in one split. Left out: copies of another voice (fast, klatt, klatt6)
# and voices with an echo longer than the word (Marco, RicishayMax, AnxiousAndy).
SPEAKERS = {
    "train": {
        "en-us": "Alex Annie Gene Hugo adam anika f1 iven m1 robosoft",
        "en-gb": "Alicia Diogo Gene2 Jacky antonio belinda f2 iven2 m2 robosoft2",
        "en-gb-x-rp": "Andrea Henrique Lee Michael benjamin david edward iven3 klatt2 linda",
        "en-us-nyc": "Mario Nguyen Mr f4 edward2 john klatt3 m4 marcelo max",
    },
    "valid": {
        "en-us": "Andy f3 quincy",
        "en-gb": "Denis boris m3",
        "en-gb-x-gbclan": "aunty kaukovalta pablo whisperf",
    },
    "test": {
        "en-us": "UniRobot m5 steph whisper",
        "en-gb": "Demonic f5 m7 steph2",
        "en-gb-scotland": "croak grandma norbert victor",
        "en-029": "Mike grandpa m8 zac",
        "en-gb-x-gbcwmd": "Storm gustave shelby travis",
    },
}


def spoken(word: str, speaker: str, speed: int, pitch: int) -> np.ndarray:
    """The word at 8 kHz, silence trimmed to 10 ms, peak 1."""
    command = ["espeak-ng", "-v", speaker, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    voice = resample_poly(np.frombuffer(wav[44:], "<i2") / 32768.0, 160, 441)  # espeak-ng speaks at 22050 Hz
    loud = np.flatnonzero(np.abs(voice) > 0.03 * np.abs(voice).max())
    voice = voice[max(loud[0] - 80, 0) : loud[-1] + 80]
    return voice[: int(LONGEST * RATE)] / np.abs(voice).max()


def recorded(voice: np.ndarray, snr: float, rng: np.random.Generator) -> np.ndarray:
    """The voice in a small room with noise `snr` dB below it, as int8 in steps of STEP."""
    decay = np.exp(-6.9 * np.arange(int(0.2 * RATE)) / RATE / rng.uniform(0.1, 0.3))  # 60 dB in 0.1 to 0.3 s
    echo = rng.normal(size=decay.size) * decay
    echo[0] = 0.0
    room = echo * rng.uniform(0.2, 0.6) / np.linalg.norm(echo)
    room[0] = 1.0
    voice = fftconvolve(voice, room)[: voice.size]
    hertz = np.maximum(np.fft.rfftfreq(voice.size, 1 / RATE), 100.0)
    tilt = hertz ** -rng.uniform(0.0, 0.5)  # from white to pink
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=voice.size)) * tilt, voice.size)
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
    heard = voice + noise
    heard *= rng.uniform(0.6, 1.0) / np.abs(heard).max()
    return (np.clip(np.rint(heard * 128 / STEP), -128 // STEP, 127 // STEP) * STEP).astype(np.int8)


def photographed(scan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An 8 x 8 scan (0 to 16) as a poor 16 x 16 grey picture of it."""
    centre = (SIDE - 1) / 2
    move = cv2.getRotationMatrix2D((centre, centre), rng.uniform(-12, 12), rng.uniform(0.9, 1.1))
    move[:, 2] += rng.uniform(-1, 1, size=2)
    ink = cv2.resize(scan.astype(np.float32) / 16, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    ink = cv2.warpAffine(ink, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    wide = int(rng.integers(3, 6))
    start = int(rng.integers(1, SIDE - wide))
    upright = rng.random() < 0.5
    (ink.T if upright else ink)[start : start + wide] = rng.uniform(0, 1)
    contrast = rng.uniform(0.3, 0.9)
    grey = rng.uniform(0, 1 - contrast) + contrast * ink + rng.normal(0, 0.06, size=ink.shape)
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def scans_by_label(count: dict[str, int]) -> dict[str, dict[int, list[int]]]:
    """For each split and label, rows of load_digits: the first of the label for the first split, and so on."""
    target = load_digits().target
    taken = {split: {} for split in count}
    for label in range(10):
        rows, start = np.flatnonzero(target == label).tolist(), 0
        for split, per_label in count.items():
            taken[split][label] = rows[start : start + per_label]
            start += per_label
        if start > len(rows):
            raise SystemExit(f"digit {label}: {start} scans needed, {len(rows)} found")
    return taken


def main() -> None:
    rng = np.random.default_rng(SEED)
    scans = load_digits().images
    speakers = {
        split: [f"{accent}+{variant}" for accent, names in accents.items() for variant in names.split()]
        for split, accents in SPEAKERS.items()
    }
    taken = scans_by_label({split: len(names) * TAKES for split, names in speakers.items()})
    table, pictures, clips, start = [], [], [], 0
    for split, names in speakers.items():
        said = [(name, label) for name in names for label in range(10) for _ in range(TAKES)]
        unused = {label: rng.permutation(rows).tolist() for label, rows in taken[split].items()}
        for which in rng.permutation(len(said)):
            name, label = said[which]
            speed, pitch, source = int(rng.integers(150, 231)), int(rng.integers(20, 81)), unused[label].pop()
            snr = round(float(rng.uniform(5, 20)), 1)
            clip = recorded(spoken(WORDS[label], name, speed, pitch), snr, rng)
            pictures.append(photographed(scans[source], rng))
            clips.append(clip)
            table.append([f"d{len(table):04d}", split, label, name, source, speed, pitch, snr, start, clip.size])
            start += clip.size
    blank = -len(pictures) % ACROSS
    sheet = np.concatenate([np.stack(pictures), np.zeros((blank, SIDE, SIDE), np.uint8)])
    sheet = sheet.reshape(-1, ACROSS, SIDE, SIDE).swapaxes(1, 2).reshape(-1, ACROSS * SIDE)
    HERE.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(HERE / "images.png"), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    sound = np.concatenate(clips).astype(np.int16) << 8
    soundfile.write(HERE / "clips.flac", sound, RATE, subtype="PCM_S8", compression_level=1.0)
    with (HERE / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)


if __name__ == "__main__":
    main()
