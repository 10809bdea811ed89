"""The paper's head of gene essentiality: one small network that all genes share, on gene tokens.

It reads the vector of a gene in the context of a line and knows of the gene nothing else, so it can
speak of genes that it never saw. Tokens stay in their file and are read a batch of lines at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkformer.embed.tokens import TokenStore

if TYPE_CHECKING:
    import torch

VALIDATION_SHARE = 0.1  # of the training groups, or genes, by which training is stopped
CELLS_AT_ONCE = 16_384  # tokens that a network predicts from together


@dataclass(frozen=True)
class NetworkSettings:
    """Layers, and how they are trained: `patience` epochs without gain end it."""

    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float
    epochs: int
    patience: int
    batch_size: int


@dataclass(frozen=True)
class TokenRows:
    """The tokens of some lines and some genes, and of no others.

    Attributes
    ----------
    store : the file
    samples : sample ids [n], in the order of the rows
    genes : places of the genes in the file, int [k]
    """

    store: TokenStore
    samples: list[str]
    genes: np.ndarray

    def take(self, lines: np.ndarray, genes: np.ndarray) -> TokenRows:
        """Return the tokens of the chosen places among these lines and these genes."""
        return TokenRows(self.store, [self.samples[line] for line in lines], self.genes[genes])

    def blocks(self, order: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows int [m] and tokens float32 [m, k, d]; `order` is that of the file's blocks."""
        row_of = {name: row for row, name in enumerate(self.samples)}
        for number in range(self.store.n_blocks) if order is None else order:
            names = self.store.samples_of_block(int(number))
            own = [place for place, name in enumerate(names) if name in row_of]
            if own:
                tokens = self.store.block(int(number))[own][:, self.genes]
                yield np.array([row_of[names[place]] for place in own]), tokens.astype(np.float32)


@dataclass(frozen=True)
class TokenNetwork:
    """A fitted network; inputs and outputs are standardised by its training rows."""

    network: torch.nn.Module
    mean: np.ndarray
    scale: np.ndarray
    level: float
    spread: float

    def predict(self, rows: TokenRows) -> np.ndarray:
        """Return effects float64 [n, k] of the given lines and genes."""
        import torch

        device = next(self.network.parameters()).device
        predicted = np.full((len(rows.samples), len(rows.genes)), np.nan)
        self.network.eval()
        with torch.inference_mode():
            for places, tokens in rows.blocks():
                flat = tokens.reshape(-1, tokens.shape[-1])
                parts = []
                for start in range(0, len(flat), CELLS_AT_ONCE):
                    now = (flat[start : start + CELLS_AT_ONCE] - self.mean) / self.scale
                    told = self.network(torch.from_numpy(now).to(device))
                    parts.append(told.squeeze(-1).cpu().numpy())
                predicted[places] = np.concatenate(parts).reshape(tokens.shape[:2])
        return predicted * self.spread + self.level


def fit_token_network(
    rows: TokenRows,
    effects: np.ndarray,
    validation: np.ndarray,
    settings: NetworkSettings,
    seed: int,
) -> TokenNetwork:
    """Train on the tokens of training lines and genes, and keep the best epoch of validation.

    Parameters
    ----------
    rows : training lines and genes
    effects : float [n, k] of these, NaN where unknown
    validation : bool [n, k], whole groups or whole genes that only stop the training; where no
        effect of theirs is known, nothing stops it, and the last epoch is kept
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learned = np.where(validation, np.nan, effects)
    level, spread = float(np.nanmean(learned)), float(np.nanstd(learned)) or 1.0
    mean, scale = _standardisation(rows, ~np.isnan(learned))
    targets = ((effects - level) / spread).astype(np.float32)
    judged = [np.flatnonzero(validation.any(axis=axis)) for axis in (1, 0)]
    stopping, cells = rows.take(*judged), np.ix_(*judged)
    truth = np.where(validation, targets, np.nan)[cells]
    unstopped = bool(np.isnan(truth).all())
    if unstopped:
        print(
            f"no effect of the validation cells is known; all {settings.epochs} epochs are run",
            file=sys.stderr,
        )
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(rows.store.dimension, settings).to(device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
        best, best_state, waited = np.inf, deepcopy(network.state_dict()), 0
        for epoch in range(settings.epochs):
            _epoch(network, optimiser, rows, targets, validation, (mean, scale), settings, rng)
            if unstopped:
                continue
            fitted = TokenNetwork(network, mean, scale, 0.0, 1.0)
            error = float(np.nanmean((fitted.predict(stopping) - truth) ** 2))
            print(f"epoch {epoch + 1}: validation error {error:.4f}", file=sys.stderr)
            waited += 1
            if error < best:
                best, best_state, waited = error, deepcopy(network.state_dict()), 0
            if waited >= settings.patience:
                break
    if not unstopped:
        network.load_state_dict(best_state)
    return TokenNetwork(network, mean, scale, level, spread)


def held_for_validation(bound: np.ndarray, seed: int) -> np.ndarray:
    """Choose whole groups that stop the training, bool [n], from codes of what must not be split.

    At least one group is chosen and one is left to learn from.
    """
    groups = np.random.default_rng([seed, 1]).permutation(np.unique(bound))
    n = min(max(1, round(VALIDATION_SHARE * len(groups))), len(groups) - 1)
    return np.isin(bound, groups[:n])


def _epoch(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    rows: TokenRows,
    targets: np.ndarray,
    validation: np.ndarray,
    standard: tuple[np.ndarray, np.ndarray],
    settings: NetworkSettings,
    rng: np.random.Generator,
) -> None:
    """Go through the training cells once, blocks of lines and the cells in them in random order."""
    import torch

    device = next(network.parameters()).device
    mean, scale = standard
    network.train()
    for places, tokens in rows.blocks(rng.permutation(rows.store.n_blocks)):
        wanted = targets[places]
        line, gene = np.nonzero(~np.isnan(wanted) & ~validation[places])
        order = rng.permutation(len(line))
        for start in range(0, len(order), settings.batch_size):
            now = order[start : start + settings.batch_size]
            inputs = torch.from_numpy((tokens[line[now], gene[now]] - mean) / scale).to(device)
            truth = torch.from_numpy(wanted[line[now], gene[now]]).to(device)
            loss = torch.nn.functional.mse_loss(network(inputs).squeeze(-1), truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()


def _network(dimension: int, settings: NetworkSettings) -> torch.nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    width = dimension
    for hidden in settings.hidden:
        layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(settings.dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _standardisation(rows: TokenRows, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale float32 [d] of the tokens whose effects are learned."""
    n, total, squares = 0, 0.0, 0.0
    for places, tokens in rows.blocks():
        own = tokens[used[places]]
        n += len(own)
        total = total + own.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(own, dtype=np.float64).sum(axis=0)
    mean = total / n
    scale = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
