# %% [markdown]
# # 03 · Planning the kiss
#
# A still picture says nothing about time. Somebody has to decide who turns where, how fast, when
# the lids close, and how near is near. In this notebook you will take that decision apart: you
# will derive the curve along which people move their hands, put keys on a timeline, make two
# heads meet without a nose going through a cheek, and close a pair of eyes in a photograph.
#
# You will build by hand the easing curve, the value of a track between two keys, the names of the
# phases, and the test whether a nose is inside a face; each time the library's function will be
# shown to do the same.
#
# **The question of this notebook:** *how do you describe a movement so exactly that a machine can
# perform it, and so simply that you can still change your mind?*

# %%
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import ipywidgets as widgets
import numpy as np
from matplotlib import pyplot as plt
from scipy.interpolate import BPoly, PchipInterpolator, griddata

from kisslab import anatomy as at
from kisslab import (
    draw_guide,
    express,
    load_photo,
    motion_from_keyframes,
    nose_crossings,
    plan_kiss,
    show,
    zoo,
)
from kisslab.classroom import check
from kisslab.contact import SOFT, FaceShape, planned_points
from kisslab.explore import explore
from kisslab.faces import Faces, mesh_detector
from kisslab.keyframes import Keyframes, Track, minimum_jerk
from kisslab.pose import pixel_turn

# %% [markdown]
# ## 1 · A plan is a table of numbers over time
#
# Two people who do not exist, the points of their faces, and a plan of two and a half seconds.
# Person 0 is always the one on the left.

# %%
path = zoo.data_path("portraits/couple_01.jpg")
photo, faces = load_photo(path), Faces.load(path.with_suffix(".faces.npz"))
motion = plan_kiss(faces, style="tender", seconds=2.5, seed=0)
motion.plot()
show.snapshot(
    "Curves over 2.5 s: the gap falls smoothly to nothing, both heads turn to each other by 68 "
    "degrees before they are near, a blink, and lids that close before the touch at 1.5 s."
)

# %% [markdown]
# The curves are drawn to one scale: the gap as a share of the first gap, the turns (*yaw*, above
# zero to the picture's right) as shares of a right angle, lids and *pucker*, lips pushed forward,
# from 0 to 1. The small hump at the start is a blink. Touching means a gap of at most 0.05, in a
# unit that comes at once.
#
# Look at the order of things. The heads turn *before* they come close, and the eyes close
# *before* the lips touch. Nobody falls into a kiss with open eyes and a straight neck, except in
# bad animations.
#
# **Claim:** when they touch for the first time, the lids are closed and the turning is over.

# %%
touch = motion.phases.index("contact")
assert motion.eyelids[touch].min() > 0.99
assert np.abs(motion.angles[touch, :, 0]).min() > 0.98 * np.abs(motion.angles[:, :, 0]).max(0).min()

# %% [markdown]
# The plan holds for any two faces, since every length in it is counted in inter-ocular distances
# (*iod*, from outer eye corner to outer eye corner). `planned_points` puts the faces' own points
# where the plan wants them. We draw them as wire heads, from the front and from above.

# %%
CLOSED = [at.GROUPS[name] for name in ("oval", "lips", "right eye", "left eye")]
OUTLINES = [*(np.r_[group, group[:1]] for group in CLOSED), at.NOSE[:10]]  # its bridge and base


def draw_heads(plan, frame, title=""):
    heads = (planned_points(plan.pick([frame]), faces)[0] - [*plan.origin, 0]) / plan.unit
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.8), layout="constrained")
    for ax, vertical, name in zip(axes, (1, 2), ("from the front", "from above"), strict=True):
        for head, colour in zip(heads, show.PALETTE, strict=False):
            ax.scatter(head[::2, 0], head[::2, vertical], s=2, color=colour, alpha=0.4)
            for outline in OUTLINES if vertical == 1 else OUTLINES[1::3]:  # above: lips and nose
                ax.plot(*head[outline][:, [0, vertical]].T, color=colour, linewidth=1.5)
        limits = (1.5, -1.5) if vertical == 1 else (-1.2, 1.8)
        ax.set(xlim=(-2.6, 2.6), ylim=limits, aspect="equal", title=name, xlabel="x (iod)")
    axes[0].set_ylabel("down (iod)")
    axes[1].set_ylabel("away (iod)")
    figure.suptitle(title, fontsize=10)


draw_heads(motion, touch, f"frame {touch}, {touch / motion.fps:.2f} s: contact")
show.snapshot("Two heads of points in profile, blue and orange, lips together, noses side by side.")

# %% [markdown]
# ## 2 · Easing: how things begin to move
#
# The gap has to go from 3.1 to 0.02 iod in a second and a half. *How?* At constant speed it would
# start with a jolt and end with a collision. Here are three ways to go from 0 to 1, with a little
# rest before and after.

# %%
t = np.linspace(0, 1, 101)
around = np.linspace(-0.2, 1.2, 281)
clipped = around.clip(0, 1)
eases = {
    "constant speed": clipped,
    "cosine": (1 - np.cos(np.pi * clipped)) / 2,
    "minimum jerk": minimum_jerk(clipped),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
for name, style, line in zip(eases, show.PALETTE, ("-", "--", "-"), strict=False):
    way = eases[name]
    for ax in axes:
        ax.plot(around, way, line, color=style, label=name)
        way = np.gradient(way, around)
axes[2].set_ylim(-8, 8)
for ax, label in zip(axes, ("position", "speed", "acceleration"), strict=True):
    ax.set(xlabel="time (share)", ylabel=label)
axes[0].legend(frameon=False, fontsize=8)
show.snapshot(
    "Position, speed and acceleration of three eases. Constant speed jumps, its acceleration is "
    "two spikes out of the picture; the cosine's acceleration jumps to 5; minimum jerk begins and "
    "ends at rest in all three."
)

# %% [markdown]
# In 1985 Tamar Flash and Neville Hogan looked at how people move a hand from one point of a table
# to another, and found that of all curves it takes nearly the one with the least *jerk*, the change
# of acceleration (its square, summed over the way). It is a
# polynomial of the fifth degree, and you need not look it up: it starts at 0, ends at 1, and has
# no speed and no acceleration at either end. Six conditions, six coefficients. By hand:

# %%
powers = np.arange(6)


def conditions(x):  # value, speed and acceleration of 1, x, x^2, ... x^5 at x
    return [x**powers, powers * x ** np.maximum(powers - 1, 0),
            powers * (powers - 1) * x ** np.maximum(powers - 2, 0)]  # fmt: skip


coefficients = np.linalg.solve([*conditions(0.0), *conditions(1.0)], [0, 0, 0, 1, 0, 0])
coefficients.round(6)

# %% [markdown]
# **Claim:** that is the curve of the paper, 10 t³ − 15 t⁴ + 6 t⁵, and of the library; SciPy's way
# of fitting a polynomial to derivatives gives the same.

# %%
assert np.allclose(np.polyval(coefficients[::-1], t), minimum_jerk(t))
assert np.allclose(BPoly.from_derivatives([0, 1], [[0, 0, 0], [1, 0, 0]])(t), minimum_jerk(t))
show.source(minimum_jerk)

# %% [markdown]
# **Claim:** its speed is greatest half way, and is there 15/8 of the average speed: whoever begins
# and ends so gently has to be almost twice as fast in the middle.

# %%
speed = np.gradient(minimum_jerk(t), t)
assert speed.argmax() == 50 and np.isclose(speed.max(), 15 / 8, atol=1e-3)

# %% [markdown]
# ## 3 · Keys: the plan as an animator sees it
#
# Nobody writes sixty numbers per quantity. An animator sets a few **keys**, "at 1.6 seconds the
# gap is 0.02", and lets the machine fill in what lies between. A plan is a bundle of such tracks.

# %%
keys = motion.keyframes
chosen = {"gap (iod)": keys.track(-1, "gap"), "yaw of person 0 (°)": keys.track(0, "yaw"),
          "eyelids of person 0": keys.track(0, "eyelids")}  # fmt: skip
seconds = np.arange(60) / keys.fps
figure, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
for ax, (name, track), colour in zip(axes, chosen.items(), show.PALETTE, strict=False):
    ax.plot(seconds, track.at(seconds), color=colour)
    ax.plot(track.times, track.values, "o", color="black", markersize=5)
    ax.set(xlabel="time (s)", ylabel=name)
show.snapshot("Three tracks: black dots are the 2, 6 and 5 keys, smooth curves run between them.")

# %% [markdown]
# Between two keys the value eases from one to the other. Half of the library's `Track.at` is to
# find out *which* two. Here it is by hand for one moment, 1.0 s, on the yaw of person 0:

# %%
yaw = keys.track(0, "yaw")
before = max(k for k, time in enumerate(yaw.times) if time <= 1.0)
share = (1.0 - yaw.times[before]) / (yaw.times[before + 1] - yaw.times[before])
rise = yaw.values[before + 1] - yaw.values[before]
value = yaw.values[before] + rise * minimum_jerk(np.array([share]))[0]

assert np.isclose(value, yaw.at(np.array([1.0]))[0])
print(f"at 1.0 s: a yaw of {value:.2f} degrees")

# %% [markdown]
# Keys are data: they can be written to a file, mailed, read, and changed by hand in any editor.

# %%
file = keys.to_json(Path(mkdtemp()) / "tender.json")
again = Keyframes.from_json(file)
assert np.array_equal(motion_from_keyframes(again, faces).angles, motion.angles)
print(f"{file.stat().st_size} bytes:", " ".join(file.read_text().split())[:260], "...")

# %% [markdown]
# ### Move the keys
#
# Set how far the person on the left turns, and when that turn is over; then scrub through the
# time. Try to make it look wrong: let the turn end after the touch at 1.5 s, or turn to 20
# degrees only.


# %%
def draw_timeline(turn, turned_at, moment):
    plan = keys
    for time in yaw.times[1:]:
        plan = plan.with_key(0, "yaw", time, float(turn))
    late = [(yaw.times[0], yaw.values[0]), (turned_at, float(turn))]
    times, values = zip(*late, strict=True)
    changed = tuple(
        Track(0, "yaw", times, values) if track is plan.track(0, "yaw") else track
        for track in plan.tracks
    )
    acted = motion_from_keyframes(replace(plan, tracks=changed), faces)
    frame = min(round(moment * keys.fps), len(acted.gap) - 1)
    inside = nose_crossings(acted.pick([frame]), faces)[0]
    draw_heads(acted, frame, f"gap {acted.gap[frame]:.2f} iod, {inside} nose points inside a face")


explore(
    draw_timeline,
    "Wire heads at 1.25 s of the plan, turned to each other, a third of an iod between the lips.",
    turn=widgets.IntSlider(68, min=0, max=90, step=2, description="turn (°)"),
    turned_at=widgets.FloatSlider(1.33, min=0.3, max=2.4, step=0.05, description="turned at (s)"),
    moment=widgets.FloatSlider(1.25, min=0, max=2.45, step=0.05, description="moment (s)"),
)

# %% [markdown]
# ## 4 · Contact without collision
#
# Two **anchors** have to meet: for a kiss on the lips, the points between the lips. The gap is the
# distance of the anchors, and the plan keeps it to the letter.

# %%
by_hand = np.linalg.norm(motion.position[:, 1] - motion.position[:, 0], axis=-1)
assert np.allclose(by_hand, motion.gap)
assert motion.gap[touch] <= 0.05 and np.all(np.diff(motion.gap[:touch]) <= 0)

# %% [markdown]
# But a face is not a pair of lips. Between the lips and the partner stands a nose, and **a nose
# sticks out by some 20 mm**. Is a point of my nose inside your face? Go to your point of view:
# shift and turn until your face looks straight ahead. Then the point is inside if it is deeper
# than your skin at that place.
#
# Let us keep both heads straight, so that something goes wrong, and count by hand.

# %%
straight = keys
for person, quantity in ((0, "roll"), (1, "roll"), (0, "pitch"), (1, "pitch")):
    for time in keys.track(person, quantity).times[1:]:
        straight = straight.with_key(person, quantity, time, 0.0)
careless = motion_from_keyframes(straight, faces).pick([motion.contact])

heads = (planned_points(careless, faces)[0] - [*careless.origin, 0]) / careless.unit
count = 0
for me, you in ((0, 1), (1, 0)):
    shape = FaceShape(faces, you, "lips", careless.unit)  # your face, looking straight ahead
    seen = (heads[me, at.NOSE] - careless.position[0, you]) @ pixel_turn(careless.angles[0, you])
    seen = seen - [0, 0, shape.reach * careless.pucker[0, you]]  # pursed lips hold the face back
    skin = griddata(shape.points[:468, :2], shape.points[:468, 2], seen[:, :2])
    count += np.sum(seen[:, 2] - skin > SOFT)
int(count), int(nose_crossings(careless, faces)[0])

# %% [markdown]
# Some twenty of the 44 nose points are in the other's face. (Our count looks the skin up in
# triangles, the library in a fine grid, so a point just at the border may be judged differently;
# noses and cheeks are soft, and the first 0.08 iod, 7 mm, are forgiven.)

# %%
assert abs(count - nose_crossings(careless, faces)[0]) <= 1
draw_heads(careless, 0, "heads held straight: noses in cheeks")
show.snapshot("Two heads in profile without tilt: the tips of the noses overlap the other face.")

# %% [markdown]
# ### Which pose is the least effort?
#
# Heads can lean to the side (roll), and they can lift the chin (negative pitch). We try all
# combinations at the moment of contact, and count.

# %%
rolls, lifts = np.arange(0, 37, 2), np.arange(0, 31, 2)
grid = np.array([(lift, roll) for lift in lifts for roll in rolls], float)
poses = np.repeat(careless.angles, len(grid), axis=0)
poses[:, :, 1:] = np.stack([-grid[:, 0], grid[:, 1]], -1)[:, None]  # the same for both people
many = replace(careless.pick([0] * len(grid)), angles=poses)
inside = nose_crossings(many, faces).reshape(len(lifts), len(rolls))

plt.figure(figsize=(6, 3.6), layout="constrained")
plt.pcolormesh(rolls, lifts, inside, cmap="viridis")
plt.colorbar(label="nose points inside a face")
plt.contour(rolls, lifts, inside, [3.5], colors="white")
plt.plot(motion.angles[touch, 0, 2], -motion.angles[touch, 0, 1], "*", color="white", markersize=16)
plt.xlabel("lean of both heads (degrees)")
plt.ylabel("lift of both chins (degrees)")
show.snapshot(
    "A map of crossings over lean and lift: 19 at the lower left, none at the upper right; a star, "
    "the plan, lies just beyond the white border where at most three points are left."
)

# %% [markdown]
# **Claim:** `plan_kiss` sits just beyond the border: a pose with less of both has more crossings.
# It weighs the effort (a degree of lift counts twice a degree of lean, and 9 degrees of lean are
# the least it tries) against the depth of crossings, and takes the cheapest.

# %%
lift, lean = -motion.angles[touch, 0, 1], motion.angles[touch, 0, 2]
assert nose_crossings(motion, faces)[touch] <= 3
assert inside[lifts < lift - 4][:, rolls < lean - 4].min() > 3

# %% [markdown]
# Both lean to their **own right**, so that the noses pass on opposite sides. That is not our
# invention. Onur Güntürkün watched 124 couples kiss in airports and parks, in three countries,
# and counted: two of three turned to the right. Try all of it yourself:


# %%
def draw_pose(turn, lift, lean):
    angles = np.array([[[turn, -lift, lean], [-turn, -lift, lean]]], float)
    posed = replace(careless, angles=angles)
    inside = nose_crossings(posed, faces)[0]
    draw_heads(posed, 0, f"{inside} nose points inside a face")


explore(
    draw_pose,
    "Wire heads at contact with chins lifted by 21 and heads leaned by 9 degrees.",
    turn=widgets.IntSlider(68, min=30, max=90, step=2, description="turn (°)"),
    lift=widgets.IntSlider(21, min=0, max=40, description="lift chins (°)"),
    lean=widgets.IntSlider(9, min=-40, max=40, description="lean (°)"),
)

# %% [markdown]
# ## 5 · What the face does meanwhile
#
# Lids, lips and gaze are not parts of a solid that turn: the photo's own pixels slide to new
# places. `express` needs the landmarks to know where to begin and where to end. (A glance
# of 25 degrees is about as far as that goes: look how the pixels beside the iris begin to smear.)

# %%
single = zoo.data_path("portraits/single_15.jpg")
bea, bea_face = load_photo(single).rgb, Faces.load(single.with_suffix(".faces.npz"))
looks = {
    "as photographed": {},
    "eyelids 0.5": {"eyelids": 0.5},
    "eyelids 1": {"eyelids": 1.0},
    "pucker 1": {"pucker": 1.0},
    "parting 0.15": {"parting": 0.15},
    "gaze 25° to the right": {"gaze": (25.0, 0.0)},
}
acted = [express(bea, bea_face.points[0], **look) for look in looks.values()]
show.sheet([picture[205:345, 155:345] for picture in acted], list(looks), columns=3)
plt.gcf().set_size_inches(6.6, 3.9)
show.snapshot(
    "One face: as it was, lids half and fully closed, lips pursed, parted, a side glance."
)

# %% [markdown]
# **Claim:** everything but the eyes and the mouth is untouched, to the last bit.

# %%
changed = np.any([np.any(picture != bea, axis=-1) for picture in acted], axis=0)
forehead_and_cheeks = bea_face.points[0, [at.FOREHEAD, at.RIGHT_TRAGUS, at.LEFT_TRAGUS], :2]
assert not any(changed[int(y), int(x)] for x, y in forehead_and_cheeks)
assert changed.mean() < 0.06


# %%
def draw_expression(eyelids, pucker, parting, gaze):
    look = {"eyelids": eyelids, "pucker": pucker, "parting": parting, "gaze": (gaze, 0.0)}
    picture = express(bea, bea_face.points[0], **look)
    plt.figure(figsize=(3.4, 3.4), layout="constrained")
    show.picture(picture[110:390, 110:390], ax=plt.gca())


explore(
    draw_expression,
    "A face with nearly closed lids and softly pursed lips.",
    eyelids=widgets.FloatSlider(0.85, min=0, max=1, step=0.05, description="eyelids"),
    pucker=widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="pucker"),
    parting=widgets.FloatSlider(0.0, min=0, max=0.25, step=0.01, description="parting (iod)"),
    gaze=widgets.IntSlider(0, min=-40, max=40, description="gaze (°)"),
)

# %% [markdown]
# ## 6 · Phases and styles
#
# The plan gives each frame a name. The names follow from the gap alone: they are in *contact* up to
# 0.05 iod, *near* up to 0.35, *apart* while the gap has hardly shrunk (by 2 percent), and in
# *approach* between; what comes after the last touch is the *release*. By hand:

# %%
names = []
for gap in motion.gap:
    if gap <= 0.05:
        names.append("contact")
    elif "contact" in names:  # in this plan they touch only once
        names.append("release")
    else:
        far = "apart" if gap > 0.98 * motion.gap[0] else "approach"
        names.append("near" if gap <= 0.35 else far)

assert tuple(names) == motion.phases

# %% [markdown]
# A **style** is a handful of numbers: who touches what, how far each turns, when they arrive and
# leave. All five, on the same two faces:

# %%
plans = {s: plan_kiss(faces, style=s) for s in ("peck", "tender", "french", "forehead", "cheek")}
show.curve(seconds, {s: p.gap for s, p in plans.items()}, y_label="gap (iod)")
show.snapshot("Five gaps over time: french arrives first, peck and cheek part again, others stay.")

# %% [markdown]
# And here is the photo itself, performing *tender*. How that is done is the subject of
# [notebook 04](04_guide.ipynb).

# %%
frames = [0, 20, 30, 45]
guide = draw_guide(photo, faces, motion.pick(frames))
show.sheet(list(guide.frames), [motion.phases[k] for k in frames], columns=4)
plt.gcf().set_size_inches(9, 2)
show.snapshot("Four frames: apart, half turned, near, and lips together with closed eyes.")

# %% [markdown]
# ## 7 · What fails, honestly
#
# **Every key is a stop.** Minimum jerk comes to rest at the end of each move, and a track is a
# chain of such moves. So the more carefully you draw a path, key by key, the more it stutters.
# Put one harmless key in the middle of the approach, on the very curve that was there before:

# %%
middle = 0.86
harmless = keys.with_key(-1, "gap", middle, float(keys.track(-1, "gap").at(np.array([middle]))[0]))
fine = np.linspace(0, 2.4, 481)
stutter = harmless.track(-1, "gap")
smooth = PchipInterpolator(stutter.times, stutter.values)  # passes through the same keys
speeds = {
    "two keys": -np.gradient(keys.track(-1, "gap").at(fine), fine),
    "a key more": -np.gradient(stutter.at(fine), fine),
    "a key more, PCHIP": -np.gradient(smooth(np.clip(fine, *smooth.x[[0, -1]])), fine),
}
show.curve(fine, speeds, y_label="closing speed (iod/s)")
show.snapshot("Closing speed: one hump; with a third key two humps and a full stop between; a "
              "different interpolation does not stop but begins and ends abruptly.")  # fmt: skip

# %% [markdown]
# **Claim:** at the harmless key both people stand still in mid-air.

# %%
assert speeds["a key more"][np.abs(fine - middle).argmin()] < 0.02 < speeds["two keys"].max()

# %% [markdown]
# Other interpolations run through keys without stopping (PCHIP, from SciPy: the green line), but
# give up rest at the ends. kisslab keeps the simple rule, *a key is a pose that is held for an
# instant*, because its plans have few keys; and `motion_from_clip`, which recovers a plan from a
# film, sets one on every frame, where stopping between frames can't be seen.
#
# **And a judge that does not see.** We closed Bea's eyes above. Ask our own face network how far
# they are open:

# %%
detect = mesh_detector()
[float(detect(picture).eye_openness.mean().round(3)) for picture in acted[:3]]

# %%
assert np.ptp([detect(picture).eye_openness.mean() for picture in acted[:3]]) < 0.02

# %% [markdown]
# Open, half, closed: all the same to it. It has hardly seen a closed eye while it learned, so it
# puts the lids where faces usually have them. A measure that cannot see a thing will never complain
# about it; when you check that a clip follows its plan, check first that the checker can tell.

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: change one number
#
# The map in section 4 says which poses keep the noses out. Suppose that both refuse to lift their
# chins by more than 16 degrees. How far must they lean at least, in the map's steps of 2 degrees,
# so that no more than three nose points are inside a face? (Read it off the map, or off the array
# `inside`: a row for each of the `lifts`, a column for each of the `rolls`.)

# %%
# Exercise 1: the least lean (degrees) at a lift of 16
least_lean = 0

# %%
row = inside[list(lifts).index(16)]
least = int(rolls[row <= 3][0])
check("1", least_lean, least, mistakes=[
    (0, "Without leaning, many nose points are inside: read the row of 16 degrees in the map."),
    (least - 2, "Nearly: at this lean there are still more than three inside."),
    (least + 2, "That works, but two degrees less work as well."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 1: the least lean (degrees) at a lift of 16
# least_lean = 0
# ### BEGIN SOLUTION
# least_lean = int(rolls[inside[list(lifts).index(16)] <= 3][0])
# ### END SOLUTION
# ```
# </details>

# %% [markdown]
# ### Exercise 2: write one line
#
# Write the cosine ease of section 2 as a function for **any** time, so that it stays at 0 before
# the start and at 1 after the end. For −0.5, 0, 0.25, 0.5, 1 and 2 it should give 0, 0, 0.146,
# 0.5, 1 and 1.


# %%
# Exercise 2: the cosine ease, clamped
def ease(t):
    """t: an array of times; 0 is the start and 1 the end."""


# %%
times = np.array([-0.5, 0, 0.25, 0.5, 1, 2])
right = (1 - np.cos(np.pi * np.clip(times, 0, 1))) / 2
check("2", lambda: ease(times), right, tolerance=1e-6, mistakes=[
    ((1 - np.cos(np.pi * times)) / 2, "Outside of 0..1 it must stay where it is: clip the time."),
    (minimum_jerk(times), "That is minimum jerk. It is the better curve, but not the asked one."),
    (np.clip(times, 0, 1), "That goes at constant speed."),
    (1 - np.cos(np.pi * np.clip(times, 0, 1)), "It ends at 2: halve it."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 2: the cosine ease, clamped
# def ease(t):
#     """t: an array of times; 0 is the start and 1 the end."""
#     ### BEGIN SOLUTION
#     return (1 - np.cos(np.pi * np.clip(t, 0, 1))) / 2
#     ### END SOLUTION
# ```
# </details>

# %% [markdown]
# ### Exercise 3: write a function
#
# Give a person a blink. `with_blink(keys, person, time)` sets three keys on the track *eyelids*:
# open (0) a tenth of a second before `time`, closed (1) at `time`, open again a fifth of a second
# after it. Closing is faster than opening; watch somebody. `keys.with_key(person, quantity, time,
# value)` returns a changed copy.


# %%
# Exercise 3: a blink
def with_blink(keys, person, time):
    """The keyframes with a blink of `person` (0 or 1) that is deepest at `time` (seconds)."""


# %%
moments = np.array([0.95, 1.0, 1.05, 1.15, 1.25])
blink = np.array([0.0, 0.5, 1.0, 0.5, 0.0])


def lids_of(plan):
    return None if plan is None else plan.track(1, "eyelids").at(moments)


other = lids_of(keys)
slow = keys
for when, closed in ((0.85, 0.0), (1.05, 1.0), (1.15, 0.0)):
    slow = slow.with_key(1, "eyelids", when, closed)
check("3", lambda: lids_of(with_blink(keys, 1, 1.05)), blink, 0.02, mistakes=[
    (other, "The lids are as before: with_key returns a changed copy; keep it and return it."),
    (lids_of(slow), "Closing and opening are exchanged: 0.1 s down, 0.2 s up."),
    (1 - blink, "0 is open and 1 is closed."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 3: a blink
# def with_blink(keys, person, time):
#     """The keyframes with a blink of `person` (0 or 1) that is deepest at `time` (seconds)."""
#     ### BEGIN SOLUTION
#     for when, closed in ((time - 0.1, 0.0), (time, 1.0), (time + 0.2, 0.0)):
#         keys = keys.with_key(person, "eyelids", when, closed)
#     return keys
#     ### END SOLUTION
# ```
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** Minimum jerk and the cosine look almost alike. Where is the difference that an eye can see?
#
# <details><summary>Answer</summary>
#
# At the ends. The cosine's acceleration jumps from 0 to its greatest value in an instant, as if
# somebody had pushed; minimum jerk begins with none. (Both begin with no speed, so the difference
# is not in how fast, but in how suddenly.)
#
# </details>
#
# **2.** Why is the gap one track of its own, and not computed from where each of the two people is?
#
# <details><summary>Answer</summary>
#
# Because it is the promise of the plan: it must shrink evenly and end at the touch, for any two
# faces. Two separate positions, each eased for itself, would have to agree to a hundredth of an
# iod.
#
# </details>
#
# **3.** A plan for faces 75 pixels wide is used on a picture ten times as large. What must be
# changed?
#
# <details><summary>Answer</summary>
#
# Nothing in the keys: lengths are counted in inter-ocular distances. Only `unit` and `origin`,
# which `motion_from_keyframes` takes from the new faces, say how large an iod is in pixels.
#
# </details>

# %% [markdown]
# ## Where this comes from
#
# - Flash, Hogan 1985, [The coordination of arm movements: an experimentally confirmed mathematical
#   model](https://doi.org/10.1523/JNEUROSCI.05-07-01688.1985): minimum jerk.
# - Güntürkün 2003, [Adult persistence of head-turning
#   asymmetry](https://doi.org/10.1038/421711a): 124 kissing couples.
# - Lasseter 1987, [Principles of traditional animation applied to 3D computer
#   animation](https://doi.org/10.1145/37401.37407): keys, easing, and why timing is character.
#
# **Read next:** [04 · From photo to guide](04_guide.ipynb), where the photo obeys the plan.
