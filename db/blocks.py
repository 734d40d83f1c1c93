"""Arrays as bytes, little endian, in C order: float32, float64, int64, and float16 with a scale.

The scale is a power of two, so that it costs no precision beyond float16's own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAFE_HIGH = 32768.0
"""Largest magnitude stored unscaled; float16 itself ends at 65504."""
_SAFE_LOW = 2.0**-4
"""Below this largest magnitude the block is scaled up, or small values would fall into subnormals."""


def encode_float16(array: ArrayLike) -> tuple[bytes, float]:
    """Encode finite numbers of any shape as float16; returns (bytes, scale), stored × scale = value.

    Relative error is at most 2^-11 for values within 2^-14 of the largest. Raises ValueError for NaN and
    infinities.
    """
    values = np.asarray(array, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a float16 block cannot hold NaN or infinite values")
    largest = float(np.abs(values).max()) if values.size else 0.0
    scale = 1.0
    if largest > _SAFE_HIGH or 0.0 < largest < _SAFE_LOW:
        # The largest value lands in [0.5, 1). frexp's exponent is held where 2^e is an ordinary double.
        scale = 2.0 ** max(math.frexp(largest)[1], -1000)
    with np.errstate(under="ignore"):
        return (values / scale).astype("<f2").tobytes(), scale


def decode_float16(data: bytes, columns: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Decode to a float32 matrix [n, columns]. Raises ValueError where the bytes do not fill whole rows."""
    if columns <= 0 or len(data) % (2 * columns):
        raise ValueError(f"a float16 block of {len(data)} bytes does not hold whole rows of {columns}")
    stored = np.frombuffer(data, dtype="<f2").astype(np.float64)
    return (stored * scale).astype(np.float32).reshape(-1, columns)


def encode_float32(array: ArrayLike) -> bytes:
    """Encode numbers of any shape as float32."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


def decode_float32(data: bytes) -> NDArray[np.float32]:
    """Decode to a float32 vector. Raises ValueError where the bytes are not whole numbers of four."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32)


def encode_float64(array: ArrayLike) -> bytes:
    """Encode numbers of any shape as float64."""
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def decode_float64(data: bytes) -> NDArray[np.float64]:
    """Decode to a float64 vector. Raises ValueError where the bytes are not whole numbers of eight."""
    return np.frombuffer(data, dtype="<f8").astype(np.float64)


def encode_int64(array: ArrayLike) -> bytes:
    """Encode integers of any shape as int64. Raises TypeError for other kinds of numbers."""
    return np.asarray(array).astype("<i8", casting="same_kind", copy=False).tobytes()


def decode_int64(data: bytes) -> NDArray[np.int64]:
    """Decode to an int64 vector. Raises ValueError where the bytes are not whole numbers of eight."""
    return np.frombuffer(data, dtype="<i8").astype(np.int64)
