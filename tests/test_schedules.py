"""Do schedules give the rates they promise, to a step, to an array of steps, and to a run?"""
import pickle

import numpy as np
import pytest

import fastsgd
from fastsgd.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    FlatCosine,
    InverseScaling,
    OneCycle,
    StepDecay,
    WarmUp,
)

ALL = [Constant(0.1), StepDecay(0.1, 30), StepDecay(0.1, 7, factor=0.5), Exponential(0.1, 10, 0.9),
       InverseScaling(0.3, 0.75),
       Cosine(0.2, 80, 0.01), OneCycle(0.5, 100), OneCycle(0.5, 90, rise=0.5, div_factor=10, final_div_factor=100),
       WarmUp(10, 0.1),
       WarmUp(20, Cosine(0.3, 50)), OneCycle(0.1, 1), OneCycle(0.1, 2),
       FlatCosine(0.2, 90), FlatCosine(0.2, 90, 0.0, 0.05), CosLog(0.1, 70), CosLog(0.1, 70, 1)]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_an_array_of_steps_gives_what_single_steps_give(schedule):
    steps = np.arange(150)
    rates = schedule(steps)
    assert rates.dtype == np.float64
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert rates.tolist() == [schedule(int(step)) for step in steps]
    assert isinstance(schedule(3), float)
    np.testing.assert_array_equal(fastsgd.SGD(schedule).learning_rates(5, 20), rates[5:25])
    assert eval(repr(schedule)) == schedule == pickle.loads(pickle.dumps(schedule))


def test_pytorch_gives_the_same_rates():
    torch = pytest.importorskip("torch")
    pairs = [
        (StepDecay(0.1, 30), lambda o: torch.optim.lr_scheduler.StepLR(o, 30)),
        (Exponential(0.1, 1, 0.97), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)),
        (Cosine(0.1, 100, 0.01), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100, 0.01)),
        (OneCycle(0.1, 100), lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, 100)),
        (OneCycle(0.1, 64, 0.2, 5, 50),
         lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, 64, pct_start=0.2, div_factor=5, final_div_factor=50)),
        (WarmUp(10, 0.1), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 9)),
    ]
    for ours, make in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
        theirs = make(optimizer)
        rates = []
        for _ in range(60):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step()
        np.testing.assert_allclose(ours(np.arange(60)), rates, rtol=1e-6, err_msg=repr(ours))


@pytest.mark.parametrize("members", [1, 2])
def test_dropout_and_decay_may_have_schedules_too(members, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 8)), rng.integers(0, 3, 200)
    arguments = {"optimizer": fastsgd.AdamW(CosLog(0.01), weight_decay=FlatCosine(0.5), epsilon=1e-3), "batch_size": 40,
                 "dropout": [FlatCosine(0.4, flat=0.3), lambda step: 0.3 * (step > 4)], "seed": 1, "epochs": 4}
    nets = [fastsgd.Network([8, 20, 10, 3], dtype="float64", members=members, seed=0) for _ in range(4)]
    fastsgd.train(nets[0], X, y, **arguments)
    fastsgd.train(nets[1], X, y, kernel="reference", **arguments)
    np.testing.assert_allclose(nets[0].params, nets[1].params, atol=1e-12)

    class StopAt(fastsgd.Callback):
        def on_evaluation(self, run):
            run.stop = run.steps == 7

    checked = {"checkpoint": tmp_path / "run.ckpt", "validation": (X[:9], y[:9]), "evaluate_every": 7}
    fastsgd.train(nets[2], X, y, callbacks=[StopAt()], **arguments, **checked)
    fastsgd.train(nets[2], X, y, resume=True, **arguments, **checked)
    np.testing.assert_array_equal(nets[2].params, nets[0].params)
    fastsgd.train(nets[3], X, y, **{**arguments, "dropout": [0.4, 0.3]})
    assert (nets[3].params != nets[0].params).any()
    for wrong in (lambda step: 1.0, lambda step: -0.1, lambda step: "much"):
        with pytest.raises(ValueError, match=r"dropout\(step\) must return a number, at least 0 and below 1"):
            fastsgd.train(nets[3], X, y, dropout=wrong)
    with pytest.raises(ValueError, match=r"weight_decay\(step\) must return a finite number, at least 0"):
        fastsgd.train(nets[3], X, y, optimizer=fastsgd.SGD(0.1, weight_decay=lambda step: -1.0))


def test_steps_left_open_are_those_of_the_run():
    assert Cosine(0.1).over(50) == Cosine(0.1, 50)
    assert Cosine(0.1, 20).over(50) == Cosine(0.1, 20)
    assert WarmUp(10, OneCycle(0.1)).over(50) == WarmUp(10, OneCycle(0.1, 40))
    assert WarmUp(10, OneCycle(0.1)).over(5) == WarmUp(10, OneCycle(0.1, 1))
    assert fastsgd.SGD(Cosine(0.1), momentum=0.5).over(8) == fastsgd.SGD(Cosine(0.1, 8), momentum=0.5)
    assert fastsgd.SGD(0.1).over(8) == fastsgd.SGD(0.1)
    with pytest.raises(ValueError, match=r"Cosine\(rate=0.1, steps=None, end=0.0\) does not know how many steps"):
        fastsgd.SGD(Cosine(0.1)).learning_rates(0, 1)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Constant(-1), "Constant: rate must be at least 0 and finite, got -1"),
    (lambda: StepDecay(0.1, 0), "StepDecay: every must be a whole number of steps, at least 1, got 0"),
    (lambda: Cosine(0.1, 2.5), "Cosine: steps must be a whole number of steps, at least 1, got 2.5"),
    (lambda: CosLog(0.1, cycles=1.5), "CosLog: cycles must be a whole number from 1 to 50, got 1.5"),
    (lambda: FlatCosine(0.1, flat=1.0), "FlatCosine: flat must be below 1, got 1.0"),
    (lambda: OneCycle(0.1, rise=1.0), "OneCycle: rise must be below 1, got 1.0"),
    (lambda: OneCycle(0.1, div_factor=0), "OneCycle: div_factor must be above 0, got 0"),
    (lambda: Exponential(float("inf"), 1), "Exponential: rate must be at least 0 and finite, got inf"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_types():
    with pytest.raises(TypeError, match="Constant: rate must be a number, got 'a'"):
        Constant("a")
    with pytest.raises(TypeError, match="WarmUp: then must be a schedule or a number, got None"):
        WarmUp(3, None)


def test_cos_log_peaks_four_times_ever_more_slowly():
    rates = CosLog(0.3, 1500)
    troughs, peaks = np.exp2(np.arange(5)), np.exp2(np.arange(4) + 0.5)      # of 1 + 15 t
    assert rates(np.round((troughs - 1) * 100).astype(int)) == pytest.approx(np.zeros(5), abs=1e-12)
    assert rates(np.round((peaks - 1) * 100).astype(int)) == pytest.approx(np.full(4, 0.3), rel=1e-3)


def test_flat_cosine_is_flat_and_then_half_a_cosine():
    rates = FlatCosine(0.2, 100, flat=0.6, end=0.02)
    assert (rates(np.arange(61)) == 0.2).all()
    np.testing.assert_allclose(rates(np.arange(60, 101)), Cosine(0.2, 40, 0.02)(np.arange(41)), rtol=1e-12)


def test_schedules_stay_where_they_end():
    assert CosLog(0.2, 80)([80, 81, 149]) == pytest.approx([0] * 3, abs=1e-12)
    assert FlatCosine(0.2, 80, end=0.01)([80, 81, 149]).tolist() == [0.01] * 3
    assert Cosine(0.2, 80, 0.01)([80, 81, 149]).tolist() == [0.01] * 3
    assert OneCycle(0.5, 100)([99, 100, 149]) == pytest.approx([0.5 / 25 / 1e4] * 3)
