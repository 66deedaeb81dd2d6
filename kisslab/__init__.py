"""kisslab: how AI kiss-video generators work, by one that opens at every joint.

Reading order: photo, faces, assess, compose, cutout, head, expression, motion, tempo, guide,
identity, samplers, noise, kiss, painting, temporal, pipeline, video, watermark, provenance, verify,
measure, report. Importing this costs nothing: each name is loaded when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["anatomy", "show", "studio", "zoo"],
    submod_attrs={
        "photo": ["Photo", "PhotoError", "load_photo", "photo_from_array"],
        "faces": ["Faces", "FaceError", "face_detector", "find_faces", "track_faces"],
        "assessment": ["Assessment", "assess", "assess_pair"],
        "composite": ["Composite", "compose"],
        "cutout": ["Cutout", "cut_out"],
        "head": ["Head", "build_head"],
        "expression": ["express"],
        "keyframes": ["Keyframes", "Track"],
        "motion": ["Motion", "motion_from_keyframes"],
        "plan": ["plan_kiss"],
        "contact": ["nose_crossings"],
        "driving": ["motion_from_clip"],
        "tempo": ["Paced", "pace"],
        "guide": ["Guide", "draw_guide", "guide_frames"],
        "identity": ["Identity", "embed"],
        "samplers": ["Step", "dpm_solver_2m", "euler", "exact", "few_step", "heun"],
        "kiss": ["Conditions", "Denoiser", "condition", "load_kiss", "sample"],
        "painting": ["Painted", "paint"],
        "attention": ["watch"],
        "noise": ["independent_noise", "noise_frames", "shared_noise", "warped_noise"],
        "temporal": ["Flows", "Steadied", "clip_flows", "guide_flows", "interpolate", "steady"],
        "pipeline": ["Pipeline", "Run"],
        "measure": ["measure_clip"],  # measure itself has its module's name: import it from there
        "report": ["Report"],
        "batch": ["Pair", "read_pairs", "run_batch"],
        "video": ["Clip", "load_clip", "make_clip", "read_record", "save"],
        "verify": ["Verification"],  # verify itself has its module's name, as measure has
        "provenance": ["Credential", "read_credential", "sign"],
        "watermark": ["Watermark", "add_watermark", "choose_pattern", "read_watermark"],
        "zoo": ["ModelMissing", "find_model"],
    },
)  # fmt: skip
