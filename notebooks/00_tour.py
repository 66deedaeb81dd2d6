# %% [markdown]
# # 00 · A tour: from two portraits to a kiss
#
# Two still portraits go in, a two-second clip comes out. Apps do this behind a button; here the
# button is missing, and you can open every door on the way. The whole journey is seventeen
# results, one after the other. In this notebook you will see each of them once, in the order in
# which they are made, and touch a few.
#
# **What you will see and learn**
#
# - that a generator is a chain of plain functions, each handing a *record* (named fields that can
#   show themselves) to the next one;
# - what is measured in the photo, what is planned, what is warped, and what is painted;
# - which formula joins the painted part to the photograph, written out by hand;
# - where to change something, and where the chain breaks if you change it carelessly.
#
# The two people do not exist. kisslab's studio drew them, so nobody's consent is needed; for your
# own photographs it is, and you will see how it is asked for.
#
# **The question of this notebook:** *which parts of such a clip come from the photograph, and
# which have to be made up?*

# %%
from functools import partial

import cv2
import ipywidgets as widgets
import numpy as np
import torch
from matplotlib import pyplot as plt

from kisslab import Pipeline, compose, motion_from_keyframes, nose_crossings, plan_kiss, show, zoo
from kisslab.classroom import check
from kisslab.explore import explore
from kisslab.kiss import decode, known, load_kiss

# %% [markdown]
# ## 1 · Run everything, one stage at a time
#
# A pipeline is a record of functions. Its `stages()` hands out each result as soon as it is
# there, so the progress bar is your own `for` loop, and so is stopping early. We choose a small
# picture, a short clip and a seed; each choice belongs to one stage, and `partial` ties it to
# that function.

# %%
left, right = zoo.demo_portraits()
plan = partial(plan_kiss, style="tender", seconds=2.0, seed=1)
pipeline = Pipeline(compose=partial(compose, height=256), plan=plan)
results = {}
for name, result in pipeline.stages(left, right):
    results[name] = result
{name: type(result).__name__ for name, result in results.items()}

# %% [markdown]
# Here is the map: which notebook opens which of these doors.
#
# | notebook | what it opens |
# |---|---|
# | [01 · the photo](01_photo.ipynb) | `photos`, `composite`, `photo`, `faces`, `assessment` |
# | [02 · identity](02_identity.ipynb) | `identity`: who it is, as a vector |
# | [03 · the plan](03_plan.ipynb) | `motion`: who does what, and when |
# | [04 · the guide](04_guide.ipynb) | `cutout`, `guide`: the photo acts out the plan |
# | [05 · diffusion](05_diffusion.ipynb) | `conditions`, `steps`: from noise to a picture |
# | [06 · time](06_temporal.ipynb) | `steadied`: frames that agree, and how to measure it |
# | [07 · all of it](07_generation.ipynb) | `painted`, `clip`, `settings`: the film, and an app |
# | [08 · failures](08_failures.ipynb) | `consent` and `ages`, and what goes wrong |
#
# The first two results come before any pixel is touched. `consent` says why no statement was
# needed today, and `photos` are the portraits, each with the fingerprint of its file, so that a
# clip can be traced to what it was made from. (`ages` is silent today; for your own photos it
# holds a guess of how old the people look, where a model for that is installed.)

# %%
print(results["consent"])
[(photo.rgb.shape, photo.sha256[:8]) for photo in results["photos"]]

# %% [markdown]
# ## 2 · Two portraits become one picture
#
# Both people were cut out, brought to one face size, one eye line and one light, and put before
# one background. The `cutout` keeps the parts: each person alone, and the wall that nobody has
# seen, filled in where they stand.

# %%
couple, cutout = results["composite"], results["cutout"]
cutout.plot()
plt.gcf().set_size_inches(8, 1.9)
show.snapshot("Each person alone on green, then the background with both people filled in.")

# %% [markdown]
# **Claim:** the couple's picture is nothing but those parts, one laid over the
# other: *new = α · person + (1 − α) · behind*. By hand:

# %%
inner = slice(cutout.margin, -cutout.margin)
behind = cutout.background
for colour, alpha in zip(
    cutout.colour[:, inner, inner], cutout.alpha[:, inner, inner], strict=True
):
    behind = alpha[..., None] * colour + (1 - alpha[..., None]) * behind

photo = results["photo"]
assert np.abs(behind.clip(0, 1) - photo.rgb).mean() < 0.01
show.sheet([*(p.rgb for p in couple.sources), behind], ["left", "right", "by hand"], columns=3)
plt.gcf().set_size_inches(7.5, 1.8)
show.snapshot("Two portraits, and both people side by side before one wall, laid over by hand.")

# %% [markdown]
# ## 3 · What the machine sees in the faces
#
# 478 points on each face, with depth; the picture shows those that have names. From them come the
# head's angles, the openness of eyes and mouth, and the place of the lips, which is what the whole
# plan is about.

# %%
faces = results["faces"]
faces.plot(photo.rgb)
plt.gcf().set_size_inches(5.2, 2.7)
show.snapshot("Both faces with coloured dots along brows, eyes, nose, lips and outline.")

# %% [markdown]
# **Claim:** person 0 is the one on the left, and both look at the camera to within
# fifteen degrees. (The first of a head's three angles is *yaw*, the turn to a side.)

# %%
assert faces.boxes[0, 0] < faces.boxes[1, 0]
assert np.all(np.abs(faces.angles[:, 0]) < 15)

# %% [markdown]
# The `assessment` holds each quantity of the two photos against a threshold and says in a sentence
# what to expect. Here are the three that were nearest to their thresholds. (The readiness ranks
# photos, from 0, hard, to 1, easy; many narrow passes make a low one. Notebook 01 works it out.)

# %%
assessment = results["assessment"]
print(f"readiness {assessment.readiness:.2f}, {len(assessment.problems)} problems")
for a in sorted(assessment.checks, key=lambda a: a.margin)[:3]:
    who = ("left", "right", "both")[a.person]
    limit = f"threshold {a.threshold:g} {a.unit}".strip()
    print(f"{a.name}, {who}: {a.value:.3f}, {limit}: {a.sentence}")

# %% [markdown]
# ## 4 · The plan
#
# A kiss, told in numbers: the gap between the lips shrinks from beginning to contact, the heads
# turn toward each other and tilt so that the noses pass, the lids close *before* the touch (the
# small hump before that is a blink), and the lips are pushed forward, which is the *pucker*. A yaw
# above zero is a turn to the picture's right, so the left head turns up in the plot and the right
# one down.

# %%
motion = results["motion"]
motion.plot()
show.snapshot(
    "Curves over two seconds: the gap falls to nothing, the heads turn, the lids blink once and "
    "close before the lips touch; bands name the phases apart, approach, near and contact."
)

# %% [markdown]
# **Claim:** when they touch, the gap is at most a twentieth of the distance between the outer eye
# corners (the *inter-ocular distance*, *iod*), and the gap never grows on the way there.

# %%
touch = motion.phases.index("contact")
assert motion.gap[touch] <= 0.05
assert np.all(np.diff(motion.gap[: touch + 1]) <= 0)

# %% [markdown]
# ## 5 · The guide: the photo acts out the plan
#
# The photograph is wrapped around a closed head and turned. Every pixel that you see here came
# out of the two portraits, or was continued from them. No network has painted
# anything yet.

# %%
guide = results["guide"]
show.strip(guide.frames, count=6)
plt.gcf().set_size_inches(9.5, 1.2)
show.snapshot("Six frames: two faces look at us, turn to each other, lean in, and kiss.")

# %% [markdown]
# No portrait shows the back of a head. The guide knows that, and says so for every pixel: its
# *confidence* is high where the photo saw the surface squarely, and low where hair, skin or wall
# had to be continued. So we can count how many of the two people's pixels are more guess than
# photograph.

# %%
seconds = np.arange(len(guide.frames)) / guide.fps
pairs = zip(guide.confidence, guide.layers, strict=True)
made_up = np.array([np.mean(sure[layer > 0] < 0.5) for sure, layer in pairs])  # layer 0: the wall
show.curve(seconds, {"made up": made_up}, y_label="made up (share)")
show.snapshot("The share that is made up rises while the heads turn, and stays high in the kiss.")

# %% [markdown]
# Here is the answer to the question at the top, and the reason for everything that follows: the
# more the heads turn, the less of the picture is photograph.

# %%
assert made_up[touch] > 1.5 * made_up[0]

# %% [markdown]
# ## 6 · Who they are
#
# Before anything is repainted, somebody has to write down who these people are, or the model will
# paint somebody. Each face is cropped so that eyes, nose and mouth lie at fixed places, and a
# network turns the crop into a vector of length 1. Alike means: pointing the same way.

# %%
identity = results["identity"]
identity.plot()
plt.gcf().set_size_inches(5, 2.7)
show.snapshot("Two square crops of faces; above the second: its cosine to the first is 0.03.")

# %% [markdown]
# **Claim:** the cosine of two people is a plain dot product, and of a person with
# themselves it is 1.

# %%
a, b = identity.embeddings
by_hand = sum(x * y for x, y in zip(a, b, strict=True))
assert np.isclose(by_hand, identity.cosine(identity)[0, 1], atol=1e-5)
assert np.isclose(a @ a, 1, atol=1e-5) and by_hand < 0.5

# %% [markdown]
# ## 7 · What the model is told
#
# Our video model is small, and it does not see pixels. A **codec** folds every 8 × 8 pixels into
# one place with 16 numbers, the *latents*, and the model is told five things, place by place: the
# guide, how sure the guide is (`confidence`), the photo (`first`), where the landmarks should be
# (`motion`), and who is who (`identity`, the two vectors). The shapes below begin with the 48
# frames; 20 × 32 are the places.

# %%
conditions = results["conditions"]
{name: value.shape for name, value in conditions.items()}

# %% [markdown]
# Three of the guide's sixteen numbers per place, shown as red, green and blue. You can still tell
# who kisses whom, though there are 64 times fewer places than pixels, and 12 times fewer numbers.

# %%
latents = conditions.guide[motion.contact, :3].transpose(1, 2, 0)
latents = (latents - latents.min()) / np.ptp(latents)
sure = conditions.confidence[motion.contact].mean(0)
pictures = [guide.frames[motion.contact], latents, np.repeat(sure[..., None], 3, -1)]
show.sheet(pictures, ["guide", "3 of 16 latents", "confidence"], columns=3)
plt.gcf().set_size_inches(8.5, 2.1)
show.snapshot("The kiss as a picture, as coarse colours, and as a coarse map: pale is sure.")

# %% [markdown]
# ## 8 · From noise to a picture
#
# Painting begins with noise. At each `Step` the network is shown a noisy clip, is told *how*
# noisy (σ), and answers with its best guess of the clean one; the sampler moves a part of the way
# there and asks again. What was shown is *clean + σ · noise*.

# %%
steps = results["steps"]
for step in steps:
    print(f"step {step.index}: sigma {step.sigma:.2f}")

# %% [markdown]
# **Claim:** the first thing that the network sees is 0.3 σ times white noise, around what is known
# already: the guide's latents, each as strong as the guide is sure of it. (Why 0.3 and not 1? It
# is called the *temperature*: cooler noise gives a softer picture that is more often right.) The
# library's `known`, printed below, is that product, latents times confidence; everything after it
# is the network's work.

# %%
base = known(conditions.told[None])[0].numpy()
noise = (steps[0].noisy - base) / steps[0].sigma
assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.3) < 0.01
show.source(known)

# %% [markdown]
# ### Move the step
#
# Latents can be decoded at any moment, so look over the painter's shoulder. Switch to what the
# network *guesses*: how early is it certain?

# %%
model = load_kiss()
high, wide = (round(side / max(photo.rgb.shape) * 256) for side in photo.rgb.shape[:2])


@torch.no_grad()
def draw_step(step, shown):
    clip = steps[step].noisy if shown == "what it sees" else steps[step].clean
    picture = decode(model.codec, torch.from_numpy(clip[[motion.contact]]))[0]
    plt.figure(figsize=(4.2, 2.8), layout="constrained")
    show.picture(picture[:high, :wide], f"sigma = {steps[step].sigma:.2f}", ax=plt.gca())


explore(
    draw_step,
    "The kiss as the network sees it at the third step, under some noise.",
    step=widgets.IntSlider(2, min=0, max=len(steps) - 1, description="step"),
    shown=widgets.ToggleButtons(options=["what it sees", "what it guesses"], description="show"),
)

# %% [markdown]
# ## 9 · Painted, but not painted over
#
# The decoded clip is soft, for a codec forgets pores and hairs. So the library takes only what the
# model *changed*, above all where the guide was unsure, and only as far as the change is larger
# than the sampler's own noise:
#
# *painted = guide + mask · change*
#
# **Claim:** that one line is all. By hand:

# %%
painted = results["painted"]
mask = painted.mask[..., None].astype(np.float32)
by_hand = (guide.frames + mask * painted.change).clip(0, 1)
assert np.abs(by_hand - painted.frames).max() < 0.002  # change and mask are kept in half precision

# %%
k = motion.contact
change = 0.5 + painted.change[k].astype(np.float32)  # so that no change is grey
pictures = [guide.frames[k], change.clip(0, 1), np.repeat(mask[k], 3, -1), painted.frames[k]]
show.sheet(pictures, ["guide", "change (grey: none)", "mask", "painted"], columns=4)
plt.gcf().set_size_inches(9.5, 1.9)
show.snapshot("The guide, what the model would change, where that is taken, and the painted frame.")

# %% [markdown]
# **Claim:** where the guide is sure of the photograph, hardly anything was touched.

# %%
moved = np.abs(painted.frames - guide.frames).mean(-1)
sure, unsure = guide.confidence > 0.9, guide.confidence < 0.1
assert moved[sure].mean() < 0.2 * moved[unsure].mean()

# %% [markdown]
# ## 10 · Steadied, and done
#
# Even a model that sees all frames at once flickers a little. `steady` follows each pixel along
# the optical flow to the frames before and after, and averages what agrees. Then the frames
# become bytes: a `clip`, ready to be written to a file together with its `settings`.

# %%
steadied, clip = results["steadied"], results["clip"]
assert np.abs(steadied.frames - clip.frames / 255).max() <= 0.5 / 255 + 1e-6
print(results["settings"][:150], "...")

# %%
show.player(clip.frames[::3], clip.fps / 3, width=200, alt="Two drawn people lean in and kiss")

# %% [markdown]
# ### Move through time, and through the stages
#
# One frame, five ways to look at it. Stop at the touch and switch between *guide*, *painted* and
# *steadied*; then look where the mask let the model in. (The dark wall between the heads in
# *confidence* is where the two stood in the photo: nobody has seen what is behind them.)

# %%
VIEWS = ["guide", "confidence", "mask", "painted", "steadied"]


def draw_stage(frame, view):
    plt.figure(figsize=(5.4, 2.9), layout="constrained")
    if view in ("confidence", "mask"):
        values = guide.confidence if view == "confidence" else painted.mask
        values = values[frame].astype(np.float32)
        show.heat(guide.frames[frame], values, ax=plt.gca(), label=view, limits=(0, 1))
    else:
        show.picture(results[view].frames[frame], motion.phases[frame], ax=plt.gca())


explore(
    draw_stage,
    "Confidence at the kiss: bright on the faces and the outer wall, dark on the backs of the "
    "heads and on the wall where the two stood in the photo.",
    frame=widgets.IntSlider(motion.contact, min=0, max=len(clip.frames) - 1, description="frame"),
    view=widgets.ToggleButtons(options=VIEWS, value="confidence", description="show"),
)

# %% [markdown]
# ## 11 · What fails, honestly
#
# Keyframes are data, and data can be careless. Below, both heads turn to only 30 degrees, as
# somebody might have it who never watched a kiss. Guess what happens to the noses before you
# look.

# %%
lazy = motion.keyframes
for person, turn in ((0, 30.0), (1, -30.0)):
    for time in lazy.track(person, "yaw").times[1:]:
        lazy = lazy.with_key(person, "yaw", time, turn)
lazy = motion_from_keyframes(lazy, faces)
other = pipeline.draw(photo, faces, lazy.pick([k]), cutout)
show.sheet([guide.frames[k], other.frames[0]], ["as planned", "30 degrees each"], columns=2)
plt.gcf().set_size_inches(7, 2.5)
show.snapshot("As planned the lips meet; at 30 degrees the faces cut through each other.")

# %%
inside = {name: int(nose_crossings(m.pick([k]), faces)[0])
          for name, m in (("planned", motion), ("30 degrees", lazy))}  # fmt: skip
assert inside["30 degrees"] > inside["planned"] + 5
inside

# %% [markdown]
# That many of the 44 points of both noses are inside the other's face. (Three, pressed a little
# into a cheek, are in the good plan too; noses are soft.) Nothing in the later stages mends this:
# the guide obeys the plan, and the model obeys the guide. A kiss needs heads that face *each
# other*, 60 to 80 degrees away from the camera, and that is just where one photo has nothing left
# to show.
#
# And look again at the finished clip. The far sides of the heads are a guess, first the guide's
# and then a small model's, which has seen few people and was trained for hours, not for months;
# smudges beside the hair are its own. How good the guess is gets measured in notebooks 05 and 06,
# and what else can go wrong is collected in 08.

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: change one number
#
# Section 5 counted what is made up. At which moment has that share risen to **half of its highest
# value**? Read it off the curve, in seconds; a tenth of a second is near enough.

# %%
# Exercise 1: the moment at which half of the highest share is reached, in seconds
moment = 0.0

# %%
halfway = int((made_up > made_up.max() / 2).argmax())
check("1", moment, float(seconds[halfway]), tolerance=0.1, mistakes=[
    (0.0, "At the start both look at the camera: that is when the photo knows the most."),
    (halfway, "That is the number of the frame; divide it by guide.fps."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 1: the moment at which half of the highest share is reached, in seconds
# moment = 0.0
# ### BEGIN SOLUTION
# moment = seconds[(made_up > made_up.max() / 2).argmax()]
# ### END SOLUTION
# ```
#
# Compare it with the plan: the lips are still far apart. It is the turning that costs, not the
# touch.
# </details>

# %% [markdown]
# ### Exercise 2: write one line
#
# **Flicker**, at its simplest, is how much a pixel changes from one frame to the next: the mean of
# the absolute differences between neighbouring frames, over all pixels and colours. Two frames,
# one black and one white, flicker by 1; a still picture by 0. (It is a blunt measure, for a moving
# head changes pixels too. Notebook 06 has a better one.)


# %%
# Exercise 2: flicker
def flicker(frames):
    """frames: T x height x width x 3, in [0, 1]; returns one number."""


# %%
some = painted.frames[:8].astype(float)
right_one = cv2.absdiff(some[1:], some[:-1]).mean()
check("2", lambda: flicker(some), right_one, tolerance=1e-6, mistakes=[
    ((some[1:] - some[:-1]).mean(), "Brighter and darker cancel: take the absolute value first."),
    (np.abs(np.diff(some, axis=1)).mean(), "That goes down the picture; time is the first axis."),
    (np.abs(some[-1] - some[0]).mean(), "First and last only: all neighbours in time are asked."),
    (((some[1:] - some[:-1]) ** 2).mean(), "Asked is the absolute difference, not its square."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 2: flicker
# def flicker(frames):
#     """frames: T x height x width x 3, in [0, 1]; returns one number."""
#     ### BEGIN SOLUTION
#     return np.abs(np.diff(frames, axis=0)).mean()
#     ### END SOLUTION
# ```
#
# Try it on `painted.frames` and on `steadied.frames`.
# </details>

# %% [markdown]
# ### Exercise 3: write a stage
#
# A stage is a function, and you can write your own. Write `almost(faces)`: a tender plan of two
# seconds with seed 1 in which the lips stop at **half** an inter-ocular distance and stay there.
# Every key of the gap but the first becomes 0.5. Start from `plan_kiss`, change its keyframes as
# in section 11 (the gap belongs to both, so its person is `-1`), and end with
# `motion_from_keyframes`. The gap should then look like the orange curve.

# %%
shown = {"tender": motion.gap, "almost": 0.5 + (motion.gap - motion.gap[-1]) * (
    (motion.gap[0] - 0.5) / (motion.gap[0] - motion.gap[-1]))}  # fmt: skip
show.curve(seconds, shown, y_label="gap (iod)")
show.snapshot("Two falling curves: tender ends at nothing, almost ends at a gap of 0.5.")


# %%
# Exercise 3: a plan that never touches
def almost(faces):
    """faces: Faces of two people; returns a Motion."""


# %%
def gap_of(plan):
    return getattr(plan(faces), "gap", None)


check("3", lambda: gap_of(almost), shown["almost"], tolerance=0.02, mistakes=[
    (motion.gap, "That is the plan as it was: with_key gives new keyframes and changes nothing."),
    (np.full(len(motion.gap), 0.5), "The first key has to stay: they begin apart."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 3: a plan that never touches
# def almost(faces):
#     """faces: Faces of two people; returns a Motion."""
#     ### BEGIN SOLUTION
#     keys = plan_kiss(faces, style="tender", seconds=2.0, seed=1).keyframes
#     for time in keys.track(-1, "gap").times[1:]:
#         keys = keys.with_key(-1, "gap", time, 0.5)
#     return motion_from_keyframes(keys, faces)
#     ### END SOLUTION
# ```
#
# And now make the film: `Pipeline(plan=almost)(left, right).clip.plot()`. You have swapped a stage
# of a generator.
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** The mask of section 9 is nearly 0 on a cheek that the photo shows well. What would be lost
# if it were 1 everywhere?
#
# <details><summary>Answer</summary>
#
# The photograph. Pores, lashes and single hairs are finer than the codec's 8 × 8 places, and the
# face would become the model's idea of it. Taking the model only where the guide is unsure keeps
# the people's own pixels.
#
# </details>
#
# **2.** Why is the motion planned *before* the model paints, instead of asking the model for "a
# kiss"?
#
# <details><summary>Answer</summary>
#
# A plan can be read, checked and changed: you can count noses inside of cheeks before a single
# pixel is drawn. A model that is only told "a kiss" makes up who moves, when and how far, each
# time anew.
#
# </details>
#
# **3.** Which of the seventeen results would be wrong if the faces were found in the wrong order?
#
# <details><summary>Answer</summary>
#
# All that follow. Person 0 is on the left in *every* record, so the plan would turn both heads
# away from each other, and the identities would be told to the wrong people. That is why the
# assertion in section 3 looks so trivial, and is there.
#
# </details>

# %% [markdown]
# ## Your own photographs
#
# ```python
# run = pipeline("ana.jpg", "bo.jpg", consent="Both are adults and agreed.")
# run.save("kiss.mp4")
# ```
#
# Without the statement kisslab refuses, and says why; with it, the statement is written into the
# clip, beside the settings and the note that it is AI-generated.
#
# ## Where this comes from
#
# - Yu et al. 2024, [ViewCrafter](https://arxiv.org/abs/2409.02048): a warped guide that a video
#   model repairs.
# - Karras et al. 2022, [Elucidating the design space of diffusion-based generative
#   models](https://arxiv.org/abs/2206.00364): steps, sigmas, and what the network is asked.
# - Rombach et al. 2022, [High-resolution image synthesis with latent diffusion
#   models](https://arxiv.org/abs/2112.10752): why painting happens in the codec's language.
# - Deng et al. 2019, [ArcFace](https://arxiv.org/abs/1801.07698): faces as vectors.
#
# **Read next:** [01 · Understanding the photo](01_photo.ipynb), and then on, door by door, to
# [08](08_failures.ipynb), where things go wrong. Whoever is in a hurry for the model goes to
# [05](05_diffusion.ipynb).
