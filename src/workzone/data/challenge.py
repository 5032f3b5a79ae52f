"""The images that NATIX StreetVision (Bittensor subnet 72) sends, made from any frame.

What a validator does to an image before it sends it, by level; every level ends in a JPEG of
224x224 pixels at Pillow's default quality (75, 4:2:0):

===== ==========================================================================================
level what is done
===== ==========================================================================================
0     a square of the shorter side, from the centre
1     turned by up to 20 degrees (nearest pixel, black corners), then a random square of 0.2 to 1
      of the frame's area
2     as 1, then colour, contrast and resolution, each at strength 0 or 1
3     as 2 at strength 0, 1 or 2, then colour noise and blur, each at strength 0, 1 or 2
===== ==========================================================================================

The parameters, their order and the roundings are those of ``natix/utils/image_transforms.py`` and
``natix/protocol.py`` in the package natix 2.0.4 (github.com/natixnetwork/streetvision-subnet); its
distortions follow DeeperForensics-1.0 (Jiang et al., CVPR 2020). YCbCr is OpenCV's, for floats.
Not simulated: generated images, and crops moved so as to keep the inpainted spot of one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from workzone.data.images import decode
from workzone.errors import UsageError

SIDE = 224
"""Pixels of a challenge image, both ways."""
LEVELS = (0, 1, 2, 3)
"""All equally likely."""

TURN = 20.0
LEAST_AREA = 0.2
TRIES = 10
"""Draws of a square until one fits into the frame; then the largest in the centre is taken."""

# By strength 0 (left out), 1 and 2.
SATURATION = (1.0, 0.4, 0.3)
CONTRAST = (1.0, 0.85, 0.725)
SHRINK = (1, 2, 3)
NOISE = (0.0, 0.001, 0.002)
BLUR = (0, 7, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is done to one frame."""

    level: int
    top: int  # of the square that is kept, pixels of the frame
    left: int
    side: int
    angle: float = 0.0  # degrees, counter-clockwise, before the crop
    mirrored: bool = False  # left and right
    overturned: bool = False  # top and bottom
    saturation: float = 1.0  # chroma is scaled by this
    contrast: float = 1.0  # pixel values are scaled by this
    shrink: int = 1  # resolution is divided by this, and brought back
    noise: float = 0.0  # variance in Y, Cb and Cr, of a range of 1
    blur: int = 0  # pixels of a Gaussian kernel of sigma blur / 6; 0 for none
    noise_seed: int = 0

    def scaled(self, scale: float) -> Changes:
        """The same done to the frame at another size: to its masks, say."""
        top, left, side = (round(v * scale) for v in (self.top, self.left, self.side))
        return dataclasses.replace(self, top=top, left=left, side=max(1, side))


@dataclass(frozen=True, slots=True)
class ChallengeImage:
    """``jpeg``: as it is sent; ``pixels``: uint8 ``[3, 224, 224]``, decoded from it."""

    jpeg: bytes
    pixels: torch.Tensor
    changes: Changes


def challenge_image(
    frame: torch.Tensor,
    *,
    identity: str,
    seed: int = 0,
    level: int | None = None,
    flips: bool = False,
) -> ChallengeImage:
    """Make a challenge of a frame, reproducibly.

    The random numbers depend on (seed, identity, level) alone: not on the order of images, nor on
    the number of workers.

    Args:
        frame: uint8 ``[3, H, W]``, upright.
        identity: of the image, such as its content hash.
        seed: of all that is drawn.
        level: 0 to 3; None draws one.
        flips: mirror and overturn, each with probability 1/2, at levels 1 to 3. The validator's
            code names both flips, but its condition never holds, so they are off.

    Raises:
        UsageError: no such level.
    """
    changes = changes_of(
        frame.shape[1], frame.shape[2], identity=identity, seed=seed, level=level, flips=flips
    )
    jpeg = _encoded(apply_changes(frame, changes))
    return ChallengeImage(jpeg, decode(jpeg), changes)


def changes_of(
    height: int,
    width: int,
    *,
    identity: str,
    seed: int = 0,
    level: int | None = None,
    flips: bool = False,
) -> Changes:
    """What `challenge_image` does to a frame of so many pixels.

    Raises:
        UsageError: no such level.
    """
    if level is None:
        level = draw_level(identity=identity, seed=seed)
    random = _random(seed, identity, level)
    return draw_changes(random, level=level, width=width, height=height, flips=flips)


def draw_level(*, identity: str, seed: int = 0) -> int:
    """Draw the level of an image's challenge: 0 to 3, each with probability 1/4."""
    return int(_random(seed, identity).choice(LEVELS))


def draw_changes(
    random: np.random.Generator, *, level: int, width: int, height: int, flips: bool = False
) -> Changes:
    """Draw what to do to a frame of ``width`` x ``height`` pixels.

    Raises:
        UsageError: no such level.
    """
    if level not in LEVELS:
        raise UsageError(f"level {level}: a challenge is of level 0, 1, 2 or 3")
    if level == 0:
        side = min(width, height)
        top, left = round((height - side) / 2), round((width - side) / 2)
        return Changes(level=0, top=top, left=left, side=side)
    angle = float(random.uniform(-TURN, TURN))
    top, left, side = _square(random, width, height)
    mirrored, overturned = (random.random(2) < (0.5 if flips else 0.0)).tolist()
    first = random.integers(0, (1, 1, 2, 3)[level], size=3)  # strengths; below 1 there is only 0
    then = random.integers(0, 3 if level == 3 else 1, size=2)
    return Changes(
        level=level,
        top=top,
        left=left,
        side=side,
        angle=angle,
        mirrored=mirrored,
        overturned=overturned,
        saturation=SATURATION[first[0]],
        contrast=CONTRAST[first[1]],
        shrink=SHRINK[first[2]],
        noise=NOISE[then[0]],
        blur=BLUR[then[1]],
        noise_seed=int(random.integers(1 << 40)),
    )


def apply_changes(frame: torch.Tensor, changes: Changes) -> torch.Tensor:
    """A frame after its changes, before it is sent.

    Args:
        frame: uint8 ``[3, H, W]``.
        changes: what to do.

    Returns:
        uint8 ``[3, 224, 224]``.
    """
    top, left, side = changes.top, changes.left, changes.side
    if changes.level == 0:  # resized by Pillow, which rounds; the others by torch, then cut off
        square = frame[:, top : top + side, left : left + side].permute(1, 2, 0)
        small = Image.fromarray(square.numpy()).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1)
    image = turned_and_cropped(frame, changes)
    return distorted((image * 255).clamp(0, 255).to(torch.uint8), changes)


def turned_and_cropped(image: torch.Tensor, changes: Changes) -> torch.Tensor:
    """What of a frame is kept, and where: rotation, square, size and flips.

    Args:
        image: uint8 ``[C, H, W]``: a frame, or masks of it.
        changes: what to do.

    Returns:
        ``[C, 224, 224]``, 0..1.
    """
    from torchvision.transforms.v2 import functional as T  # a second of every start

    turned = T.rotate(image, changes.angle)
    square = T.crop(turned, changes.top, changes.left, changes.side, changes.side)
    image = T.resize(square.float() / 255, [SIDE, SIDE], antialias=True)
    if changes.mirrored:
        image = image.flip(2)
    if changes.overturned:
        image = image.flip(1)
    return image


def distorted(image: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Colour, contrast, resolution, noise and blur, in the validator's order.

    Args:
        image: uint8 ``[3, S, S]``; it sends 224 x 224.
        changes: what to do.

    Returns:
        uint8 of the same shape; a fraction of a level is cut off after the first two.
    """
    if changes.saturation != 1:
        ycbcr = _to_ycbcr(image)
        ycbcr[1:] = 0.5 + (ycbcr[1:] - 0.5) * changes.saturation
        image = _to_rgb(ycbcr)
    if changes.contrast != 1:
        image = (image.float() * changes.contrast).to(torch.uint8)
    if changes.shrink != 1:
        whole = image.shape[-1]
        for side in (whole // changes.shrink, whole):  # without antialiasing, as OpenCV resizes
            image = F.interpolate(image[None], (side, side), mode="bilinear")[0]
    if changes.noise:
        ycbcr = _to_ycbcr(image)
        normal = np.random.default_rng(changes.noise_seed).standard_normal(ycbcr.shape)
        # The variance is of a range of 1, into which the validator brings YCbCr by another 255.
        image = _to_rgb(ycbcr + 255 * np.sqrt(changes.noise) * normal)
    if changes.blur:
        from torchvision.transforms.v2 import functional as T

        kernel, sigma = changes.blur, changes.blur / 6
        image = T.gaussian_blur(image, kernel_size=[kernel, kernel], sigma=[sigma, sigma])
    return image


def _square(random: np.random.Generator, width: int, height: int) -> tuple[int, int, int]:
    """Top, left and side of a random square, as torchvision's RandomResizedCrop draws it."""
    for _ in range(TRIES):
        side = round(float(np.sqrt(width * height * random.uniform(LEAST_AREA, 1))))
        if 0 < side <= min(width, height):
            top = int(random.integers(0, height - side + 1))
            return top, int(random.integers(0, width - side + 1)), side
    side = min(width, height)
    return (height - side) // 2, (width - side) // 2, side


def _to_ycbcr(image: torch.Tensor) -> npt.NDArray[np.float64]:
    """uint8 RGB ``[3, H, W]`` to YCbCr as the validator has it: Y in 0..219, grey at Cb = Cr = 0.5.

    It takes OpenCV's formulas, whose offsets are for values in 0..1, to values in 0..255.
    """
    r, g, b = image.numpy().astype(np.float64)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    cb, cr = (b - y) * 0.564 + 0.5, (r - y) * 0.713 + 0.5
    return np.stack([y * 219 + 16, cb * 224 + 16, cr * 224 + 16]) / 255


def _to_rgb(ycbcr: npt.NDArray[np.float64]) -> torch.Tensor:
    """The way back, to uint8; fractions are cut off."""
    y = (ycbcr[0] * 255 - 16) / 219
    cb, cr = (ycbcr[1:] * 255 - 16) / 224 - 0.5
    rgb = np.stack([y + 1.403 * cr, y - 0.714 * cr - 0.344 * cb, y + 1.773 * cb])
    return torch.from_numpy(rgb.clip(0, 255).astype(np.uint8))


def _encoded(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="JPEG")
    return buffer.getvalue()


def _random(*names: object) -> np.random.Generator:
    text = "challenge/" + "/".join(map(str, names))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
