"""
Schedules
=========

The learning rate of each step, for the schedules of ``fastsgd.schedules``. A schedule is called like a function, with
a step or an array of steps. In :func:`fastsgd.train` those without a length reach over the whole run; here
``over`` gives them one.
"""
import matplotlib.pyplot as plt
import numpy as np

from fastsgd import schedules as s

schedules = [
    s.Constant(0.1), s.StepDecay(0.1, every=250, factor=0.3), s.Exponential(0.1, every=200),
    s.InverseScaling(0.1), s.InverseTime(0.1, l2=0.1), s.Cosine(0.1),
    s.FlatCosine(0.1), s.CosLog(0.1), s.OneCycle(0.1),
    s.WarmUp(100, 0.1), s.WarmUp(100, s.Cosine(0.1)), s.WarmUp(100, s.InverseTime(0.1, l2=0.1)),
]
steps = np.arange(1000)
_, axes = plt.subplots(4, 3, figsize=(8, 8), sharex=True, sharey=True, layout="constrained")
for ax, schedule in zip(axes.flat, schedules, strict=True):
    ax.plot(steps, schedule.over(1000)(steps))
    then = f", {type(schedule.then).__name__}" if isinstance(schedule, s.WarmUp) else ""
    ax.set_title(type(schedule).__name__ + then, fontsize=11)
    ax.grid(alpha=0.3)
for ax in axes[-1]:
    ax.set_xlabel("step")
for ax in axes[:, 0]:
    ax.set_ylabel("learning rate")
plt.show()
