"""The codec's linear start against numpy's SVD, and what the shipped codec keeps."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from einops import rearrange

from kisslab import zoo
from kisslab.codec import Codec
from kisslab.photo import load_photo
from kisslab.train.codec import principal, psnr


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def pictures() -> np.ndarray:
    """Smooth noise with an average that is not grey."""
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(8, 64, 64, 3)) * [30, 25, 20]
    smooth = rough.cumsum(axis=1) / 4 + rough.cumsum(axis=2) / 4
    return np.clip(smooth + np.array([150, 120, 100]), 0, 255).astype(np.uint8)


def as_input(stack: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(stack.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def codec() -> Codec:
    made = Codec(latent_channels=24, width=8, deep=8).eval()
    principal(made, [pictures()])
    return made


def test_the_start_is_the_best_linear_code(codec: Codec) -> None:
    stack = pictures()
    rows = rearrange(stack / 127.5 - 1, "n (i y) (j x) k -> (n i j) (y x k)", y=8, x=8)
    colour = np.tile(rows.reshape(-1, 3).mean(axis=0), 64)
    u, s, vt = np.linalg.svd(rows - colour, full_matrices=False)
    best = (u[:, :24] * s[:24]) @ vt[:24] + colour
    best = rearrange(best, "(n i j) (y x k) -> n k (i y) (j x)", n=8, i=8, y=8, x=8)
    found = codec.decode(codec.encode(as_input(stack)).latents).sample
    np.testing.assert_allclose(found.numpy(), best, atol=2e-4)


def test_latents_have_a_mean_square_of_1(codec: Codec) -> None:
    latents = codec.encode(as_input(pictures())).latents
    assert float(latents.square().mean()) == pytest.approx(1, rel=1e-3)


def test_psnr_of_a_known_error() -> None:
    made = Codec(latent_channels=8, width=8, deep=8).eval()
    torch.nn.init.zeros_(made.synthesis.weight)
    torch.nn.init.constant_(made.synthesis.bias, 0.0)  # always mid grey
    white = np.full((2, 32, 32, 3), 255, np.uint8)
    assert psnr(made, white) == pytest.approx(10 * np.log10(4), abs=1e-3)  # an error of 1/2


def test_the_shipped_codec_keeps_a_portrait() -> None:
    photo = load_photo(zoo.data_path("portraits/single_15.jpg"), max_side=256)
    picture = (photo.rgb * 255 + 0.5).astype(np.uint8)
    shipped = Codec.from_pretrained(zoo.data_path("models/codec"), torch_dtype=torch.float32)
    assert psnr(shipped.eval(), picture[None]) >= 30
