"""A small network for log hazard ratios, trained by Cox's partial likelihood within cancers.

As in DeepSurv (Katzman et al. 2018) the network stands where a Cox regression has its weights. Five
penalties are tried by the same inner folds as those of the other heads, and the same folds say when
to stop. Each stratum has a baseline hazard of its own, estimated after the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkformer.evaluate.splits import assign_folds
from bulkformer.evaluate.survival_cox import INNER_FOLDS, ROUNDING, Curves
from bulkformer.evaluate.survival_patients import TrainingPatients

if TYPE_CHECKING:
    import torch

DECAYS = (1.0, 0.3, 0.1, 0.03, 0.0)  # of weights, strongest first, so that of equals it wins
HIDDEN = 16
LEARNING_RATE = 0.01
EPOCHS = 200  # at most; all patients are one batch
PATIENCE = 20  # epochs without gain in any decay that end the search of an inner fold
# Of a stratum of its own. Cancers with fewer share one: neither their ratios nor their course could
# be learned from so few.
MIN_EVENTS = 10


@dataclass(frozen=True)
class Strata:
    """Cancers with events enough to be a stratum of their own."""

    names: Sequence[str]

    @classmethod
    def of(cls, cancer: np.ndarray, event: np.ndarray) -> Strata:
        """Choose them among training patients."""
        names, place = np.unique(cancer.astype(str), return_inverse=True)
        events = np.bincount(place, weights=event, minlength=len(names))
        return cls(names[events >= MIN_EVENTS].tolist())

    def codes(self, cancer: np.ndarray) -> np.ndarray:
        """Return the stratum of each patient, int [n]; the last code is that of all others."""
        code = {name: place for place, name in enumerate(self.names)}
        return np.array([code.get(name, len(self.names)) for name in cancer], dtype=np.int64)


@dataclass(frozen=True)
class NeuralCox:
    """A network with one hidden layer and the baselines of its strata.

    Attributes
    ----------
    first, bias, second : weights [k, HIDDEN], [HIDDEN] and [HIDDEN]
    strata : cancers with a baseline of their own
    times : days [t] of all training patients
    hazard : {stratum code: cumulative baseline hazard [t]}
    level : {stratum code: log of events a day at a ratio of one}, by which strata are compared
    decay, epochs : what inner folds chose
    """

    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray
    strata: Strata
    times: np.ndarray
    hazard: Mapping[int, np.ndarray]
    level: Mapping[int, float]
    decay: float
    epochs: int

    def log_ratio(self, inputs: np.ndarray) -> np.ndarray:
        """Return log hazard ratios [m] within a stratum."""
        return np.tanh(inputs @ self.first + self.bias) @ self.second

    def risk(self, inputs: np.ndarray, cancer: np.ndarray) -> np.ndarray:
        """Return log hazards [m], comparable across strata."""
        level = np.array([self.level[code] for code in self.strata.codes(cancer)])
        return self.log_ratio(inputs) + level

    def curves(self, inputs: np.ndarray, cancer: np.ndarray) -> Curves:
        """Return survival of inputs [m, k]."""
        hazard = np.stack([self.hazard[code] for code in self.strata.codes(cancer)])
        return Curves(self.times, np.exp(-np.exp(self.log_ratio(inputs))[:, None] * hazard))


def fit_neural_cox(inputs: np.ndarray, rows: TrainingPatients, seed: int) -> NeuralCox:
    """Tune decay and number of epochs in inner folds of whole groups, then train on all rows.

    `inputs` float [n, k] are those of `rows`; they are brought to a common scale, because a network
    that begins near zero would hardly move on short vectors.
    """
    scale = float(inputs.std(axis=0).max()) or 1.0
    standard = inputs / scale
    strata = Strata.of(rows.patients.cancer, rows.event)
    codes = strata.codes(rows.patients.cancer)
    every = np.ones(len(codes), dtype=bool)
    with _one_thread():
        place, epochs = _choose(standard, codes, rows, seed)
        training = _Training(standard, codes, rows, every, (DECAYS[place],), seed)
        for _ in range(epochs):
            training.step()
    first, bias, second = training.weights()
    ratio = np.tanh(standard @ first + bias) @ second
    times, hazard, level = _baselines(ratio, codes, rows, len(strata.names))
    return NeuralCox(
        first / scale, bias, second, strata, times, hazard, level, DECAYS[place], epochs
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch add up in one order, whatever the number of threads of a run."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _choose(
    inputs: np.ndarray, codes: np.ndarray, rows: TrainingPatients, seed: int
) -> tuple[int, int]:
    """Return the place of the best decay and the number of epochs that inner folds agree on.

    Judged as the penalties of the other heads are: likelihood of all rows less that of the rows
    trained on, summed over inner folds. No epoch at all is a choice too: all ratios are one then.
    """
    n_folds = min(INNER_FOLDS, len(np.unique(rows.groups)))
    rng = np.random.default_rng(seed)
    fold_of = assign_folds(rows.strata, rows.groups.astype(str).tolist(), n_folds, rng)
    gain = np.zeros((EPOCHS + 1, len(DECAYS)))
    for fold in range(n_folds):
        train = fold_of != fold
        if not rows.event[train].any():
            continue
        gain += _gains(inputs, codes, rows, train, seed)
    # By epoch first: of equal gains the strongest decay wins, then the fewest epochs.
    place, epochs = np.unravel_index(np.argmax(np.round(gain.T, ROUNDING)), gain.T.shape)
    return int(place), int(epochs)


def _gains(
    inputs: np.ndarray, codes: np.ndarray, rows: TrainingPatients, train: np.ndarray, seed: int
) -> np.ndarray:
    """Return how much better than no epoch each epoch and decay says the rows left out.

    Behind an early stop the last gain stands: training longer was not worth a look.
    """
    training = _Training(inputs, codes, rows, train, DECAYS, seed)
    everyone = StratifiedLikelihood(rows.time, rows.event, codes)
    learned = StratifiedLikelihood(rows.time[train], rows.event[train], codes[train])
    gains = np.zeros((EPOCHS + 1, len(DECAYS)))
    base = everyone(training.ratios(slice(None)) * 0) - learned(training.ratios(train) * 0)
    best, waited = np.full(len(DECAYS), -np.inf), 0
    for epoch in range(1, EPOCHS + 1):
        training.step()
        now = everyone(training.ratios(slice(None))) - learned(training.ratios(train))
        gains[epoch:] = (now - base).numpy()
        waited = 0 if (gains[epoch] > best).any() else waited + 1
        best = np.maximum(best, gains[epoch])
        if waited >= PATIENCE:
            break
    return gains


class _Training:
    """Networks that differ in their decay alone, trained side by side on `train` rows."""

    def __init__(
        self,
        inputs: np.ndarray,
        codes: np.ndarray,
        rows: TrainingPatients,
        train: np.ndarray,
        decays: Sequence[float],
        seed: int,
    ) -> None:
        import torch

        rng = np.random.default_rng([seed, 1])  # the same start in every inner fold
        width = inputs.shape[1]
        start = (
            rng.normal(0, 1 / np.sqrt(width), (width, HIDDEN)),
            np.zeros(HIDDEN),
            np.zeros(HIDDEN),  # all ratios are one before the first step
        )
        self.inputs = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float64))
        self.train = torch.from_numpy(np.flatnonzero(train))
        self.shown = self.inputs[self.train]
        self.likelihood = StratifiedLikelihood(rows.time[train], rows.event[train], codes[train])
        self.n_events = max(int(rows.event[train].sum()), 1)
        self.decays = torch.tensor(decays, dtype=torch.float64)
        self.parameters = [
            torch.from_numpy(np.stack([part] * len(decays))).requires_grad_() for part in start
        ]
        self.optimiser = torch.optim.Adam(self.parameters, lr=LEARNING_RATE)

    def step(self) -> None:
        """Go once through the training rows."""
        self.optimiser.zero_grad(set_to_none=True)
        first, _, second = self.parameters
        weights = (first**2).sum(dim=(1, 2)) / first.shape[1] + (second**2).sum(dim=1)
        loss = self.decays * weights - self.likelihood(self._told(self.shown)) / self.n_events
        loss.sum().backward()
        self.optimiser.step()

    def ratios(self, rows: slice | np.ndarray) -> torch.Tensor:
        """Return log hazard ratios [s, m] of the chosen rows."""
        import torch

        chosen = self.inputs if isinstance(rows, slice) else self.inputs[torch.from_numpy(rows)]
        with torch.inference_mode():
            return self._told(chosen)

    def weights(self) -> tuple[np.ndarray, ...]:
        """Return the weights of the first network."""
        return tuple(part.detach()[0].numpy().copy() for part in self.parameters)

    def _told(self, inputs: torch.Tensor) -> torch.Tensor:
        first, bias, second = self.parameters
        hidden = (inputs @ first + bias[:, None]).tanh()
        return (hidden @ second[:, :, None]).squeeze(-1)


class StratifiedLikelihood:
    """Breslow's log partial likelihood within strata, for many risks of the same rows.

    Rows lie in a table [strata, length], longest followed first, so that whoever is at risk with an
    event stands at or before the last of its day.
    """

    def __init__(self, time: np.ndarray, event: np.ndarray, strata: np.ndarray) -> None:
        import torch

        _, strata = np.unique(strata, return_inverse=True)
        order = np.lexsort((-time, strata))
        lengths = np.bincount(strata)
        starts = np.cumsum(lengths) - lengths
        column = np.arange(len(order)) - starts[strata[order]]
        table = np.zeros((len(lengths), lengths.max()), dtype=np.int64)
        table[strata[order], column] = order
        self.table = torch.from_numpy(table)
        self.filled = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
        # The last row of the same stratum and day, for each event.
        days = np.stack([strata[order], -time[order]], axis=1)
        _, place = np.unique(days, axis=0, return_inverse=True)
        last = np.searchsorted(place.ravel(), place.ravel(), side="right") - 1
        own = event[order]
        self.cases = torch.from_numpy(order[own])
        flat = strata[order][own] * table.shape[1] + column[last[own]]
        self.at_risk = torch.from_numpy(flat)
        self.row = torch.from_numpy(strata[order][own])

    def __call__(self, risk: torch.Tensor) -> torch.Tensor:
        """Return the log likelihoods [s] of log ratios [s, n]."""
        laid = risk[:, self.table].masked_fill(~self.filled, -np.inf)
        largest = laid.detach().amax(dim=2)
        together = (laid - largest[:, :, None]).exp().cumsum(dim=2).flatten(1)
        base = largest[:, self.row] + together[:, self.at_risk].log()
        return (risk[:, self.cases] - base).sum(dim=1)


def _baselines(
    ratio: np.ndarray, codes: np.ndarray, rows: TrainingPatients, others: int
) -> tuple[np.ndarray, dict[int, np.ndarray], dict[int, float]]:
    """Return times, and Breslow's cumulative hazard and log rate of each stratum.

    Where the stratum of all others has no event, it takes the course of all patients.
    """
    times = np.unique(rows.time)
    hazard, level = {}, {}
    for code in range(others + 1):
        own = codes == code
        if not rows.event[own].any():
            own = np.ones(len(codes), dtype=bool)
        place = np.searchsorted(times, rows.time[own])
        weight = np.exp(ratio[own])
        at_risk = np.cumsum(np.bincount(place, weight, len(times))[::-1])[::-1]
        events = np.bincount(place, rows.event[own], len(times))
        hazard[code] = np.cumsum(events / np.where(at_risk > 0, at_risk, 1.0))
        level[code] = float(np.log(events.sum() / (weight * rows.time[own]).sum()))
    return times, hazard, level
