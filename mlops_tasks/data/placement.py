"""Where may this be processed? Only where all that it was made of may be.

Pure; what a rule of residency is stands in `settings.residency`, who asks in
`governance.residency`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from mlops_tasks.artifacts import Dataset


def common_regions(*made_of: object) -> tuple[str, ...]:
    """The regions that every dataset in some artifacts allows; none where there is no dataset.

    Examples
    --------
    >>> one = Dataset("x", "a", 1, ("c",), ("eu", "us"))
    >>> common_regions(one, Dataset("y", "b", 1, ("c",), ("eu",)))
    ('eu',)
    """
    each = [set(dataset.regions) for _, dataset in datasets_in(made_of)]
    return tuple(sorted(set.intersection(*each))) if each else ()


def datasets_in(value: object, name: str = "") -> Iterator[tuple[str, Dataset]]:
    """Every dataset inside an artifact, a mapping or a sequence, with the way that leads to it.

    A model counts by the rows that it learned from.
    """
    if isinstance(value, Dataset):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from datasets_in(each, _within(name, str(key)))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from datasets_in(each, _within(name, str(number)))
    elif is_dataclass(value):
        for part in fields(value):
            yield from datasets_in(getattr(value, part.name), _within(name, part.name))


def _within(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part
