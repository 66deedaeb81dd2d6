# %% [markdown]
# # 08 · When it goes wrong, and what to do about it
#
# So far the photos were kind to us: two people, upright, well lit, faces free. Yours will not be.
# In this notebook you will spoil photographs on purpose, one thing at a time and by a known amount,
# send them through the whole pipeline, and hold what comes out against what should have come out.
# Then you will ask the question that saves the most work: could we have known before?
#
# By hand you will build the turning of a photo, the peak signal-to-noise ratio, the number that
# foretells difficulty, and Spearman's rank correlation, which says how much such a forecast is
# worth; each time the library, or a witness that is not ours, will agree. The second half is about
# you: whose picture you may use, what a clip says about where it comes from, and how easily it is
# made to say nothing.
#
# **The question of this notebook:** *can one tell beforehand that a photo will fail, and afterwards
# what a clip really is?*

# %%
import tempfile
from pathlib import Path

import cv2
import imageio.v3 as imageio
import ipywidgets as widgets
import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import rankdata, spearmanr
from skimage.metrics import peak_signal_noise_ratio

from kisslab import anatomy as at
from kisslab import assess, load_photo, photo_from_array, show, zoo
from kisslab.assessment import WEIGHTS
from kisslab.classroom import check
from kisslab.consent import ConsentError, check_consent
from kisslab.explore import explore
from kisslab.faces import mesh_detector
from kisslab.failures import load_curves, load_forecast
from kisslab.quality import psnr
from kisslab.studio.hard import KINDS, TILT, hard_case
from kisslab.verify import verify
from kisslab.video import load_clip, make_clip, read_record, save

# %% [markdown]
# ## 1 · Six ways to make it hard
#
# The studio draws two adults who do not exist. At a strength of 0 the photo is as good as they get;
# from there on exactly one thing becomes worse. Nothing else moves: same people, same wall, same
# kiss. (A mismatched pair is made of two portraits; the one that is spoilt is shown.)

# %%
curves = {kind: load_curves(kind) for kind in KINDS}
photos = [curves[kind].pictures[k, 0] for kind in KINDS for k in range(5)]
strengths = curves["profile"].strengths
titles = [f"{kind}, {s:g}" if s == 0 else f"{s:g}" for kind in KINDS for s in strengths]
show.sheet(photos, titles, columns=5)
plt.gcf().set_size_inches(7.2, 6.4)
show.snapshot(
    "Six rows of five photos: one head turning into profile, a mug growing over a mouth, light "
    "getting harder, people getting smaller, a portrait getting grainy, a camera leaning."
)

# %% [markdown]
# Five are drawn by the studio itself: it turns a head, moves a lamp, walks away. It has no mugs, so
# the **mug is painted** over the finished photo, and everything that is assumed in this manner is
# written down with the case:

# %%
for kind in KINDS:
    print(f"{kind:16} {curves[kind].note or 'all of it is drawn'}")

# %% [markdown]
# **Make one yourself.** A leaning camera turns the picture, the points of the faces, and the heads
# in it, all by the same angle. For the points that is a line of complex numbers: subtract the
# middle, multiply by *e*^(iφ), add the middle. In pictures *y* goes down, so a turn to the left is
# a negative angle.

# %%
upright = hard_case("tilted camera", 0.0, seed=970_004, frames=1, size=160)
tilted = hard_case("tilted camera", 0.6, seed=970_004, frames=1, size=160)

middle = 80 + 60j
z = upright.faces.points[..., 0] + 1j * upright.faces.points[..., 1]
leaning = (z - middle) * np.exp(1j * np.radians(0.6 * TILT)) + middle  # an even seed: to the right

assert np.allclose(leaning.real, tilted.faces.points[..., 0])  # the library turns them with OpenCV
assert np.allclose(leaning.imag, tilted.faces.points[..., 1])

# %%
dots = {"by hand": np.stack([leaning.real, leaning.imag], -1)[:, at.OVAL]}
show.overlay(tilted.photos[0].rgb, dots)
plt.gcf().set_size_inches(4.2, 2.8)
show.snapshot("A photo that leans by 27 degrees; dots turned by hand lie around both faces.")

# %% [markdown]
# ## 2 · What should have become of it
#
# A photograph has no "right answer". A studio has: it simply lets the same two people act out the
# same plan before the same camera. So each spoilt photo comes with an **exact film**, and the clip
# that the pipeline makes can be held against it, pixel by pixel. (Clips of tiny faces are enlarged
# first, to the size at which one would want to see them.) Here is one of them, at contact.

# %%
one = curves["tilted camera"]
show.sheet(list(one.pictures[2]), ["photo, strength 0.5", "made of it", "exact"], columns=3)
plt.gcf().set_size_inches(8, 2.3)
show.snapshot(
    "A tilted couple; the clip's last frame, in which heads were levelled but shoulders were not; "
    "and the exact frame, tilted as a whole."
)

# %% [markdown]
# You see at once what went wrong: the plan straightens heads, because in a plan people stand
# upright. Nobody told it that the *camera* leaned, so the necks pay for it.
#
# How wrong is it, in one number? The oldest answer is the **peak signal-to-noise ratio**: the mean
# square of the differences, on a logarithmic scale, in decibels. Three lines:

# %%
made, exact = one.pictures[2, 1] / 255.0, one.pictures[2, 2] / 255.0
mean_square = np.mean((made - exact) ** 2)
by_hand = -10 * np.log10(mean_square)

everywhere = np.ones((1, *made.shape[:2]), bool)
assert np.isclose(by_hand, psnr(made[None], exact[None], everywhere))
assert np.isclose(by_hand, peak_signal_noise_ratio(exact, made, data_range=1.0))
print(f"{by_hand:.1f} dB")

# %% [markdown]
# No single number is to be trusted; you met the traps in notebook 06. The lab measures nine, and
# then one **error** that looks only at the two faces, in the place where they should be. Half of it
# is structure: 1 − SSIM, the *structural similarity*, which compares light, contrast and pattern of
# small windows, here at a quarter of the size, so that a nose that is two pixels off is still a
# nose. The other half is identity: 1 − cosine of ArcFace ([notebook 02](02_identity.ipynb)). It is
# 0 for the exact film and 1 where nothing of a face is right. A photo that the pipeline refuses,
# since it finds no two faces, gets a 1.

# %% [markdown]
# ### Move the strength


# %%
def draw_case(kind, strength):
    case = curves[kind]
    k = list(case.strengths).index(strength)
    error = f"made, error {case.errors[k]:.2f}"
    titles = [f"photo, difficulty {case.difficulty[k]:.2f}", error, "exact"]
    show.sheet(list(case.pictures[k]), titles, columns=3)
    plt.gcf().set_size_inches(8, 2.5)
    plt.gcf().suptitle(f"{kind}, {strength:g}.  What assess says: {case.problems[k]}", fontsize=9)


explore(
    draw_case,
    "A couple in hard light from the side, the clip made of it, and the exact frame beside it.",
    kind=widgets.Dropdown(options=list(KINDS), value="harsh light", description="kind"),
    strength=widgets.SelectionSlider(options=strengths.tolist(), value=1.0, description="strength"),
)

# %% [markdown]
# ## 3 · Nine curves, and what they are good for
#
# All of them for one kind, and in the last diagram the error, with the difficulty that `assess`
# foretold (section 4). A point is one film of three frames. Look for a curve that *improves* while
# the clip gets worse.

# %%
curves["tiny face"].plot()
show.snapshot(
    "Ten small diagrams over the strength of tiny face. Identity, faces found, PSNR, SSIM and "
    "sharpness fall, error and difficulty rise; but the warping error falls, too, and landmark "
    "error and flicker go up and down. The lip gap was seen once only."
)

# %% [markdown]
# There is one: the *warping error* is half as large for the tiniest faces as for large ones. They
# are enlarged and soft, and where all is soft, nothing much can be wrong from frame to frame: the
# trap of notebook 06, caught in the wild, and *sharpness* beside it tells. The *lip gap* needs both
# faces found in the last frame, and saw them once.
#
# **Claim:** for every kind, the error is larger at full strength than at none.

# %%
for kind in KINDS:
    print(f"{kind:16} {curves[kind].errors.round(2)}")
assert all(case.errors[-1] > case.errors[0] for case in curves.values())
tiny = curves["tiny face"]
assert tiny["warping error"][-1] < tiny["warping error"][0]
assert tiny["sharpness"][-1] < 0.5 * tiny["sharpness"][0]

# %% [markdown]
# And which measure notices which trouble? We correlate each with the strength. Red means that it
# notices, blue that *it says better although it is worse*; grey is where it had nothing to say: it
# was measured twice at most, or never changed.

# %%
LARGER_IS_WORSE = {"landmark error", "lip gap at contact", "warping error", "flicker"}
names = curves["profile"].measures
notices = np.full((len(KINDS), len(names)), np.nan)
for i, kind in enumerate(KINDS):
    for j, name in enumerate(names):
        y, x = curves[kind][name], curves[kind].strengths
        known = np.isfinite(y)
        if known.sum() > 2 and np.ptp(y[known]) > 0:
            sign = 1 if name in LARGER_IS_WORSE else -1
            notices[i, j] = sign * spearmanr(x[known], y[known]).statistic

plt.figure(figsize=(7.4, 3.2), layout="constrained")
plt.imshow(notices, cmap="RdBu_r", vmin=-1, vmax=1)
plt.gca().set_facecolor("0.75")
plt.colorbar(label="notices it (rank correlation)", shrink=0.8)
plt.xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
plt.yticks(range(len(KINDS)), KINDS, fontsize=8)
show.snapshot(
    "A table of colours, six kinds by nine measures: most cells are red, so the measure notices; "
    "some are blue, so it is fooled; half of the lip gap's column is grey, unknown."
)

# %%
fooled = [(KINDS[i], names[j]) for i, j in np.argwhere(notices < -0.5)]
print(f"fooled: {len(fooled)} of {np.isfinite(notices).sum()}, among them {fooled[:3]}")
assert np.nanmean(notices) > 0  # on the whole they notice

# %% [markdown]
# ## 4 · Could we have known?
#
# Generation costs seconds here, and minutes of an expensive machine with a large model. `assess`
# looks at the photo alone, for a fraction of a second. Each of its checks has a **margin**: how far
# the value lies on the good side of its threshold, counted in thresholds. Out of the margins comes
# one number, and you can add it up by hand: a check with half a threshold to spare costs nothing;
# at the threshold it falls short by 1, and by 3 at the most. Checks that matter more weigh more,
# and *difficulty = 1 − 2^(−Σ weight · shortfall)*: 0 for a photo without fault, and with every
# further 1 in the sum, half of what is missing to 1 is gone. (A photo has most checks twice, once
# for each face.)

# %%
path = zoo.data_path("portraits/couple_06.jpg")
photo = load_photo(path)
detect = mesh_detector()
found = assess(photo, detect(photo.rgb))

total = sum(WEIGHTS[c.name] * min(max(1 - 2 * c.margin, 0), 3) for c in found.checks)
by_hand = 1 - 2**-total

assert np.isclose(by_hand, found.difficulty)
print(f"difficulty {found.difficulty:.2f}; not good: {[c.name for c in found.problems]}")

# %% [markdown]
# The weights were set on other couples than the one you are about to see (the comment beside them
# in `kisslab/assessment.py` says how). Here is how the forecast did: a dot for each of sixty
# photos, of ten couples, each spoilt in all six ways, a little or much, as a die had it.

# %%
told = load_forecast()
told.plot()
show.snapshot(
    "Dots of six colours and shapes, one a photo: the larger the difficulty that was foretold, the "
    "larger the measured error, with much scatter."
)

# %% [markdown]
# It is no line. But to *sort out* the worst photos, a line is not needed: only the **order** has to
# be right. Charles Spearman's idea of 1904 is to replace every number by its rank, and to correlate
# those. By hand:

# %%
ranks = [rankdata(values) for values in (told.difficulty, told.errors)]  # equals share a rank
from_mean = [r - r.mean() for r in ranks]
rho = (from_mean[0] @ from_mean[1]) / np.sqrt((from_mean[0] ** 2).sum() * (from_mean[1] ** 2).sum())

assert np.isclose(rho, told.rank_correlation)
assert np.isclose(rho, spearmanr(told.difficulty, told.errors).statistic)
print(f"{rho:.2f} over {len(told.errors)} photos")

# %% [markdown]
# **Claim:** that is more than chance, and not owed to the photos that were refused, which count as
# lost. Chance is easily asked: shuffle one side a thousand times, and see how often that does as
# well.

# %%
accepted = told.pick(~told.refused)
rng = np.random.default_rng(0)
by_chance = [spearmanr(rng.permutation(told.errors), told.difficulty)[0] for _ in range(1000)]
print(f"{told.refused.sum()} refused; without them {accepted.rank_correlation:.2f}")
print(f"shuffled: as good in {np.mean(np.array(by_chance) >= rho):.1%} of a thousand tries")
assert np.mean(np.array(by_chance) >= rho) < 0.01

# %% [markdown]
# The project's own bench (`kisslab bench temporal`) draws the same sixty photos and asks for 0.7.
# Be careful with such a number all the same. With weights that it had before, the forecast reached
# 0.72, 0.59 and 0.67 on three other such sets: which people happen to be drawn decides much. Then
# the weights were set anew, on two of those sets, and these sixty photos had been seen by nobody.
# That is the only order in which such a number means anything.

# %%
f"here, 0.7 asked for, {rho:.2f} is {'enough' if rho >= 0.7 else 'too little'}"

# %% [markdown]
# ## 5 · Where to draw the line
#
# A forecast is a number; "please take another photo" is a decision. Whoever decides must choose a
# threshold, and pays either way: too strict, and good photos are sent away; too lax, and bad clips
# come out. Move it. A photo counts as *bad* here when its error is among the worst third.

# %%
bad = told.errors > np.quantile(told.errors, 2 / 3)


def draw_line(threshold):
    kept = told.difficulty <= threshold
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 2.9), layout="constrained")
    for name, chosen, colour in (("good", ~bad, show.PALETTE[0]), ("bad", bad, show.PALETTE[1])):
        left.scatter(told.difficulty[chosen], told.errors[chosen], s=14, color=colour, label=name)
    left.axvline(threshold, color="black", linewidth=1)
    left.set(xlabel="difficulty, foretold", ylabel="error, measured")
    left.legend(frameon=False, fontsize=8)
    parts = [(kept & ~bad).sum(), (kept & bad).sum(), (~kept & ~bad).sum(), (~kept & bad).sum()]
    bars = ["good, kept", "bad, kept", "good, sent away", "bad, sent away"]
    right.barh(bars, parts, color=[show.PALETTE[k] for k in (0, 1, 0, 1)])
    right.set(xlabel="photos")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.invert_yaxis()
    mean = told.errors[kept].mean() if kept.any() else np.nan
    figure.suptitle(f"{kept.sum()} of {len(bad)} kept, their mean error {mean:.2f}", fontsize=10)


explore(
    draw_line,
    "Dots left and right of a line at the threshold, and four bars that count them: good and bad, "
    "kept and sent away.",
    threshold=widgets.FloatSlider(0.5, min=0.0, max=1.0, step=0.02, description="threshold"),
)

# %% [markdown]
# ## 6 · What to do about it
#
# | what is wrong | what helps | what does not |
# |---|---|---|
# | profile | a photo less than 20° away from the partner | a larger model: it invents a cheek |
# | covered mouth | another photo; a hand in front stays a hand | hoping that it is taken for skin |
# | harsh light | a photo in the shade, or at a window | brightening: the shadows stay |
# | tiny face | the original file, and a crop around the two | sharpening: edges are no lashes |
# | mismatched pair | two portraits of one afternoon | matching the colours alone |
# | tilted camera | **turn the photo upright** | tilting the plan |
#
# The last one costs nothing. The line from eye to eye says how far a head leans; the mean of both
# heads says how far the camera does. Turn the picture back:


# %%
def level(picture):
    seen = detect(picture.rgb).points
    across = (seen[:, at.LEFT_EYE_OUTER] - seen[:, at.RIGHT_EYE_OUTER])[:, :2].sum(axis=0)
    lean = np.degrees(np.arctan2(across[1], across[0]))
    high, wide = picture.rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), lean, 1.0)
    turned = cv2.warpAffine(picture.rgb, matrix, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    return photo_from_array(turned.clip(0, 1)), lean


crooked = tilted.photos[0]
straight, lean = level(crooked)
before, after = assess(crooked, detect(crooked.rgb)), assess(straight, detect(straight.rgb))
titles = [f"difficulty {before.difficulty:.2f}", f"turned by {lean:.0f}°: {after.difficulty:.2f}"]
show.sheet([crooked.rgb, straight.rgb], titles, columns=2)
plt.gcf().set_size_inches(6, 2.4)
show.snapshot("The tilted photo, and the same turned upright, with smeared corners.")

# %%
assert abs(lean - 0.6 * TILT) < 10  # degrees: heads lean a little by themselves
assert after.difficulty < before.difficulty

# %% [markdown]
# ## 7 · Whose face is it?
#
# Everything so far was technique. Here is what technique cannot fix: a clip of two people kissing
# says something about two people. If they did not agree, it is a lie about them, and it hurts no
# less for being generated. Intimacy that nobody agreed to is what deepfakes are mostly made for: of
# the videos that Ajder and others counted in 2019, 96 in a hundred were pornography without
# consent. So there is one rule, and it is no fine print: **everybody in the picture is an adult and
# has agreed. To this clip, not just to the photo.**
#
# kisslab asks. Its own packaged people do not exist and need no consent; it knows them by the
# sha256 of their files. Anything else, even the same picture with a single byte changed, is
# somebody.

# %%
print(check_consent([photo], ""))

stranger = photo_from_array(photo.rgb, "holiday.jpg")  # the same pixels, but no packaged file
try:
    check_consent([stranger], "")
except ConsentError as error:
    print(error)

# %% [markdown]
# A sentence is no proof, and a program cannot check it. What the question does is to make *you*
# say it, and to write it into the clip, where it stands beside your settings when somebody asks.
# The same rule has a second half: **you** are responsible for what you publish, and that it is
# generated has to be said where it is seen.

# %% [markdown]
# ## 8 · What a clip says about itself
#
# Four things leave kisslab with every clip: a **visible mark**; the **record** of the run in the
# file's metadata; a **credential**, the same record signed by a certificate, so that no byte can be
# changed without its being noticed (C2PA, which cameras and newspapers use too); and a
# **watermark**, a faint pattern in the pixels that nobody sees. Let us write a clip and ask.

# %%
folder = Path(tempfile.mkdtemp())
frame = cv2.resize(one.pictures[2, 1], (576, 432), interpolation=cv2.INTER_CUBIC)
notes = {"consent": check_consent([photo], ""), "photos": [photo.sha256[:12]], "style": "tender"}
clip = make_clip(np.repeat(frame[None], 8, axis=0), fps=8.0)
file = save(clip, folder / "kiss.mp4", run_record=notes)
assert read_record(file) == notes
verify(file).verdict

# %%
show.picture(load_clip(file).frames[0])
plt.gcf().set_size_inches(3.6, 2.7)
show.snapshot("A frame of the written clip: two people kiss; in the corner it says AI-generated.")

# %% [markdown]
# Now do to it what happens to clips out there: somebody edits one word of the record; a messenger
# encodes it anew; it is made half the size; a third is cut off.

# %%
pictures = load_clip(file).frames
smaller = [cv2.resize(p, (288, 216), interpolation=cv2.INTER_AREA) for p in pictures]
edited = file.read_bytes().replace(b"tender", b"french")
(folder / "record edited.mp4").write_bytes(edited)
copies = {
    "encoded anew": pictures,
    "half the size": smaller,
    "a third cut off": pictures[:, :, :384],
}
for name, some in copies.items():
    imageio.imwrite(folder / f"{name}.mp4", np.array(some), fps=8, codec="libx264", plugin="pyav")

names = ["kiss", "record edited", *copies]
seen = {name: verify(folder / f"{name}.mp4") for name in names}
rows = [(name, *(f.state for f in seen[name].findings)) for name in names]
heads = ("copy", *(f.name for f in seen["kiss"].findings))
show.Html(show.table("What survives what", rows, heads), "\n".join(map(" | ".join, rows)))

# %%
assert seen["kiss"].whole and not any(seen[name].whole for name in names[1:])
assert "changed" in seen["record edited"].verdict
seen["encoded anew"].verdict

# %% [markdown]
# The credential alone notices that a word was changed; it and the record are lost as soon as
# somebody saves the frames anew; mark and watermark survive that, and half the size, but not the
# scissors. And all of them can be taken off by somebody who wants to: our watermark's table is
# public. **Provenance is a courtesy among honest people**: it lets them prove what is theirs. It
# does not stop a liar, and a file without any note is not therefore genuine.

# %% [markdown]
# ## 9 · Larger models, larger failures
#
# Would a model of fourteen billion weights have saved the photos above? Some of them: it knows what
# the other side of a head looks like. But it knows *heads*, not **this** one, and it fails more
# convincingly. kisslab plugs such models in with one line, and they take the same guide:
#
# | backend | is told | licence |
# |---|---|---|
# | `StableVideoDiffusion` | the photo as first frame; begins with the guide | Stability AI's own |
# | `WanImageToVideo` | photo and contact frame as first and last, prompt, LoRA | Apache-2.0 |
# | `WanVideoToVideo` | guide, prompt, LoRA | Apache-2.0 |
# | `WanVACE` | guide, mask of where it is unsure, both portraits, prompt | Apache-2.0 |
# | `AnimateDiffVideoToVideo` | guide, prompt, both faces in their regions | of its parts |
# | `LTXCondition` | three keyframes, guide, prompt | LTX-Video's own |
#
# None of them fits on this laptop. What can be shown here is the *wiring*: the real class of the
# real library, with a few **random weights**. That it runs, through the same cell as the large one,
# is proven; about quality it says nothing at all, and the picture shows it. (Four steps, and a
# strength of 0.5: it begins half-way, with the noisy guide, so two of them are left.)

# %%
import warnings

import diffusers
import transformers

for library in (diffusers, transformers):  # six bars for six kilobytes
    library.utils.logging.disable_progress_bar()
    library.utils.logging.set_verbosity_error()
warnings.filterwarnings("ignore", category=FutureWarning)

from kisslab.backends import WanVideoToVideo
from kisslab.bench.backends import load_tiny, small_records

records = small_records()
backend = load_tiny(WanVideoToVideo, folder)
*trail, painted = backend(*records, strength=0.5, steps=4, seed=0, longest=96)

guide = records[3]
titles = ["the guide", f"after {len(trail)} steps of random weights"]
show.sheet([guide.frames[-1], painted.frames[-1]], titles, columns=2)
plt.gcf().set_size_inches(5.2, 2.1)
show.snapshot("A guide's frame of two people who kiss; beside it a green texture without anybody.")

# %%
assert painted.frames.shape == guide.frames.shape and np.isfinite(painted.frames).all()
assert [round(step.sigma, 6) for step in trail] == sorted(
    (round(step.sigma, 6) for step in trail), reverse=True
)

# %% [markdown]
# ## 10 · What fails, honestly
#
# The forecast itself. Let us look at it kind by kind: how well does it sort photos that suffer from
# *the same* trouble?

# %%
within = {
    kind: told.pick((np.array(told.kinds) == kind) & ~told.refused).rank_correlation
    for kind in KINDS
}
plt.figure(figsize=(5.4, 2.4), layout="constrained")
plt.barh(list(within), list(within.values()), color=show.PALETTE[0])
plt.axvline(0.7, color="black", linewidth=1, linestyle=":")
plt.xlabel("rank correlation within a kind")
plt.gca().invert_yaxis()
show.snapshot(
    "Six bars, one a kind of trouble: covered mouth, harsh light and tilted camera from 0.6 to "
    "0.8, profile at 0.4, tiny face and mismatched pair at about 0."
)

# %%
within = {kind: value for kind, value in within.items() if np.isfinite(value)}
weakest = min(within, key=within.get)
print(f"it is worst at: {weakest}, {within[weakest]:.2f}")
assert within[weakest] < told.rank_correlation

# %% [markdown]
# Each bar rests on ten photos of ten couples, less those that were refused: few, so do not read
# much into one. Yet some kinds it hardly sorts at all. Some troubles it sees and the clip does not
# mind; others spoil the clip and no check asks about them (a fringe, a beard, glasses: some people
# are simply harder than others, and here every photo is of other people). And there are troubles
# that `assess` has never heard of: a hand on a shoulder, a veil of cigarette smoke, a picture of a
# picture. **A forecast knows the failures of yesterday.** Use it to send a photo back, never to
# praise one.
#
# The studio is kind, too. Its harshest light is a lamp of one colour, its people have no wrinkles,
# its mug is a plain rectangle. Real photos are harder than these at every strength.

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: change one number
#
# A photo is kept if its difficulty is at most the threshold. Send away as few as possible, but so
# that the mean error of those you keep is below the mean of all photos *by at least 0.03*. Find the
# largest threshold, among 0.00, 0.02, ... 1.00, that does it.

# %%
borders = np.arange(0, 1.001, 0.02).round(2)
means = np.array([
    told.errors[told.difficulty <= b].mean() if (told.difficulty <= b).any() else np.nan
    for b in borders
])  # fmt: skip
goal = np.full(len(borders), told.errors.mean() - 0.03)
show.curve(borders, {"kept photos": means, "goal": goal}, x_label="threshold", y_label="mean error")
plt.grid(alpha=0.4)
show.snapshot("The mean error of the kept photos rises with the threshold, and crosses the goal.")

# %%
# Exercise 1: the largest threshold that is good enough
threshold = 1.0

# %%
largest = float(borders[np.nan_to_num(means, nan=9) <= goal][-1])
check("1", threshold, largest, tolerance=0.005, mistakes=[
    (1.0, "At 1.0 nobody is sent away, and the mean is everybody's."),
    (0.0, "At 0.0 hardly anybody is left."),
    (float(borders[np.nan_to_num(means, nan=9) <= goal][0]),
     "That one is good enough, but it sends away more than needed: find the largest."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 1: the largest threshold that is good enough
# threshold = 1.0
# ### BEGIN SOLUTION
# threshold = max(b for b, mean in zip(borders, means) if mean <= goal[0])
# ### END SOLUTION
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2: write one line
#
# How far does a check fall short? Write `shortfall(margin)`: 0 from a margin of 0.5 upwards, 1 at a
# margin of 0, 3 from a margin of −1 downwards, and a straight line between.


# %%
# Exercise 2: from margin to shortfall
def shortfall(margin):
    """margin: array, in thresholds; returns an array from 0 to 3."""


# %%
margins = np.array([2.0, 0.5, 0.25, 0.0, -0.3, -1.0, -4.0])
right = np.clip(1 - 2 * margins, 0, 3)
check("2", lambda: shortfall(margins), right, mistakes=[
    (1 - 2 * margins, "The line is right; now keep it between 0 and 3."),
    (np.clip(1 - 2 * margins, 0, None), "The far end is missing: no check costs more than 3."),
    (np.clip(-margins, 0, 3), "At its threshold, margin 0, a check falls short by 1 already."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 2: from margin to shortfall
# def shortfall(margin):
#     """margin: array, in thresholds; returns an array from 0 to 3."""
#     ### BEGIN SOLUTION
#     return np.clip(1 - 2 * margin, 0, 3)
#     ### END SOLUTION
# ```
#
# </details>

# %% [markdown]
# ### Exercise 3: write a function
#
# Write Spearman's rank correlation for numbers of which no two are equal. For them there is a
# shortcut: *ρ = 1 − 6 Σ d² / (n (n² − 1))*, where *d* is the difference of the two ranks of one
# thing. For ranks, `np.argsort` twice is enough. For 1, 8, 2.5, 4 and 7, 3, 9, 1 it is −0.6.


# %%
# Exercise 3: Spearman's formula
def spearman(a, b):
    """a, b: arrays of n different numbers; returns the rank correlation, -1 to 1."""


# %%
a, b = np.array([1.0, 8.0, 2.5, 4.0]), np.array([7.0, 3.0, 9.0, 1.0])
d = rankdata(a) - rankdata(b)
check("3", lambda: spearman(a, b), float(spearmanr(a, b).statistic), mistakes=[
    (float(np.corrcoef(a, b)[0, 1]), "That is the correlation of the numbers, not of their ranks."),
    (float(1 - 6 * (np.argsort(a) - np.argsort(b)) @ (np.argsort(a) - np.argsort(b)) / 60),
     "One argsort says who comes first; ranks need a second argsort on top."),
    (float(6 * d @ d / 60), "Subtract it from 1."),
    (float(d @ d), "That is the sum of squares; the formula goes on."),
])  # fmt: skip

# %% [markdown]
# <details><summary>A solution</summary>
#
# ```python
# # Exercise 3: Spearman's formula
# def spearman(a, b):
#     """a, b: arrays of n different numbers; returns the rank correlation, -1 to 1."""
#     ### BEGIN SOLUTION
#     ranks_a, ranks_b = np.argsort(np.argsort(a)), np.argsort(np.argsort(b))
#     n = len(a)
#     return 1 - 6 * np.sum((ranks_a - ranks_b) ** 2) / (n * (n**2 - 1))
#     ### END SOLUTION
# ```
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** Flicker falls while a photo gets darker and harder. Is the clip better?
#
# <details><summary>Answer</summary>
#
# No. Flicker counts differences of brightness, and in the dark there is less brightness to differ.
# A measure without its companions is an invitation to fool oneself.
#
# </details>
#
# **2.** A forecast sorts 60 photos with a rank correlation of 0.8. May one say of a *single* photo
# with difficulty 0.3 that it will succeed?
#
# <details><summary>Answer</summary>
#
# No. The order is right on the whole; a single photo may lie anywhere in the scatter, and what no
# check asks about is not in the number at all.
#
# </details>
#
# **3.** A clip carries no record and no mark. Is it genuine?
#
# <details><summary>Answer</summary>
#
# Nobody can tell from that. Notes are lost by the first careless save, and deceivers take them off.
# A signed note can prove that something *was* generated, or by whom it was filmed; a missing one
# proves nothing.
#
# </details>

# %% [markdown]
# ## Where this comes from
#
# - Spearman 1904, [The proof and measurement of association between two
#   things](https://doi.org/10.2307/1412159): ranks in the place of numbers.
# - Wang, Bovik, Sheikh, Simoncelli 2004, [Image quality assessment: from error visibility to
#   structural similarity](https://doi.org/10.1109/TIP.2003.819861).
# - Hernandez-Ortega et al. 2019, [FaceQnet](https://arxiv.org/abs/1904.01740): foretelling how well
#   a face can be recognised, from the photo alone.
# - Ajder, Patrini, Cavalli, Cullen 2019, The state of deepfakes: landscape, threats, and impact,
#   one of [Sensity's reports](https://sensity.ai/reports/) (the company was Deeptrace then).
# - Mirsky, Lee 2021, [The creation and detection of deepfakes: a
#   survey](https://arxiv.org/abs/2004.11138).
# - C2PA, [Content credentials: technical specification](https://spec.c2pa.org/): notes that are
#   signed.
#
# **Read next:** [00 · The tour](00_tour.ipynb), with your own photos, and everybody's consent.
