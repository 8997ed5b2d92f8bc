"""Classes of elements that must be scaled by one factor, found by union-find.

Every blob has an array of labels in its own shape, so that a layer that moves elements moves
labels. Labels of one class get one factor; a frozen class has the factor 1.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""Of a blob's shape: the label of each element. Broadcast views are used wherever possible."""


class ChannelClasses:
    """Labels, the classes that they are joined to, and why a class is frozen.

    Example:
        >>> classes = ChannelClasses()
        >>> labels = classes.fresh(4)
        >>> classes.join(labels[:2], labels[2:])
        >>> classes.freeze(labels[3], "network output")
        >>> classes.roots(labels).tolist(), classes.reasons(labels)
        ([0, 1, 0, 1], (None, 'network output', None, 'network output'))
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}
        self._limits: list[tuple[Labels, NDArray[np.float64]]] = []

    @property
    def count(self) -> int:
        """Number of labels that were made."""
        return len(self._parents)

    def fresh(self, count: int) -> Labels:
        """Make labels that belong to no class yet, shape (count,)."""
        first = self.count
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def frozen(self, shape: tuple[int, ...], reason: str) -> Labels:
        """Make a blob whose elements must not be scaled."""
        label = self.fresh(1)
        self.freeze(label, reason)
        return np.broadcast_to(label[0], shape)

    def join(self, first: Labels, second: Labels) -> None:
        """Put elements at the same place of two arrays, which are broadcast, into one class."""
        one, other = (x.reshape(-1) for x in _without_copies(*np.broadcast_arrays(first, second)))
        pairs = np.unique(one * self.count + other)
        for pair in pairs[pairs // self.count != pairs % self.count].tolist():
            self._join(*divmod(pair, self.count))

    def join_axes(self, labels: Labels, axes: tuple[int, ...]) -> Labels:
        """Join the elements along some axes.

        Returns:
            The labels with these axes reduced to size 1.
        """
        first = labels
        for axis in axes:
            first = first.take([0], axis=axis)
        if (labels != first).any():
            self.join(first, labels)
        return first

    def freeze(self, labels: Labels, reason: str) -> None:
        """Fix the factor of elements to 1; the first reason of a class is kept."""
        for root in np.unique(self.roots(labels)).tolist():
            self._reasons.setdefault(root, reason)

    def limit(self, labels: Labels, most: NDArray[np.float64]) -> None:
        """Bound the factors of elements from above."""
        self._limits.append((labels, most))

    def most(self, labels: Labels) -> NDArray[np.float64]:
        """Say how large the factor of each element may be: 1 if frozen, infinity if any."""
        found = np.full(self.count, np.inf)
        for limited, most in self._limits:
            np.minimum.at(found, self.roots(limited), most)
        found[list(self._reasons)] = 1.0
        return found[self.roots(labels)]

    def are_frozen(self, labels: Labels) -> bool:
        """Tell whether no element may be scaled."""
        return all(root in self._reasons for root in np.unique(self.roots(labels)).tolist())

    def roots(self, labels: Labels) -> Labels:
        """Find the label that stands for the class of each element."""
        parents = np.array(self._parents, np.int64)
        roots = parents[labels]
        while (roots != (higher := parents[roots])).any():
            roots = higher
        return roots

    def reasons(self, labels: Labels) -> tuple[str | None, ...]:
        """Say for each element of a 1-D array why it is frozen, None where it is free."""
        return tuple(self._reasons.get(root) for root in self.roots(labels).tolist())

    def _join(self, one: int, other: int) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        if first == second:
            return
        self._parents[second] = first
        reason = self._reasons.pop(second, None)
        if reason is not None:
            self._reasons.setdefault(first, reason)

    def _root(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = parents[parents[label]]
            label = parents[label]
        return label


def _without_copies(first: Labels, second: Labels) -> tuple[Labels, Labels]:
    """Leave out the axes along which both arrays are broadcast."""
    pairs = zip(first.strides, second.strides, strict=True)
    kept = tuple(slice(None) if any(strides) else slice(1) for strides in pairs)
    return first[kept], second[kept]
