"""Which presentation contexts are proposed, and in how many associations. Pure.

One context per SOP class and transfer syntax: of a context with several syntaxes the server picks
one, and whatever is encoded in another can't be sent. A pair without compressed pixels brings the
uncompressed syntaxes along, in contexts of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imaging_gears.dicom.transfer_syntax import EXPLICIT_UID, IMPLICIT_UID, NATIVE
from imaging_gears.ports import SyntaxPair

MAX_CONTEXTS: Final = 128  # odd numbers in one byte, PS3.8 9.3.2.2

# Explicit first: it keeps the VRs. Implicit is what every server must accept (PS3.5 10.1).
_FALLBACKS: Final = (EXPLICIT_UID, IMPLICIT_UID)


@dataclass(slots=True)
class Group:
    """What one association is asked for.

    Attributes:
        pairs: that occur in the data.
        contexts: to propose: the pairs and their fallbacks.
    """

    pairs: set[SyntaxPair] = field(default_factory=set)
    contexts: dict[SyntaxPair, None] = field(default_factory=dict)


def fallbacks(pair: SyntaxPair) -> tuple[SyntaxPair, ...]:
    """Return the pairs that an instance of `pair` may be sent as instead, the best one first."""
    sop_class, syntax = pair
    if syntax not in NATIVE:
        return ()
    return tuple((sop_class, other) for other in _FALLBACKS if other != syntax)


def groups(pairs: Iterable[SyntaxPair]) -> Sequence[Group]:
    """Return groups of at most 128 contexts that together serve all `pairs`."""
    found = [Group()]
    for pair in sorted(set(pairs)):
        needed = (pair, *fallbacks(pair))
        new = sum(context not in found[-1].contexts for context in needed)
        if len(found[-1].contexts) + new > MAX_CONTEXTS:
            found.append(Group())
        found[-1].pairs.add(pair)
        found[-1].contexts.update(dict.fromkeys(needed))
    return [group for group in found if group.pairs]


def choose(pair: SyntaxPair, accepted: Collection[SyntaxPair]) -> SyntaxPair | None:
    """Return the pair to send an instance of `pair` as; None where the server accepted none."""
    return next((each for each in (pair, *fallbacks(pair)) if each in accepted), None)


def why_not(pair: SyntaxPair, refused: Mapping[SyntaxPair, str]) -> str:
    """Return why `pair` can't be sent, when neither it nor a fallback was accepted."""
    return refused.get(pair, "the server did not answer this presentation context")
