"""Trains the codec: `accelerate launch -m kisslab.train.codec`. (principal, losses, psnr, main)"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from kisslab.codec import PATCH, Codec
from kisslab.train.card import Card, write_card
from kisslab.train.loop import Batch, Recipe, fit, seconds_spent
from kisslab.train.pictures import crops, read_photographs, read_views

BALANCE = 0.5  # latents are components over their deviation to this power: 0 none, 1 white


def principal(codec: Codec, pictures: list[UInt8[np.ndarray, "N H W 3"]]) -> None:
    """Set the linear part to the principal components of the pictures' patches.

    The mean square of all latents is then 1.
    """
    rows = torch.cat([_patches(stack) for stack in pictures])
    colour = rearrange(rows, "n (p k) -> (n p) k", k=3).mean(dim=0)
    rows = rows - colour.repeat(PATCH * PATCH)
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    channels = codec.config.latent_channels
    deviation, basis = values[-channels:].flip(0).sqrt(), vectors[:, -channels:].flip(1)
    scale = deviation**-BALANCE
    scale = scale / ((deviation * scale) ** 2).mean().sqrt()
    analysis, synthesis = (
        rearrange((basis * s).T, "c (y x k) -> c k y x", y=PATCH, x=PATCH)
        for s in (scale, 1 / scale)
    )
    codec.analysis.weight.data.copy_(analysis)
    codec.analysis.bias.data.copy_(-(analysis.sum(dim=(2, 3)) @ colour))
    codec.synthesis.weight.data.copy_(synthesis)
    codec.synthesis.bias.data.copy_(colour)


def losses(codec: Codec, batch: Batch) -> Batch:
    """Absolute, squared and edge error; a little noise makes decoding robust to denoising."""
    x = batch["pictures"] * 2 - 1
    z = codec.encode(x).latents
    y = codec.decode(z + 0.03 * torch.randn_like(z)).sample.float()
    edges = sum((y.diff(dim=k) - x.diff(dim=k)).abs().mean() for k in (2, 3))
    return {"absolute": (y - x).abs().mean(), "square": F.mse_loss(y, x), "edges": 0.5 * edges}


@torch.no_grad()
def psnr(codec: Codec, pictures: UInt8[np.ndarray, "N H W 3"]) -> float:
    """Mean over pictures of 10 log10(1 / mean squared error), decibel."""
    out = []
    for picture in pictures:
        x = torch.from_numpy(picture[None].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = codec.decode(codec.encode(x).latents).sample.clamp(-1, 1)
        out.append(-10 * torch.log10(F.mse_loss(y, x) / 4))
    return float(torch.stack(out).mean())


def main(
    views: Annotated[Path, typer.Option(help="folder of person_*.npz")],
    photos: Annotated[Path, typer.Option(help="folder of folders of photographs")],
    out: Annotated[Path, typer.Option(help="folder of the finished model")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints")],
    steps: int = 4000,
) -> None:
    """Train the codec on studio people and photographs, and write its card."""
    people = read_views(views)
    studio = np.concatenate([v.rgb for v in people[8:]])
    faces = read_photographs(photos, size=256, held=False)
    codec = Codec()
    torch.manual_seed(0)
    principal(codec, [faces, studio[:: max(1, len(studio) // 400)]])
    before = psnr(codec, read_photographs(photos, size=256, held=True))

    def batch(rng: np.random.Generator) -> Batch:
        return {"pictures": torch.cat([crops(faces, rng, 8, 128), crops(studio, rng, 8, 128)])}

    recipe = Recipe(steps=steps, rate=5e-4)
    codec = fit(codec, batch, losses, work, recipe).float().cpu()
    codec.to(torch.float16).save_pretrained(out)
    codec.float()
    held = np.concatenate([v.rgb for v in people[:8]])
    write_card(
        Card(
            title="kisslab codec",
            task="image autoencoder, 8 times smaller per side, 16 channels, diffusers format",
            data=f"{len(studio)} studio pictures, {len(faces)} photographs of people who do not "
            "exist (SFHQ and SFHQ-T2I, David Beniaguev, MIT)",
            recipe=recipe,
            seconds=seconds_spent(work),
            figures={
                "psnr_photos_held_out": psnr(codec, read_photographs(photos, size=256, held=True)),
                "psnr_photos_linear_start": before,
                "psnr_studio_held_out": psnr(codec, held),
            },
            limits="Trained on heads and shoulders; text and fine patterns come out soft.",
        ),
        out,
        work,
    )


def _patches(pictures: UInt8[np.ndarray, "N H W 3"]) -> Float[Tensor, "M D"]:
    x = torch.from_numpy(pictures).float() / 127.5 - 1
    return rearrange(x, "n (i y) (j x) k -> (n i j) (y x k)", y=PATCH, x=PATCH)


if __name__ == "__main__":
    typer.run(main)
