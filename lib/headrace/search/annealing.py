"""Hyperopt's simulated annealing, which in 0.2.7 fails with numpy 2.4 and later."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperopt import Trials
from hyperopt.anneal import AnnealingAlgo
from hyperopt.base import Domain


class _Annealing(AnnealingAlgo):
    """Turns one-element arrays into numbers, which numpy no longer does by itself."""

    def choose_ltv(self, label: str, size: int) -> tuple[Any, Any, Any]:
        """Loss, trial and value of a good trial to start from."""
        tids, vals = self.node_tids[label], self.node_vals[label]
        losses = [self.tid_losses_dct[tid] for tid in tids]
        if size == 1:
            known = next((tid for tid in self.best_tids if tid in tids), None)
            if known is not None:
                place = tids.index(known)
                return losses[place], known, vals[place]
        rank = np.clip(self.rng.geometric(1.0 / self.avg_best_idx, size=size) - 1, 0, len(tids) - 1).astype(int)
        picks = np.argsort(losses)[rank]
        if size == 1:
            place = int(picks[0])
            self.best_tids.append(tids[place])
            return losses[place], tids[place], vals[place]
        return np.asarray(losses)[picks], np.asarray(tids)[picks], np.asarray(vals)[picks]


def suggest(new_ids: list[int], domain: Domain, trials: Trials, seed: int) -> Any:
    """As `hyperopt.anneal.suggest`."""
    [new_id] = new_ids
    return _Annealing(domain, trials, seed)(new_id)
