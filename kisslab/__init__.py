"""kisslab: how AI kiss-video generators work, by one that opens at every joint.

Reading order: photo, faces, assess, compose, cutout, head, expression, motion, guide, pipeline,
video. Importing this costs nothing: each name is loaded when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["anatomy", "show", "studio", "zoo"],
    submod_attrs={
        "photo": ["Photo", "PhotoError", "load_photo", "photo_from_array"],
        "faces": ["Faces", "FaceError", "face_detector", "find_faces", "track_faces"],
        "assess": ["Assessment", "assess", "assess_pair"],
        "compose": ["Composite", "compose"],
        "cutout": ["Cutout", "cut_out"],
        "head": ["Head", "build_head"],
        "expression": ["express"],
        "motion": ["Keyframes", "Motion", "Track", "motion_from_clip", "motion_from_keyframes",
                   "nose_crossings", "plan_kiss"],
        "guide": ["Guide", "draw_guide", "guide_frames"],
        "pipeline": ["Pipeline", "Run"],
        "video": ["Clip", "load_clip", "make_clip", "read_record", "save"],
        "zoo": ["ModelMissing", "find_model"],
    },
)  # fmt: skip
