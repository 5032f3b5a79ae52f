"""One of every kind of image that is bad, or only looks bad."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 32
ORANGE = (230, 110, 20)
BLUE = (20, 60, 200)


def two_halves() -> Image.Image:
    """Orange on the left, blue on the right: shows exchanged channels, flips and rotations."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = ORANGE
    pixels[:, WIDTH // 2 :] = BLUE
    return Image.fromarray(pixels)


def ramp() -> np.ndarray:
    """uint8 ``[HEIGHT, WIDTH]`` from black on the left to white on the right."""
    return np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))


def make_bad_images(folder: Path) -> dict[str, str | None]:
    """Write the images below ``folder``.

    Returns:
        File name to the expected error code, or None where it is to be read without complaint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {**_make_broken(folder), **_make_odd(folder)}


def _make_broken(folder: Path) -> dict[str, str | None]:
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    )
    for name in ("truncated.jpg", "truncated.png"):
        noise.save(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("this is not an image")
    Image.new("RGB", (1, 1)).save(folder / "one-pixel.png")
    (folder / "bomb.png").write_bytes(_png_header(50_000, 50_000))
    (folder / "folder.jpg").mkdir(exist_ok=True)
    link = folder / "broken-link.jpg"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / "gone.jpg")
    return {
        "truncated.jpg": "truncated",
        "truncated.png": "truncated",
        "empty.jpg": "empty",
        "text.jpg": "unreadable",
        "one-pixel.png": "too-small",
        "bomb.png": "too-large",
        "folder.jpg": "unreadable",
        "broken-link.jpg": "missing",
    }


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )


def _make_odd(folder: Path) -> dict[str, str | None]:
    picture = two_halves()
    best = {"quality": 95, "subsampling": 0}
    picture.save(folder / "plain.png")
    picture.save(folder / "plain.jpg", **best)
    picture.save(folder / "png-named.jpg", format="PNG")
    picture.convert("CMYK").save(folder / "cmyk.jpg", **best)
    picture.save(folder / "progressive.jpg", progressive=True, **best)
    picture.save(folder / "mpo.mpo", save_all=True, append_images=[Image.new("RGB", (48, 32))])

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90 degrees clockwise to see it
    picture.save(folder / "rotated.jpg", exif=exif, **best)

    deep = ramp().astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "sixteen-bit.png")
    Image.fromarray(ramp()).save(folder / "grey.jpg", quality=95)
    Image.fromarray(ramp() > 127).save(folder / "one-bit.png")

    palette = picture.quantize(2)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette-transparent.png", transparency=palette.getpixel((0, 0)))
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, : WIDTH // 2] = 0
    see_through = picture.copy()
    see_through.putalpha(Image.fromarray(alpha))
    see_through.save(folder / "alpha.png")
    Image.merge("LA", (Image.fromarray(ramp()), Image.fromarray(alpha))).save(
        folder / "grey-alpha.png"
    )

    second = Image.new("RGB", picture.size, (0, 255, 0))
    for name in ("animated.gif", "animated.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        picture.save(folder / name, save_all=True, append_images=[second], duration=100, **options)
    return dict.fromkeys(
        (
            *("plain.png", "plain.jpg", "png-named.jpg", "cmyk.jpg", "progressive.jpg", "mpo.mpo"),
            *("rotated.jpg", "sixteen-bit.png", "grey.jpg", "one-bit.png", "palette.png"),
            *("palette-transparent.png", "alpha.png", "grey-alpha.png"),
            *("animated.gif", "animated.webp"),
        )
    )
