"""How checkpoints of flow networks are recognized: each has a tensor that no other network has."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ascendvsr.models.card import Architecture, Shapes

NO_NAMES: Mapping[str, str] = MappingProxyType({})


def by_mark(
    name: str, mark: tuple[str, tuple[int, ...]], summary: str, renamed: Mapping[str, str] = NO_NAMES
) -> Callable[[Shapes], list[Architecture]]:
    """The `detect` of the network `name`: alone in a checkpoint, with the tensor `mark` (name, shape).

    `renamed`: what published names begin with -> what they begin with here.
    """
    marked, expected = mark

    def detect(shapes: Shapes) -> list[Architecture]:
        shapes = {with_own_prefix(key, renamed): shape for key, shape in shapes.items()}
        if marked not in shapes:
            return []
        if shapes[marked] != expected:
            raise ValueError(f"another {name}")
        return [Architecture(name, {"model.name": name}, summary)]

    return detect


def with_own_prefix(name: str, renamed: Mapping[str, str]) -> str:
    """A published name as it is here."""
    for published, own in renamed.items():
        if name.startswith(published):
            return own + name.removeprefix(published)
    return name
