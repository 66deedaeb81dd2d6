"""AnimateDiff: the guide repainted, each face in its own region. (AnimateDiffVideoToVideo)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AnimateDiffVideoToVideoPipeline, MotionAdapter
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from kisslab.backends.backend import Backend, Told, pictures
from kisslab.backends.loading import find_folder, need, read_weights

GUIDANCE = 7.5  # diffusers' default for this pipeline


class AnimateDiffVideoToVideo(Backend):
    """Told the guide, the strength, a prompt, and by IP-Adapter FaceID who is who.

    Guo et al. 2024, "AnimateDiff"; Ye et al. 2023, "IP-Adapter". Both faces ride in one adapter; a
    mask per frame and person, which follows the plan, gives each its region.
    """

    pipeline = AnimateDiffVideoToVideoPipeline
    takes = ("AnimateDiffVideoToVideoPipeline", "AnimateDiffPipeline")

    def __init__(
        self,
        model: str,
        *,
        motion: str | None = None,
        face_adapter: str | Path | dict | None = None,
        masked: bool = True,
        **options: Any,
    ):
        """As for Backend.

        motion: a MotionAdapter, folder or name; then `model` may be any Stable Diffusion 1.5.
        face_adapter: weights of IP-Adapter FaceID, a file or "owner/repository/file"; without it
        nobody is told who they are. masked: off, both faces are told everywhere.
        """
        if motion is not None:
            folder = find_folder(MotionAdapter, motion)
            dtype = options.get("dtype", torch.bfloat16)
            options["motion_adapter"] = MotionAdapter.from_pretrained(folder, torch_dtype=dtype)
            self.takes = (*self.takes, "StableDiffusionPipeline")
        self.masked, self.face_adapter = masked, face_adapter
        super().__init__(model, **options)

    def add_parts(self) -> None:
        """The face adapter. ImportError: it has LoRA weights inside, and there is no peft."""
        if self.face_adapter is None:
            return
        given = self.face_adapter
        weights = given if isinstance(given, dict) else read_weights(given)
        if any("lora" in name for name in weights["ip_adapter"]):
            need("peft", "the LoRA weights of this face adapter", extra="lora")
        self.pipe.load_ip_adapter(weights, subfolder="", weight_name="", image_encoder_folder=None)

    def arguments(self, told: Told) -> dict[str, Any]:
        """The guide, strength, prompt, faces and their regions."""
        out = {
            "video": pictures(told.frames),
            "strength": told.strength,
            "prompt": told.prompt,
            "guidance_scale": GUIDANCE,
            "decode_chunk_size": 8,
        }
        self._check(told)
        if self.face_adapter is not None:
            out["ip_adapter_image_embeds"] = [self._faces(told)]
        if self.face_adapter is not None and self.masked:
            regions = torch.from_numpy(region_masks(told)).to(self.pipe.unet.dtype)
            out["cross_attention_kwargs"] = {"ip_adapter_masks": [torch.cat([regions] * 2)]}
        return out

    def multiple(self) -> int:
        """The VAE's factor times that of the network's own halvings."""
        return self.pipe.vae_scale_factor * 2 ** (len(self.pipe.unet.config.block_out_channels) - 1)

    def _faces(self, told: Told) -> Float[Tensor, "2 p d"]:
        """Nobody for the unguided half of the batch, then everybody."""
        faces = torch.tensor(told.identity.embeddings, dtype=self.pipe.unet.dtype)
        return torch.stack([torch.zeros_like(faces), faces])

    def _check(self, told: Told) -> None:
        most = self.pipe.unet.config.motion_max_seq_length
        if len(told.frames) > most:
            raise ValueError(
                f"{len(told.frames)} frames: this motion adapter knows at most {most}; plan fewer "
                "(fps, seconds), or pick frames by motion.pick"
            )
        if self.face_adapter is None:
            return
        layer = self.pipe.unet.encoder_hid_proj.image_projection_layers[0]
        knows, has = layer.ff.net[0].proj.in_features, told.identity.embeddings.shape[1]
        if knows != has:
            raise ValueError(
                f"the face adapter reads vectors of {knows} numbers, {told.identity.model} makes "
                f"{has}; embed with the pack that it was trained for (buffalo_l has 512)"
            )


def region_masks(told: Told) -> Float[np.ndarray, "N 2 h w"]:
    """1 where a person is in a frame of the guide, at the model's size; left and right."""
    size = told.first.shape[1::-1]
    masks = [
        [
            np.asarray(Image.fromarray(layer == person).convert("L").resize(size, Image.BOX))
            for person in (1, 2)
        ]
        for layer in told.guide.layers
    ]
    return np.array(masks, np.float32) / 255
