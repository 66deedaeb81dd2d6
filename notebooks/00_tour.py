# %% [markdown]
# # 00 · A tour: from two portraits to a kiss
#
# In ten cells you will turn two still portraits into a short clip, and look at what every stage
# computed on the way. Nothing here is hidden in a service: each result is a record that you can print,
# plot, save and change.
#
# The two people do not exist. They were drawn by kisslab's studio, so nobody's consent is needed. For
# your own photographs it is, and the last section says how kisslab asks for it.
#
# **The question of this notebook:** which parts of such a clip come from the photograph, and which
# have to be made up?

# %%
from functools import partial

import numpy as np
from matplotlib_inline.backend_inline import set_matplotlib_formats

from kisslab import Pipeline, motion_from_keyframes, plan_kiss, show, zoo

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 70})  # keeps the notebook's file small

# %% [markdown]
# ## 1 · Run everything, one stage at a time
#
# A pipeline is a record of functions. Its `stages()` hands out each result as soon as it is there, so
# the progress bar is your own `for` loop.

# %%
left, right = zoo.demo_portraits()
pipeline = Pipeline(plan=partial(plan_kiss, style="tender", seconds=2.0, seed=1))
results = {}
for name, result in pipeline.stages(left, right):
    results[name] = result
list(results)

# %% [markdown]
# ## 2 · Two portraits become one picture
#
# Both people were cut out, brought to one face size, one eye line and one light, and put before one
# background. Look at the edge of the hair: that is where cutting out is hardest.

# %%
results["composite"].plot()

# %% [markdown]
# ## 3 · What the machine sees in the faces
#
# 478 points on each face, with depth. From them come the head's angles, the openness of eyes and mouth,
# and the place of the lips, which is what the whole plan is about.

# %%
faces = results["faces"]
faces.plot(results["photo"].rgb)

# %%
faces

# %% [markdown]
# **Claim:** person 0 is the one on the left, and both look at the camera to within fifteen degrees.

# %%
assert faces.boxes[0, 0] < faces.boxes[1, 0]
assert np.all(np.abs(faces.angles[:, 0]) < 15)

# %% [markdown]
# ## 4 · The plan
#
# A kiss, told in numbers: the gap between the lips shrinks from beginning to contact, the heads turn
# toward each other and tilt so that the noses pass, the lids close *before* the touch.

# %%
motion = results["motion"]
motion.plot()

# %% [markdown]
# **Claim:** when they touch, the gap is at most a twentieth of the distance between the outer eye
# corners, and the gap never grows on the way there.

# %%
touch = motion.phases.index("contact")
assert motion.gap[touch] <= 0.05
assert np.all(np.diff(motion.gap[: touch + 1]) <= 0)

# %% [markdown]
# ## 5 · The guide: the photo acts out the plan
#
# The photograph is wrapped around a closed head and turned. Every pixel you see came out of the two
# portraits, or was continued from them.

# %%
guide = results["guide"]
guide.plot()

# %% [markdown]
# ## 6 · What had to be made up
#
# No portrait shows the back of a head. The confidence map knows: bright where the photo saw the surface
# squarely, dark where kisslab had to continue hair, skin or background.

# %%
show.heat(guide.frames[motion.contact], guide.confidence[motion.contact], label="confidence")

# %%
shares = [np.mean(c[l > 0] < 0.5) for c, l in zip(guide.confidence, guide.layers, strict=True)]
seconds = np.arange(len(shares)) / guide.fps
show.curve(seconds, {"share of the people's pixels": np.array(shares)}, y_label="made up")

# %% [markdown]
# Here is the answer to the question at the top, and the reason for the diffusion model that comes later:
# the more the heads turn, the less of the picture is photograph.

# %% [markdown]
# ## 7 · The clip

# %%
show.player(guide.frames[::2], guide.fps / 2, width=320, alt="Two drawn people lean in and kiss")

# %% [markdown]
# ## 8 · Change one number
#
# Keyframes are data. Below, the left person turns to only 30 degrees, as a careless animator might have
# it. Guess what happens to the noses before you run the cell.

# %%
lazy = motion.keyframes
for time in lazy.track(0, "yaw").times[1:]:
    lazy = lazy.with_key(0, "yaw", time, 30.0)
other = pipeline.draw(
    results["photo"], faces, motion_from_keyframes(lazy, faces), results["cutout"]
)
show.sheet([guide.frames[motion.contact], other.frames[motion.contact]], ["planned", "30 degrees"])

# %% [markdown]
# **What failed, honestly:** at 30 degrees the far cheek covers the partner's mouth. A kiss needs heads
# that face *each other*, 60 to 80 degrees away from the camera, and that is just where a photo has
# nothing left to show.
#
# ## Your own photographs
#
# ```python
# run = pipeline("ana.jpg", "bo.jpg", consent="Both are adults and agreed.")
# run.save("kiss.mp4")
# ```
#
# Without the statement kisslab refuses, and says why; with it, the statement is written into the clip.
#
# **Try next:** `style="french"`, `"peck"`, `"forehead"` or `"cheek"`; another `seed`; `seconds=4.0`.
