"""Synthetic people with exact truth. (Person, sample_person, sample_couple, Scene, Pose, render)"""

from kisslab.studio.clips import Take, motion_camera, render_clip, render_pool, true_faces
from kisslab.studio.dataset import Shard, Views, write_dataset, write_views
from kisslab.studio.person import Person, sample_couple, sample_person
from kisslab.studio.pose import Pose
from kisslab.studio.render import PART_NAMES, Render, render
from kisslab.studio.scene import Camera, Light, Scene, couple_portrait, photographed, portrait

__all__ = [
    "PART_NAMES",
    "Camera",
    "Light",
    "Person",
    "Pose",
    "Render",
    "Scene",
    "Shard",
    "Take",
    "Views",
    "couple_portrait",
    "motion_camera",
    "photographed",
    "portrait",
    "render",
    "render_clip",
    "render_pool",
    "sample_couple",
    "sample_person",
    "true_faces",
    "write_dataset",
    "write_views",
]
