"""The field's video models, through diffusers' own classes with tiny random weights."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from people import draw_couple, true_cutout
from PIL import Image
from torch import Tensor

from kisslab import draw_guide, embed, plan_kiss
from kisslab.backends import (
    AnimateDiffVideoToVideo,
    Backend,
    LTXCondition,
    WanImageToVideo,
    WanVACE,
    WanVideoToVideo,
    add_lora,
    by_layer,
    by_part,
    checks,
    save_memory,
    whole,
)
from kisslab.backends.animatediff import region_masks
from kisslab.backends.loading import find_folder, read_weights
from kisslab.bench.backends import BACKENDS, identity_bleed, is_clear, load_tiny, small_records
from kisslab.bench.bad_models import BAD_MODELS
from kisslab.bench.full_size import FULL, enlarge, full_network, memory_and_overhead
from kisslab.bench.tiny_pipelines import kiss_lora, save_pipeline
from kisslab.painting import Painted
from kisslab.samplers import Step

CELL = {"strength": 0.5, "steps": 4, "seed": 0, "longest": 48}  # the same for every model
FRAMES = 6


@pytest.fixture(scope="module")
def records() -> tuple[Any, ...]:
    """Photo, faces, motion, guide and identity of a drawn couple."""
    drawing = draw_couple((96, 64), width=26)
    motion = plan_kiss(drawing.faces, seconds=FRAMES / 8, fps=8.0)
    guide = draw_guide(drawing.photo, drawing.faces, motion, true_cutout(drawing))
    return drawing.photo, drawing.faces, motion, guide, embed(drawing.photo, drawing.faces)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pipelines are saved."""
    return tmp_path_factory.mktemp("pipelines")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[type, Backend]:
    """Every backend, loaded from a folder once."""
    return {kind: load_tiny(kind, folder) for kind in BACKENDS}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, loaded: dict[type, Backend]) -> Iterator[list[Tensor]]:
    """What the VAEs were given to decode."""
    given: list[Tensor] = []
    for backend in loaded.values():
        vae, decode = backend.pipe.vae, backend.pipe.vae.decode

        def watch(z: Tensor, *args: Any, decode: Any = decode, **options: Any) -> Any:
            given.append(z.detach().clone())
            return decode(z, *args, **options)

        monkeypatch.setattr(vae, "decode", watch)
    yield given


def cell(backend: Backend, records: tuple[Any, ...], **changed: Any) -> tuple[list[Step], Painted]:
    """The notebook's cell."""
    *trail, painted = backend(*records, **{**CELL, **changed})
    return trail, painted


@pytest.mark.parametrize("kind", BACKENDS)
def test_every_model_gives_steps_and_a_painted_clip(
    kind: type, loaded: dict[type, Backend], records: tuple[Any, ...], decoded: list[Tensor]
) -> None:
    backend, guide = loaded[kind], records[3]
    trail, painted = cell(backend, records)
    assert len(trail) == (4 if kind is WanVACE else 2)  # VACE's strength is in its mask
    assert all(type(step) is Step for step in trail)
    assert [step.index for step in trail] == list(range(len(trail)))
    sigmas = [step.sigma for step in trail]
    assert sigmas == sorted(sigmas, reverse=True)
    assert {step.clean.shape for step in trail} == {step.noisy.shape for step in trail}
    assert all(step.clean.dtype == np.float32 for step in trail)
    assert painted.frames.shape == guide.frames.shape
    assert painted.frames.min() >= 0
    assert painted.frames.max() <= 1
    np.testing.assert_allclose(guide.frames + painted.change, painted.frames, atol=2e-2)
    # The last estimate of the clean clip is what the VAE decodes, but for a scale per channel.
    z = torch.cat(decoded).float()
    z = z.transpose(1, 2).flatten(0, 1) if z.ndim == 5 else z
    assert z.shape == trail[-1].clean.shape
    for made, last in zip(z.numpy().swapaxes(0, 1), trail[-1].clean.swapaxes(0, 1), strict=True):
        assert np.corrcoef(made.ravel(), last.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("kind", [k for k in BACKENDS if k is not WanVACE])
def test_a_seed_repeats_and_the_reader_may_stop(
    kind: type, loaded: dict[type, Backend], records: tuple[Any, ...], decoded: list[Tensor]
) -> None:
    backend = loaded[kind]
    scheduler = backend.pipe.scheduler
    firsts = []
    for seed in (1, 1, 2):
        steps = backend(*records, **{**CELL, "seed": seed})
        firsts.append(next(steps))
        steps.close()
        assert not [t for t in threading.enumerate() if t.name.startswith("pipeline")]
    assert not decoded  # it ended at the first step
    assert backend.pipe.scheduler is scheduler
    np.testing.assert_array_equal(firsts[0].clean, firsts[1].clean)
    assert np.abs(firsts[0].clean - firsts[2].clean).max() > 1e-3


def test_the_pipeline_waits_for_its_reader(
    loaded: dict[type, Backend], records: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, calls = loaded[WanVideoToVideo], []
    network = backend.pipe.transformer
    network.register_forward_hook(lambda *_: calls.append(1))
    steps = backend(*records, **CELL)
    next(steps)
    before = len(calls)
    next(steps)
    assert (before, len(calls)) == (2, 4)  # with and without the prompt at each step
    steps.close()


def test_what_goes_wrong_inside_reaches_the_reader(
    loaded: dict[type, Backend], records: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("out of memory")

    backend = loaded[WanVideoToVideo]
    monkeypatch.setattr(backend.pipe.vae, "decode", fail)
    steps = backend(*records, **CELL)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(steps)


@pytest.mark.parametrize("kind", [k for k in BACKENDS if k is not WanVACE])
def test_strength_is_the_distance_from_the_guide(
    kind: type, loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    """One step of twenty begins with less noise than all twenty do: two seeds differ less.

    In the last frame: what diffusers encodes as LTX's first keyframe is random by itself.
    """

    def apart(strength: float) -> float:
        starts = []
        for seed in (1, 2):
            steps = loaded[kind](*records, strength=strength, steps=20, seed=seed, longest=48)
            starts.append(next(steps).noisy[-1])
            steps.close()
        return float(np.std(starts[0] - starts[1]))

    assert apart(0.05) < 0.5 * apart(1.0)


@pytest.mark.parametrize(("strength", "steps"), [(0.0, 4), (1.1, 4), (0.1, 5)])
def test_a_strength_that_can_not_be(
    strength: float, steps: int, loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match=f"strength={strength}"):
        cell(loaded[WanVideoToVideo], records, strength=strength, steps=steps)


def test_image_to_video_ends_in_the_contact(
    loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    _, _, motion, guide, _ = records
    backend = loaded[WanImageToVideo]
    told = backend.tell(*records, **CELL)
    arguments = backend.arguments(told)
    shown = np.asarray(arguments["last_image"], float) / 255
    small = Image.fromarray((guide.frames[motion.contact] * 255).astype(np.uint8))
    want = np.asarray(small.resize(shown.shape[1::-1], Image.Resampling.BOX), float) / 255
    np.testing.assert_allclose(shown, want, atol=0.02)  # two roundings to bytes
    _, painted = cell(backend, records)
    after = motion.contact + 1
    assert (painted.mask[:after] == 1).all() and (painted.mask[after:] == 0).all()
    np.testing.assert_array_equal(painted.frames[after:], guide.frames[after:])


def test_vace_paints_where_the_guide_is_unsure(
    loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    guide = records[3]
    backend = loaded[WanVACE]
    told = backend.tell(*records, strength=0.5, longest=96)  # the guide's own size
    arguments = backend.arguments(told)
    masks = np.stack([np.asarray(m)[..., 0] for m in arguments["mask"]])[: len(guide.frames)]
    np.testing.assert_array_equal(masks == 255, guide.confidence < 0.5)
    assert 0 < (masks == 255).mean() < 1
    assert len(arguments["reference_images"]) == 2
    left, right = arguments["reference_images"]
    assert left.size[1] <= guide.frames.shape[1] and np.asarray(left).std() > 5
    assert left.size != right.size or np.asarray(left).tobytes() != np.asarray(right).tobytes()


def test_regions_follow_the_plan(loaded: dict[type, Backend], records: tuple[Any, ...]) -> None:
    guide = records[3]
    backend = loaded[AnimateDiffVideoToVideo]
    told = backend.tell(*records, longest=96)
    masks = backend.arguments(told)["cross_attention_kwargs"]["ip_adapter_masks"][0]
    assert masks.shape == (2 * FRAMES, 2, *told.first.shape[:2])  # without and with the prompt
    np.testing.assert_array_equal(masks[:FRAMES], masks[FRAMES:])
    np.testing.assert_array_equal(region_masks(told)[:, 0], guide.layers == 1)
    np.testing.assert_array_equal(region_masks(told)[:, 1], guide.layers == 2)


def test_masks_keep_faces_in_their_regions(folder: Path, records: tuple[Any, ...]) -> None:
    """Random weights: this is about the wiring."""

    def bleed(masked: bool) -> float:
        backend = load_tiny(AnimateDiffVideoToVideo, folder)
        backend.masked = masked
        return identity_bleed(backend, records)

    assert bleed(True) < 0.6 < bleed(False)


def test_faces_of_another_pack_are_refused(
    loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    from dataclasses import replace

    *first, identity = records
    wrong = replace(identity, embeddings=identity.embeddings[:, :7], model="short")
    with pytest.raises(ValueError, match="reads vectors of 256 numbers, short makes 7"):
        cell(loaded[AnimateDiffVideoToVideo], (*first, wrong))


def test_too_many_frames_for_a_motion_adapter(
    loaded: dict[type, Backend], records: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded[AnimateDiffVideoToVideo]
    config = {**backend.pipe.unet.config, "motion_max_seq_length": 4}
    monkeypatch.setattr(backend.pipe.unet, "_internal_dict", type(backend.pipe.unet.config)(config))
    with pytest.raises(ValueError, match=f"{FRAMES} frames: .* at most 4"):
        cell(backend, records)


def test_keyframes_are_the_photo_the_contact_and_the_end(
    loaded: dict[type, Backend], records: tuple[Any, ...]
) -> None:
    backend = loaded[LTXCondition]
    told = backend.tell(*records, **CELL)
    keys = backend.keyframes(told)
    assert len(told.frames) == 9  # 1 and a multiple of 8
    assert [key.frame_index for key in keys] == [0, 8]  # contact at 4 or 5 of 6: nearest is 0 or 8
    first = np.asarray(keys[0].image, float) / 255
    np.testing.assert_allclose(first, told.first, atol=0.003)  # rounded to bytes


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_models_say_what_to_do(name: str, folder: Path, tmp_path: Path) -> None:
    good = save_pipeline("WanVideoToVideoPipeline", folder)
    assert is_clear(name, good, tmp_path)


def test_only_pickled_or_other_weights_are_named(folder: Path, tmp_path: Path) -> None:
    import shutil

    place = Path(shutil.copytree(save_pipeline("WanVideoToVideoPipeline", folder), tmp_path / "m"))
    file = place / "vae/diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(FileNotFoundError, match=r"no weights in safetensors.*fp16"):
        WanVideoToVideo(str(place), device="cpu")


def test_weights_are_weighed_before_they_are_loaded(
    loaded: dict[type, Backend], folder: Path
) -> None:
    pipe = loaded[WanVideoToVideo].pipe
    for dtype in (torch.float32, torch.bfloat16):
        parts = checks.weigh(folder / "WanVideoToVideoPipeline", dtype)
        for part in parts:
            tensors = list(getattr(pipe, part.name).parameters())
            assert part.size == sum(t.numel() for t in tensors) * dtype.itemsize, part.name
            assert part.largest == max(t.numel() for t in tensors) * dtype.itemsize


PARTS = (checks.Part("text_encoder", 10 * 10**9, 10**9), checks.Part("network", 3 * 10**9, 10**8))


@pytest.mark.parametrize(
    ("gpu", "main", "says"),
    [
        (12, 64, r"13\.0 GB on cuda .* 12\.0 GB are free .* offload=by_part \(10\.0 GB\)"),
        (5, 64, r"would fit: offload=by_layer \(1\.0 GB\)$"),
        (5, 8, "would fit: a smaller model"),
        (9, 64, r"dtype=torch\.bfloat16 \(6\.5 GB\)"),
    ],
)
def test_what_does_not_fit_says_what_would(
    gpu: int, main: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"cuda": gpu * 10**9, "cpu": main * 10**9}
    monkeypatch.setattr(checks, "free_bytes", free.__getitem__)
    with pytest.raises(MemoryError, match=says) as error:
        checks.check_room("some/model", PARTS, torch.float32, "whole", "cuda")
    assert "\n" not in str(error.value)


def test_what_fits_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "free_bytes", {"cuda": 11 * 10**9, "cpu": 64 * 10**9}.__getitem__)
    checks.check_room("some/model", PARTS, torch.float32, "by_part", "cuda")


def test_no_room_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save_pipeline("WanVideoToVideoPipeline", folder)
    monkeypatch.setattr(checks, "free_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match="WanVideoToVideoPipeline: its weights take"):
        WanVideoToVideo(str(place), device="cpu")


def test_there_is_nothing_to_offload_from_on_a_cpu(folder: Path) -> None:
    place = save_pipeline("WanVideoToVideoPipeline", folder)
    with pytest.raises(ValueError, match="offload=by_part needs a GPU"):
        WanVideoToVideo(str(place), device="cpu", offload=by_part)


def test_dtype_is_passed_on(folder: Path, records: tuple[Any, ...]) -> None:
    place = save_pipeline("WanVideoToVideoPipeline", folder)
    backend = WanVideoToVideo(str(place), dtype=torch.bfloat16, device="cpu")
    assert backend.pipe.transformer.dtype == backend.pipe.vae.dtype == torch.bfloat16
    trail, painted = cell(backend, records)
    assert trail[-1].clean.dtype == np.float32 and np.isfinite(painted.frames).all()


def test_memory_is_saved_where_there_is_a_way(folder: Path, loaded: dict[type, Backend]) -> None:
    backend = WanVideoToVideo(str(save_pipeline("WanVideoToVideoPipeline", folder)), device="cpu")
    assert save_memory(backend.pipe) == ("VAE tiling", "VAE slicing")
    assert backend.pipe.vae.use_tiling
    assert save_memory(loaded[BACKENDS[0]].pipe) == ()  # Stable Video Diffusion has neither


@pytest.mark.gpu
@pytest.mark.parametrize("offload", [whole, by_part, by_layer])
@pytest.mark.parametrize("kind", BACKENDS)
def test_on_a_gpu(kind: type, offload: Any, folder: Path, records: tuple[Any, ...]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("because there is no GPU")
    backend = load_tiny(kind, folder, offload=offload, device="cuda")
    for _ in range(2):
        steps = backend(*records, **CELL)
        next(steps)
        steps.close()
    _, painted = cell(backend, records)
    assert np.isfinite(painted.frames).all()


BILLIONS = (1.52, 14.3, 1.42, 2.15, 1.92)  # weights of the published networks, in FULL's order


@pytest.mark.parametrize(("kind", "billions"), zip(FULL, BILLIONS, strict=True))
def test_full_size_is_the_published_size(kind: type, billions: float, folder: Path) -> None:
    network = full_network(load_tiny(kind, folder), "meta")
    weights = sum(weight.numel() for weight in network.parameters())
    # What reads tiny encoders is narrower than published.
    assert weights / 1e9 == pytest.approx(billions, rel=0.05)


def test_what_we_cost_beside_the_bare_pipeline(folder: Path, records: tuple[Any, ...]) -> None:
    memory, overhead = memory_and_overhead(load_tiny(LTXCondition, folder), records)
    assert memory >= 0 and -0.9 < overhead < 2  # on tiny networks threads and queues weigh much


@pytest.mark.gpu
@pytest.mark.parametrize("kind", FULL)
def test_full_size_on_a_gpu(kind: type, folder: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("because there is no GPU")
    backend = load_tiny(kind, folder, device="cuda", dtype=torch.bfloat16)
    enlarge(backend, "cuda")
    memory, overhead = memory_and_overhead(backend, small_records())
    assert memory > 2 and overhead < 0.05


def test_lora_weights_change_the_clip(folder: Path, records: tuple[Any, ...]) -> None:
    pytest.importorskip("peft", reason="because LoRA weights need it: kisslab[lora]")
    backend = load_tiny(WanVideoToVideo, folder)
    plain = next(backend(*records, **CELL)).clean
    add_lora(backend.pipe, kiss_lora(), scale=4.0)
    assert np.abs(next(backend(*records, **CELL)).clean - plain).max() > 1e-3
    with pytest.raises(ValueError, match="none of its 1 tensors fits a WanVideoToVideoPipeline"):
        add_lora(
            load_tiny(WanVideoToVideo, folder).pipe, {"unet.x.lora_A.weight": torch.ones(2, 2)}
        )


def test_lora_without_peft(loaded: dict[type, Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"need peft.*kisslab\[lora\]"):
        add_lora(loaded[WanVideoToVideo].pipe, kiss_lora())


@pytest.mark.parametrize("name", ["nowhere.safetensors", "./a/b/c.bin"])
def test_a_file_of_weights_that_is_not_there(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such file; give a file"):
        read_weights(name)


def test_a_face_adapter_comes_from_a_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {
        "image_proj.norm.weight": torch.ones(2),
        "ip_adapter.1.to_k_ip.weight": torch.ones(3),
    }
    save_file(tensors, tmp_path / "faceid.safetensors")
    nested = {"image_proj": {"norm.weight": torch.ones(2)}, "ip_adapter": {}}
    torch.save(nested, tmp_path / "faceid.bin")
    read = read_weights(tmp_path / "faceid.safetensors")
    assert read["ip_adapter"]["1.to_k_ip.weight"].shape == (3,)
    assert read_weights(tmp_path / "faceid.bin")["image_proj"]["norm.weight"].shape == (2,)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(FileNotFoundError, match="give a folder"):
        find_folder(WanVideoToVideo.pipeline, file)
