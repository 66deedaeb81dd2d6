"""A diffusers pipeline as a generator: one Seen per denoising step, then the frames.
(run, Seen, noise_level, noised, is_flow)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from queue import SimpleQueue
from threading import Event, Semaphore
from typing import Any, NamedTuple

import numpy as np
from diffusers import DiffusionPipeline, SchedulerMixin
from jaxtyping import Float
from torch import Tensor


class Seen(NamedTuple):
    """What a scheduler was given at one step; tensors in the pipeline's own layout."""

    sigma: float  # as the scheduler counts it: flow matching goes from 1 to 0
    noisy: Tensor
    clean: Tensor


class Stopped(Exception):
    """Ends a pipeline in mid-run; it never leaves this module."""


def run(
    pipe: DiffusionPipeline, arguments: dict[str, Any], skip: int = 0
) -> Iterator[Seen | Float[np.ndarray, "T H W 3"]]:
    """Call the pipeline and hand out each step before the next one begins, and the frames last.

    skip: leave out that many of the noisiest steps; for pipelines without a strength of their own,
    which then must be given `latents` of the noise level that is left. The pipeline works in a
    thread of its own and waits at its callback until the reader asks for more; closing the
    generator ends it there, without decoding, and returns when it has ended.
    """
    said: SimpleQueue[Seen | None] = SimpleQueue()
    more, stop, log = Semaphore(0), Event(), []

    def pause(pipe: DiffusionPipeline, index: int, timestep: Any, values: dict) -> dict:
        said.put(log.pop())
        more.acquire()
        if stop.is_set():
            raise Stopped
        return {}

    def work() -> np.ndarray:
        with _watched(pipe, skip, log):
            try:
                return pipe(**arguments, callback_on_step_end=pause, output_type="np").frames[0]
            except Stopped:
                pipe.maybe_free_model_hooks()  # as the pipeline would have done at its end
                raise

    with ThreadPoolExecutor(1, "pipeline") as pool:
        future = pool.submit(work)
        future.add_done_callback(lambda _: said.put(None))
        try:
            while (seen := said.get()) is not None:
                yield seen
                more.release()
            yield future.result()
        finally:
            stop.set()
            more.release()


@contextmanager
def _watched(pipe: DiffusionPipeline, skip: int, log: list[Seen]) -> Iterator[None]:
    """Within this context every step of the pipeline's scheduler is put into `log`."""
    scheduler = pipe.scheduler
    vars(pipe)["scheduler"] = _Watched(scheduler, skip, log)  # not by =: that would edit its config
    try:
        yield
    finally:
        vars(pipe)["scheduler"] = scheduler


class _Watched:
    """A scheduler that writes down what its `step` is given, and shows only its last timesteps.

    The callback of diffusers alone does not know the noisy latents of a step, nor the estimate of
    the clean ones.
    """

    def __init__(self, scheduler: SchedulerMixin, skip: int, log: list[Seen]):
        self.scheduler, self.skip, self.log = scheduler, skip, log

        @wraps(scheduler.step)  # pipelines look at its signature
        def step(output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
            return self._step(output, timestep, sample, **options)

        self.step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheduler, name)

    @property
    def timesteps(self) -> Tensor:
        return self.scheduler.timesteps[self.skip :]

    def _step(self, output: Tensor, timestep: Tensor, sample: Tensor, **options: Any) -> Any:
        sigma = noise_level(self.scheduler, timestep)
        result = self.scheduler.step(output, timestep, sample, **options)
        clean = getattr(result, "pred_original_sample", None)
        if clean is None:
            clean = _flow_clean(output, sample, sigma, options.get("per_token_timesteps"))
        self.log.append(Seen(sigma, sample, clean))
        return result


def noise_level(scheduler: SchedulerMixin, timestep: Tensor) -> float:
    """The scheduler's own sigma at one of its timesteps.

    Schedulers without sigmas (DDIM) have sqrt((1 - a) / a), with a the product of the alphas.
    """
    if "sigmas" in vars(scheduler):
        at = (scheduler.timesteps == timestep.to(scheduler.timesteps.device)).nonzero()[0]
        return float(scheduler.sigmas[at])
    alpha = scheduler.alphas_cumprod[int(timestep)]
    return float(((1 - alpha) / alpha) ** 0.5)


def noised(scheduler: SchedulerMixin, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Clean latents at a noise level: (1 - s) x + s n with flow matching, x + s n otherwise."""
    return (1 - sigma * is_flow(scheduler)) * clean + sigma * noise


def is_flow(scheduler: SchedulerMixin) -> bool:
    """Whether the network predicts the velocity n - x of flow matching (Lipman et al. 2023)."""
    return "shift" in scheduler.config or scheduler.config.prediction_type == "flow_prediction"


def _flow_clean(velocity: Tensor, sample: Tensor, sigma: float, per_token: Tensor | None) -> Tensor:
    """x = x_s - s (n - x). per_token: LTX gives each token a level and the velocity negated."""
    if per_token is not None:
        return (sample + per_token[..., None] / 1000 * velocity).float()
    return (sample - sigma * velocity).float()
