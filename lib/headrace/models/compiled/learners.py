"""Models of Spark ML that are sums over features, and those made of other models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.models.compiled.columns import Column, Floats, Frame, Vector
from headrace.models.compiled.stages import Arrays, Params, Step, Unscorable


def give(frame: Frame, params: Params, raw: Floats, probability: Floats, prediction: Any) -> None:
    """What a classifier says of rows, by the names that its stage has for it."""
    frame[params["raw"]] = Vector([raw])
    if params.get("probability"):
        frame[params["probability"]] = Vector([probability])
    frame[params["prediction"]] = Column(np.asarray(prediction, dtype=np.float64))


def shares(values: Floats) -> Floats:
    """Each row's part of the row's sum; of nothing nothing."""
    total = values.sum(axis=1, keepdims=True)
    return np.asarray(values / np.where(total == 0, 1.0, total))


def softmax(margins: Floats) -> Floats:
    """Probabilities of margins."""
    return shares(np.exp(margins - margins.max(axis=1, keepdims=True)))


def sides(margins: Floats) -> Floats:
    """Margins of both classes, of those of the second."""
    return np.stack([-margins, margins], axis=1)


def both(no: Floats, slope: float = 1.0) -> Floats:
    """Probabilities of both classes, of the margins of the first: the second's is what is left of 1, as in Spark."""
    with np.errstate(over="ignore"):
        unlikely = 1 / (1 + np.exp(-slope * no))
    return np.stack([unlikely, 1 - unlikely], axis=1)


def logistic(params: Params, arrays: Arrays) -> Step:
    """A logistic regression of two classes or of more: `weights` (margins, width), `intercepts`."""
    at = params["threshold"]
    cut = np.log(at / (1 - at)) if 0 < at < 1 else (-np.inf if at == 0 else np.inf)

    def run(frame: Frame, rows: int) -> None:
        margins = frame[params["input"]].dot(arrays["weights"]) + arrays["intercepts"]
        if margins.shape[1] > 1:
            return give(frame, params, margins, softmax(margins), margins.argmax(axis=1))
        raw = sides(margins[:, 0])
        return give(frame, params, raw, both(raw[:, 0]), raw[:, 1] > cut)

    return run


def machine(params: Params, arrays: Arrays) -> Step:
    """A support vector machine of two classes."""

    def run(frame: Frame, rows: int) -> None:
        margins = (frame[params["input"]].dot(arrays["weights"]) + arrays["intercepts"])[:, 0]
        give(frame, params, sides(margins), sides(margins), margins > params["threshold"])

    return run


_LINKS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda value: value,
    "log": np.exp,
    "inverse": lambda value: 1 / value,
    "sqrt": np.square,
    "logit": lambda value: 1 / (1 + np.exp(-value)),
}


_TINY, _HUGE = 1e-16, float(np.finfo(np.float64).max)
_WITHIN = {"gaussian": (-_HUGE, _HUGE), "binomial": (_TINY, 1 - _TINY)}
"""Between what a generalised regression's predictions lie, by family; of all others from next to nothing on."""


def within(family: str | None) -> tuple[float, float]:
    """Between what predictions lie: of a plain linear regression anywhere."""
    return _WITHIN.get(family, (_TINY, _HUGE)) if family else (-np.inf, np.inf)


def linear(params: Params, arrays: Arrays) -> Step:
    """A linear regression, or a generalised one: `link`, `family`."""
    link = _LINKS[params["link"]]
    low, high = within(params.get("family"))

    def run(frame: Frame, rows: int) -> None:
        sums = frame[params["input"]].dot(arrays["weights"]) + arrays["intercepts"]
        frame[params["prediction"]] = Column(np.clip(link(sums[:, 0]), low, high))

    return run


def bayes(params: Params, arrays: Arrays) -> Step:
    """Naive Bayes: `gaussian`, `multinomial` or `complement`."""
    pi, theta, kind = arrays["pi"], arrays["theta"], params["model"]

    def gaussian(rows: Floats) -> Floats:
        sigma = arrays["sigma"]
        spread = np.log(sigma).sum(axis=1)
        far = np.stack([(np.square(rows - mean) / of).sum(axis=1) for mean, of in zip(theta, sigma, strict=True)])
        return np.asarray(pi - (far.T + spread) / 2)

    def counted(vector: Vector) -> Floats:
        rows = vector.dense()
        if (rows < 0).any():
            raise Unscorable("a feature is below those of the training rows, and naive Bayes takes no negative ones")
        found = vector.dot(theta)
        if kind == "multinomial":
            return found + pi
        top = found.max(axis=1, keepdims=True)
        return np.asarray(found - (np.log(np.exp(found - top).sum(axis=1, keepdims=True)) + top))

    def run(frame: Frame, rows: int) -> None:
        vector = frame[params["input"]]
        raw = gaussian(vector.dense()) if kind == "gaussian" else counted(vector)
        likely = np.exp(raw - raw.max(axis=1, keepdims=True))
        give(frame, params, raw, shares(likely), raw.argmax(axis=1))

    return run


def against_the_rest(params: Params, arrays: Arrays) -> Step:
    """A model per class against all others: what each says is a margin, in `margins`."""

    def run(frame: Frame, rows: int) -> None:
        margins = np.stack([frame[name].picked([1])[0] for name in params["margins"]], axis=1)
        give(frame, params, margins, margins, margins.argmax(axis=1))

    return run
