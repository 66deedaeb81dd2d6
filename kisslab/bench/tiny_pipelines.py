"""The six video pipelines of diffusers, real classes with tiny random weights, saved as folders.

(save_pipeline, face_adapter, kiss_lora; MAKERS)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import diffusers as d
import torch
import transformers as t
from diffusers import DiffusionPipeline
from torch import Tensor

WORDS = [f"<extra_{i}>" for i in range(10)] + ["▁two", "▁adults", "▁kiss", "▁", "a", "e", "t"]


def save_pipeline(name: str, folder: Path) -> Path:
    """The pipeline of that class, random weights, written to folder/name by save_pretrained."""
    torch.manual_seed(3)
    place = folder / name
    MAKERS[name]().save_pretrained(place)
    return place


def stable_video_diffusion() -> DiffusionPipeline:
    vision = t.CLIPVisionConfig(
        hidden_size=16, projection_dim=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=224, intermediate_size=16, patch_size=112,
    )  # fmt: skip
    return d.StableVideoDiffusionPipeline(
        vae=d.AutoencoderKLTemporalDecoder(
            block_out_channels=[32] * 4, latent_channels=4, layers_per_block=1,
            down_block_types=["DownEncoderBlock2D"] * 4,
        ),
        image_encoder=t.CLIPVisionModelWithProjection(vision),
        unet=d.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 32), layers_per_block=1, sample_size=8, in_channels=8,
            out_channels=4, cross_attention_dim=16, num_attention_heads=2,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=24,
        ),
        scheduler=d.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            interpolation_type="linear", prediction_type="v_prediction", use_karras_sigmas=True,
            timestep_spacing="leading", timestep_type="continuous", steps_offset=1,
            sigma_min=0.002, sigma_max=700.0,
        ),
        feature_extractor=t.CLIPImageProcessor(crop_size=32, size=32),
    )  # fmt: skip


def wan_image_to_video() -> DiffusionPipeline:
    vision = t.CLIPVisionConfig(
        hidden_size=4, projection_dim=4, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, intermediate_size=16, patch_size=16,
    )  # fmt: skip
    return d.WanImageToVideoPipeline(
        **_wan_parts(),
        # Told a first and a last picture: 5 tokens each (2 x 2 places and the whole), as FLF2V is.
        transformer=d.WanTransformer3DModel(
            **_wan_size(36), image_dim=4, pos_embed_seq_len=2 * 5, added_kv_proj_dim=24
        ),
        image_encoder=t.CLIPVisionModel(vision),
        image_processor=t.CLIPImageProcessor(crop_size=32, size=32),
    )


def wan_video_to_video() -> DiffusionPipeline:
    network = d.WanTransformer3DModel(**_wan_size(16))
    return d.WanVideoToVideoPipeline(**_wan_parts(), transformer=network)


def wan_vace() -> DiffusionPipeline:
    network = d.WanVACETransformer3DModel(
        **_wan_size(16), vace_layers=[0], vace_in_channels=2 * 16 + 64
    )
    return d.WanVACEPipeline(**_wan_parts(), transformer=network)


def animate_diff() -> DiffusionPipeline:
    channels = (16, 16)
    return d.AnimateDiffVideoToVideoPipeline(
        unet=d.UNet2DConditionModel(
            block_out_channels=channels, layers_per_block=1, sample_size=8, in_channels=4,
            out_channels=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
            norm_num_groups=2, attention_head_dim=8,
        ),
        motion_adapter=d.MotionAdapter(
            block_out_channels=channels, motion_layers_per_block=1, motion_norm_num_groups=2,
            motion_num_attention_heads=2, motion_max_seq_length=32,
        ),
        scheduler=d.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False
        ),
        vae=d.AutoencoderKL(
            block_out_channels=[8, 8, 8, 8], latent_channels=4, norm_num_groups=2,
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        ),
        text_encoder=t.CLIPTextModel(
            t.CLIPTextConfig(
                hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
                vocab_size=16, max_position_embeddings=128, bos_token_id=0, eos_token_id=1,
            )
        ),
        tokenizer=t.CLIPTokenizer(
            vocab={"<|startoftext|>": 0, "<|endoftext|>": 1, "k": 2, "s</w>": 3, "ks</w>": 4},
            merges=[("k", "s</w>")], model_max_length=128,
        ),
    )  # fmt: skip


def ltx_condition() -> DiffusionPipeline:
    return d.LTXConditionPipeline(
        scheduler=d.FlowMatchEulerDiscreteScheduler(),
        vae=d.AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8), layers_per_block=(1,) * 5,
            decoder_block_out_channels=(8, 8, 8, 8), decoder_layers_per_block=(1,) * 5,
            spatio_temporal_scaling=(True, True, True, False),
            decoder_spatio_temporal_scaling=(True, True, True, False),
        ),
        text_encoder=t.T5EncoderModel(t.T5Config(**_t5_size())),
        tokenizer=_tokenizer(),
        transformer=d.LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16,
            cross_attention_dim=32, num_layers=1, caption_channels=16,
        ),
    )  # fmt: skip


MAKERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "StableVideoDiffusionPipeline": stable_video_diffusion,
    "WanImageToVideoPipeline": wan_image_to_video,
    "WanVideoToVideoPipeline": wan_video_to_video,
    "WanVACEPipeline": wan_vace,
    "AnimateDiffVideoToVideoPipeline": animate_diff,
    "LTXConditionPipeline": ltx_condition,
}


def face_adapter(pipe: DiffusionPipeline, dim: int) -> dict[str, dict[str, Tensor]]:
    """Random weights of an IP-Adapter FaceID in its published layout; dim: of a face's vector."""
    torch.manual_seed(4)
    tokens, wide = 4, pipe.unet.config.cross_attention_dim
    projection = {
        "proj.0.weight": torch.randn(2 * dim, dim) / dim**0.5,
        "proj.0.bias": torch.zeros(2 * dim),
        "proj.2.weight": torch.randn(tokens * wide, 2 * dim) / dim**0.5,
        "proj.2.bias": torch.zeros(tokens * wide),
        "norm.weight": torch.ones(wide),
        "norm.bias": torch.zeros(wide),
    }
    layers, number = {}, 1
    for name in pipe.unet.attn_processors:
        if "motion_modules" in name or name.endswith("attn1.processor"):
            continue
        hidden = pipe.unet.get_submodule(name.removesuffix(".processor")).inner_dim
        for part in ("to_k_ip", "to_v_ip"):
            layers[f"{number}.{part}.weight"] = torch.randn(hidden, wide)
        number += 2
    return {"image_proj": projection, "ip_adapter": layers}


def kiss_lora(rank: int = 2) -> dict[str, Tensor]:
    """Random LoRA weights for the first attention of a tiny Wan network, in diffusers' names."""
    torch.manual_seed(6)
    place = "transformer.blocks.0.attn1.to_q"
    return {
        f"{place}.lora_A.weight": torch.randn(rank, 24),
        f"{place}.lora_B.weight": torch.randn(24, rank),
    }


def _wan_parts() -> dict[str, object]:
    vae = d.AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )  # fmt: skip
    return {
        "vae": vae,
        "scheduler": d.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        "text_encoder": t.UMT5EncoderModel(t.UMT5Config(**_t5_size())),
        "tokenizer": _tokenizer(),
    }


def _wan_size(channels: int) -> dict[str, object]:
    return {
        "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12,
        "in_channels": channels, "out_channels": 16, "text_dim": 16, "freq_dim": 16,
        "ffn_dim": 24, "num_layers": 1, "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 32,
    }  # fmt: skip


def _t5_size() -> dict[str, int]:
    return {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 32}


def _tokenizer() -> t.T5Tokenizer:
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((word, -1.0) for word in WORDS)]
    return t.T5Tokenizer(vocab=vocab, extra_ids=0)
