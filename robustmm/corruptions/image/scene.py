"""What is between the camera and the scene, and where the camera points."""

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_patches
from robustmm.corruptions.image import albumentations
from robustmm.corruptions.image.camera import LIGHT, encode_srgb, scale_light
from robustmm.corruptions.signals import Array

GAMMA = 2.2  # of the power law that is close to sRGB: a factor on the light is a factor on the pixels
STREAK, THREAD = 0.08, 1 / 224  # length and width, of the longer side
STREAK_LIGHT = 80  # of 255
SLANT = 0.25  # of the length, at most
GLOW = 0.08  # radius where the glare has half its light, of the longer side
SPECK = 10  # specks of dirt that would fit along the longer side
TRANSMITTED = 0.1  # of the light, by a speck


GREY = 128


@corruption(
    "blank",
    kind="image",
    unit="fraction of the square patches, 8 along the longer side",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def blank(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Square patches painted mid-grey."""
    x[draw_patches(x.shape[0], x.shape[1], fraction, rng), :] = GREY
    return x


@corruption(
    "rain",
    kind="image",
    unit="fraction of the area under streaks",
    table=(0.02, 0.05, 0.1, 0.2, 0.3),
    source="ours: a shower to a cloudburst; streaks of 8 % of the longer side, 80 of 255 brighter than the scene",
)
def rain(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Bright streaks of falling drops, all at one slant."""
    height, width = x.shape[:2]
    length, thread = (max(1, round(part * max(height, width))) for part in (STREAK, THREAD))
    slant = round(rng.uniform(-SLANT, SLANT) * length)
    line = {"slant": slant, "length": length, "thread": thread, "light": STREAK_LIGHT}
    each = np.count_nonzero(albumentations.paint_streaks((4 * length, 4 * length), np.full((1, 2), 2 * length), **line))
    area = np.array([width + abs(slant), height + length])  # where streaks start that may reach the picture
    count = int(-np.log1p(-fraction) * area.prod() / each + rng.random())  # they may overlap
    starts = np.floor(rng.random((count, 2)) * area) - [max(slant, 0), length]  # more drops: the same first
    return x + albumentations.paint_streaks((height, width), starts, **line).astype(np.float32)


@corruption(
    "sun-glare",
    kind="image",
    unit="light of the glare where the sun stands, in multiples of white",
    table=(0.5, 1, 2, 4, 8),
    source="ours: stray light falls with the square of the angle (Stiles and Holladay)",
)
def sun_glare(x: Array, peak: float, rng: np.random.Generator) -> Array:
    """White stray light around a sun in the upper half, added to the scene's."""
    # albumentations' flares are drawn in steps of 10 px, or blurred by 15: at 28 px they are nothing or everything
    height, width = x.shape[:2]
    sun = rng.random(2) * [height / 2, width]
    down, across = np.ogrid[:height, :width]
    distance = ((down - sun[0]) ** 2 + (across - sun[1]) ** 2) / (GLOW * max(height, width)) ** 2
    return encode_srgb(LIGHT[x] + (peak / (1 + distance))[..., None].astype(np.float32))


@corruption(
    "light-flicker",
    kind="image",
    unit="fraction of the light lost in the darkest rows",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source="ours: bulbs lose a tenth at each half wave of the mains, cheap LEDs all",
)
def light_flicker(x: Array, depth: float, rng: np.random.Generator) -> Array:
    """Two to five dark bands across the rows: a lamp that follows the mains while the rows are read one by one."""
    bands, phase = rng.uniform(2, 5), rng.random()
    row = (np.arange(len(x)) + 0.5) / len(x)
    lost = depth * (1 + np.cos(2 * np.pi * (bands * row + phase))) / 2
    return scale_light(x, (1 - lost)[:, None])


@corruption(
    "shadow",
    kind="image",
    unit="stops (EV) of light lost in the shadow",
    table=(0.5, 1, 2, 3, 4),
    source="ours: three stops lie between the sunlit street and the shade of a house",
)
def shadow(x: Array, stops: float, rng: np.random.Generator) -> Array:
    """The shadow of a straight edge that crosses the middle of the picture and darkens one side of it."""
    size = np.array([x.shape[1], x.shape[0]])
    edge, angle = size * rng.uniform(0.25, 0.75, 2), rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * 2 * size.max()
    inward = np.array([-along[1], along[0]])
    corners = np.stack([edge - along, edge + along, edge + along + inward, edge - along + inward])
    return albumentations.paint_shadow(x, np.rint(corners).astype(np.int32), 1 - 2 ** (-stops / GAMMA))


@corruption(
    "lens-dirt",
    kind="image",
    unit="fraction of the area",
    table=(0.05, 0.1, 0.2, 0.3, 0.4),
    source="ours",
)
def lens_dirt(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Specks on the lens, out of focus, that let a tenth of the light through."""
    height, width = x.shape[:2]
    cells = [max(2, -(-SPECK * side // max(height, width))) for side in (height, width)]
    field = cv2.resize(rng.random(cells), (width, height), interpolation=cv2.INTER_CUBIC)
    count = int(fraction * field.size + rng.random())
    edge = np.partition(field, count - 1, axis=None)[count - 1] if count else -np.inf
    soft = cv2.GaussianBlur((field <= edge).astype(np.float32), (0, 0), max(height, width) / 100 + 0.1)
    return scale_light(x, 1 - (1 - TRANSMITTED) * soft)


@corruption(
    "occlusion",
    kind="image",
    unit="fraction of the area",
    table=(0.05, 0.1, 0.2, 0.3, 0.5),
    source="ours; random erasing (Zhong et al. 2020) draws 0.02 to 0.4",
)
def occlusion(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """One rectangle of one colour, wholly within the picture."""
    aspect = 2 ** rng.uniform(-1, 1)
    size = np.rint(x.shape[:2] * np.sqrt(fraction * np.array([aspect, 1 / aspect]))).astype(int)
    top, left = np.rint(rng.random(2) * (x.shape[:2] - size)).astype(int)
    x[top : top + size[0], left : left + size[1]] = rng.integers(256, size=x.shape[2])
    return x


@corruption(
    "rotation",
    kind="image",
    unit="degrees",
    table=(5, 10, 20, 30, 45),
    source="ours: a careless hand to a camera that has come loose",
)
def rotation(x: Array, degrees: float, rng: np.random.Generator) -> Array:
    """The camera rolled to the left or to the right, about a point in the middle of the picture."""
    return _rotate_and_scale(x, degrees * rng.choice([-1, 1]), 1, rng)


@corruption(
    "translation",
    kind="image",
    unit="fraction of the longer side",
    table=(0.02, 0.04, 0.08, 0.12, 0.2),
    source="ours",
)
def translation(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """The camera pointed beside the scene, in any direction."""
    angle, length = rng.uniform(0, 2 * np.pi), fraction * max(x.shape[:2])
    return _warp_image(x, np.array([[1, 0, length * np.cos(angle)], [0, 1, length * np.sin(angle)], [0, 0, 1]]))


@corruption(
    "magnification",
    kind="image",
    unit="factor",
    table=(1.1, 1.2, 1.4, 1.7, 2),
    zero=1,
    source="ours: a camera up to twice too near",
)
def magnification(x: Array, factor: float, rng: np.random.Generator) -> Array:
    """The scene too near, seen about a point in the middle of the picture."""
    return _rotate_and_scale(x, 0, factor, rng)


@corruption(
    "perspective",
    kind="image",
    unit="degrees between the camera's axis and the scene's",
    table=(10, 20, 30, 40, 50),
    source="ours: a picture seen from the side, from twice its longer side away",
)
def perspective(x: Array, degrees: float, rng: np.random.Generator) -> Array:
    """The scene tilted, as if it were flat, about any axis through the middle of the picture."""
    angle, distance = rng.uniform(0, 2 * np.pi), 2 * max(x.shape[:2])
    tilt = cv2.Rodrigues(np.radians(degrees) * np.array([np.cos(angle), np.sin(angle), 0]))[0]
    tilt[:, 2] = 0, 0, 1  # the scene has no depth, and stands where the camera looks
    camera = np.array([[distance, 0, (x.shape[1] - 1) / 2], [0, distance, (x.shape[0] - 1) / 2], [0, 0, 1]])
    return _warp_image(x, camera @ tilt @ np.linalg.inv(camera))


@corruption(
    "downscale",
    kind="image",
    unit="factor",
    table=(1.5, 2, 3, 4, 6),
    zero=1,
    source="ours: thumbnails, digital zoom, small sensors",
)
def downscale(x: Array, factor: float, rng: np.random.Generator) -> Array:
    """Fewer pixels, each the mean of its area, drawn out again by linear interpolation. Draws nothing."""
    height, width = x.shape[:2]
    small = cv2.resize(x, (max(1, round(width / factor)), max(1, round(height / factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(x.shape)


def _rotate_and_scale(x: Array, degrees: float, factor: float, rng: np.random.Generator) -> Array:
    pivot = rng.uniform(0.25, 0.75, 2) * [x.shape[1] - 1, x.shape[0] - 1]
    return _warp_image(x, np.vstack([cv2.getRotationMatrix2D(pivot, degrees, factor), [0, 0, 1]]))


def _warp_image(x: Array, matrix: Array) -> Array:
    """The picture moved by a matrix (3, 3) of pixels (x, y, 1); mirrored where the camera saw nothing."""
    size = x.shape[1::-1]
    return cv2.warpPerspective(x, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).reshape(x.shape)
