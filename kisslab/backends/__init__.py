"""The field's own models, plugged in through diffusers and insightface.

Reading order: backend (records in, Steps and a painted clip out), svd, wan, animatediff, ltx,
running (a pipeline as a generator), loading, checks, hub, packs. Importing this costs nothing.

>>> from kisslab.backends import WanVACE, by_part
>>> *trail, painted = WanVACE("Wan-AI/Wan2.1-VACE-1.3B-diffusers", offload=by_part)(
...     photo, faces, motion, guide, identity, strength=0.6, steps=25, seed=0)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": ["Backend", "Told"],
        "svd": ["StableVideoDiffusion"],
        "wan": ["WanImageToVideo", "WanVACE", "WanVideoToVideo"],
        "animatediff": ["AnimateDiffVideoToVideo"],
        "ltx": ["LTXCondition"],
        "loading": ["add_lora", "by_layer", "by_part", "save_memory", "whole"],
        "packs": ["embed_with", "load_pack"],
    },
)
