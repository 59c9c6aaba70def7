"""Exact TreeSHAP by table: what a leaf gives to each feature, for every pattern of conditions that a row can meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from winpredict._internal.threads import threads_for
from winpredict.explain import _tree_kernels

Floats = NDArray[np.float64]

#: A leaf that depends on more features has too many patterns, and a tree with more leaves too many conditions.
MAX_FEATURES, MAX_LEAVES = 12, 64
#: A tree of so few nodes is looked up whole, by its nodes' answers.
DIRECT_NODES = 7
#: Numbers in all tables; more would leave the caches, where walking the trees is no slower.
MAX_NUMBERS = 40_000_000
_CATEGORICAL = 1


@dataclass(frozen=True)
class Forest:
    """Trees of several boosters as flat arrays, with the table of every leaf.

    Attributes
    ----------
    arrays : tuple of ndarray
        What the kernel reads, in its order.
    expected : float
        Sum over the trees of their mean over training rows: the contribution of no feature.
    features : int
    """

    arrays: tuple[NDArray[Any], ...]
    expected: float
    features: int

    def contributions(self, matrix: Floats, threads: int | None) -> Floats:
        """Sum of the trees' SHAP values, shape (n_rows, n_features)."""
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        return np.asarray(_tree_kernels.forest_contributions(rows, threads, *self.arrays))


_FORESTS: WeakKeyDictionary[lgb.Booster, Forest | None] = WeakKeyDictionary()


def tree_contributions(
    boosters: Sequence[lgb.Booster], matrix: Floats, threads: int | None
) -> tuple[Floats, float, Floats]:
    """Mean SHAP values of boosters, their mean expected value, and what each booster predicts.

    Parameters
    ----------
    boosters : sequence of lightgbm.Booster
        With the same features.
    matrix : ndarray of shape (n_rows, n_features)
    threads : int

    Returns
    -------
    (ndarray of shape (n_rows, n_features), float, ndarray of shape (n_boosters, n_rows))

    Notes
    -----
    The path of a leaf depends on few features; for each of them a row meets all its conditions on the path or it does
    not. So a leaf has 2 ** features patterns, whose Shapley values (Lundberg et al. 2020, path-dependent) are computed
    once, by the rule of Fast TreeSHAP v2 (Yang 2021); a row looks its pattern up. Where tables would grow too large the
    booster's own ``pred_contrib`` is asked.
    """
    rows = np.ascontiguousarray(matrix, dtype=np.float64)
    values, expected, predicted = np.zeros(rows.shape), 0.0, np.zeros((len(boosters), len(rows)))
    for number, booster in enumerate(boosters):
        forest = _forest(booster)
        if forest is None and not len(rows):  # at which LightGBM refuses to look
            continue
        if forest is None:
            found = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=threads_for(len(rows), threads)))
            of_booster, base = found[:, :-1], float(found[0, -1]) if len(found) else 0.0
        else:
            of_booster, base = forest.contributions(rows, threads), forest.expected
        predicted[number] = base + of_booster.sum(axis=1)
        values += of_booster
        expected += base
    return values / len(boosters), expected / len(boosters), predicted


def _forest(booster: lgb.Booster) -> Forest | None:
    if booster not in _FORESTS:
        _FORESTS[booster] = read_forest(booster)
    return _FORESTS[booster]


def read_forest(booster: lgb.Booster) -> Forest | None:
    """A booster's trees with their tables; None where they would be too large, or the trees are of another kind."""
    trees = [_Tree(text) for text in booster.model_to_string().split("\nTree=")[1:]]
    if any(tree.leaves > MAX_LEAVES or tree.linear for tree in trees):
        return None
    by_tree = [tree.paths() for tree in trees]
    sizes = [len(path.features) for paths in by_tree for path in paths]
    if max(sizes, default=0) > MAX_FEATURES or sum(size << size for size in sizes) > MAX_NUMBERS:
        return None
    units = [_units(tree, paths) for tree, paths in zip(trees, by_tree, strict=True)]
    flat = [unit for of_tree in units for unit in of_tree]
    nodes = [len(tree.feature) for tree in trees]
    words = [tree.cat_words for tree in trees]
    word_starts = np.concatenate([[0], np.cumsum([len(each) for each in words])])[:-1]
    arrays = (
        _starts(nodes), _starts([len(of_tree) for of_tree in units]),
        np.array([of_tree[0].direct for of_tree in units], dtype=np.bool_),
        _joined([tree.feature for tree in trees], np.int64), _joined([tree.threshold for tree in trees], np.float64),
        _joined([tree.decision for tree in trees], np.int64),
        _joined([tree.cat_from + start for tree, start in zip(trees, word_starts, strict=True)], np.int64),
        _joined([tree.cat_size for tree in trees], np.int64), _joined(words, np.uint32),
        _starts([len(unit.features) for unit in flat]), _joined([unit.features for unit in flat], np.int64),
        _joined([unit.masks for unit in flat], np.uint64), _joined([unit.wants for unit in flat], np.uint64),
        _starts([unit.table.size for unit in flat]), _joined([unit.table.ravel() for unit in flat], np.float64),
    )  # fmt: skip
    return Forest(arrays, float(sum(tree.expected for tree in trees)), booster.num_feature())


@dataclass(frozen=True)
class _Path:
    """The way to one leaf: per feature on it, which nodes ask for it, how they must answer, and the share that do."""

    value: float
    features: list[int]
    masks: list[int]
    wants: list[int]
    shares: list[float]


@dataclass(frozen=True)
class _Unit:
    """A table with the features of its columns: of one leaf by pattern, or of a small tree by the nodes' answers."""

    features: list[int]
    masks: list[int]
    wants: list[int]
    table: Floats
    direct: bool


def _units(tree: "_Tree", paths: list[_Path]) -> list[_Unit]:
    tables = [_tree_kernels.leaf_table(np.array(path.shares, dtype=np.float64), path.value) for path in paths]
    if len(tree.feature) > DIRECT_NODES:
        return [
            _Unit(path.features, path.masks, path.wants, table, direct=False)
            for path, table in zip(paths, tables, strict=True)
        ]
    features = list(dict.fromkeys(feature for path in paths for feature in path.features))
    answers = np.arange(1 << len(tree.feature))
    out = np.zeros((len(answers), len(features)))
    for path, table in zip(paths, tables, strict=True):
        pattern = np.zeros(len(answers), np.int64)
        for slot, (mask, want) in enumerate(zip(path.masks, path.wants, strict=True)):
            pattern |= ((answers ^ want) & mask == 0).astype(np.int64) << slot
        out[:, [features.index(feature) for feature in path.features]] += table[pattern]
    return [_Unit(features, [0] * len(features), [0] * len(features), out, direct=True)]


class _Tree:
    """One tree of LightGBM's text format."""

    def __init__(self, text: str) -> None:
        fields = dict(line.split("=", 1) for line in text.split("\n\n", 1)[0].splitlines() if "=" in line)
        self.leaves = int(fields["num_leaves"])
        self.linear = fields.get("is_linear", "0") != "0"
        self.value = _numbers(fields, "leaf_value", np.float64)
        self.feature = _numbers(fields, "split_feature", np.int64)
        self.threshold = _numbers(fields, "threshold", np.float64)
        self.decision = _numbers(fields, "decision_type", np.int64)
        self.left, self.right = _numbers(fields, "left_child", np.int64), _numbers(fields, "right_child", np.int64)
        self.leaf_count = _numbers(fields, "leaf_count", np.float64)
        self.node_count = _numbers(fields, "internal_count", np.float64)
        self.cat_words = _numbers(fields, "cat_threshold", np.uint32)
        bounds = _numbers(fields, "cat_boundaries", np.int64)
        self.cat_from, self.cat_size = np.zeros(len(self.feature), np.int64), np.zeros(len(self.feature), np.int64)
        for node in np.flatnonzero(self.decision & _CATEGORICAL):
            which = int(self.threshold[node])
            self.cat_from[node], self.cat_size[node] = bounds[which], bounds[which + 1] - bounds[which]

    @property
    def expected(self) -> float:
        """Mean of the leaves over training rows."""
        if self.leaves == 1:
            return float(self.value[0])
        return float(self.value @ self.leaf_count / self.leaf_count.sum())

    def paths(self) -> list[_Path]:
        """The paths to all leaves."""
        if self.leaves == 1:
            return [_Path(float(self.value[0]), [], [], [], [])]
        found: list[_Path] = []
        ways: list[tuple[int, list[tuple[int, bool, float]]]] = [(0, [])]
        while ways:
            node, steps = ways.pop()
            for child, goes_left in ((int(self.left[node]), True), (int(self.right[node]), False)):
                share = self._count(child) / self.node_count[node]
                further = [*steps, (node, goes_left, float(share))]
                if child >= 0:
                    ways.append((child, further))
                else:
                    found.append(self._path(~child, further))
        return found

    def _count(self, child: int) -> float:
        return float(self.node_count[child] if child >= 0 else self.leaf_count[~child])

    def _path(self, leaf: int, steps: list[tuple[int, bool, float]]) -> _Path:
        features = list(dict.fromkeys(int(self.feature[node]) for node, _, _ in steps))
        masks, wants, shares = [0] * len(features), [0] * len(features), [1.0] * len(features)
        for node, goes_left, share in steps:
            place = features.index(int(self.feature[node]))
            masks[place] |= 1 << node
            wants[place] |= int(goes_left) << node
            shares[place] *= share
        return _Path(float(self.value[leaf]), features, masks, wants, shares)


def _numbers(fields: dict[str, str], name: str, dtype: Any) -> NDArray[Any]:
    text = fields.get(name, "")
    return np.array(text.split(), dtype=np.float64).astype(dtype) if text else np.zeros(0, dtype)


def _starts(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _joined(parts: Sequence[Any], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.asarray(part, dtype=dtype) for part in parts]) if parts else np.zeros(0, dtype)
