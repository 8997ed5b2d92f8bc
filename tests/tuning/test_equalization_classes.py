"""Union-find against sets that are merged one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.tuning.equalization.classes import ChannelClasses

COUNT = 12
_labels = st.integers(0, COUNT - 1)
_pairs = st.lists(st.tuples(_labels, _labels), max_size=15)


def _sets(pairs: list[tuple[int, int]]) -> list[set[int]]:
    sets = [{one} for one in range(COUNT)]
    for pair in pairs:
        touched = [x for x in sets if x & set(pair)]
        sets = [x for x in sets if not x & set(pair)] + [set().union(*touched)]
    return sets


@given(_pairs, st.lists(_labels, max_size=3), st.integers(0, 15))
def test_classes_are_the_sets_that_joins_leave(
    pairs: list[tuple[int, int]], frozen: list[int], early: int
) -> None:
    classes = ChannelClasses()
    labels = classes.fresh(COUNT)
    for index, (one, other) in enumerate(pairs):
        if index == early:
            classes.freeze(labels[frozen], "early")
        classes.join(labels[one], labels[[other]])
    if early >= len(pairs):
        classes.freeze(labels[frozen], "late")
    roots, reasons = classes.roots(labels), classes.reasons(labels)
    for together in _sets(pairs):
        members = sorted(together)
        assert len({int(roots[k]) for k in members}) == 1
        assert len({reasons[k] for k in members}) == 1
        assert (reasons[members[0]] is not None) == bool(together & set(frozen))
    assert len(set(roots.tolist())) == len(_sets(pairs))


@given(_pairs, st.lists(st.tuples(_labels, st.floats(0.5, 9)), max_size=4))
def test_the_tightest_limit_of_a_class_counts(
    pairs: list[tuple[int, int]], limits: list[tuple[int, float]]
) -> None:
    classes = ChannelClasses()
    labels = classes.fresh(COUNT)
    for label, most in limits:
        classes.limit(labels[[label]], np.array([most]))
    for one, other in pairs:
        classes.join(labels[one], labels[other])
    allowed = classes.most(labels)
    for together in _sets(pairs):
        known = [value for label, value in limits if label in together]
        assert {float(allowed[k]) for k in together} == {min(known, default=np.inf)}


def test_joining_arrays_broadcasts_them() -> None:
    classes = ChannelClasses()
    image, bias = classes.fresh(12).reshape(3, 4), classes.fresh(3).reshape(3, 1)
    classes.join(image, bias)
    assert len(np.unique(classes.roots(image))) == 3
    assert (classes.roots(image)[:, :1] == classes.roots(bias)).all()
