"""Model check: every order of reads, uploads and kills of three writers of one QC log.

A writer's steps are those of `outputs.QcLog.write`: look at the newest version with what lies
between it and its base, then upload, until a version follows the one that was looked at or lacks
nothing. Versions never change, so a look is one step. What is merged, and when a writer is done, is
decided by the program's own functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations

import pytest

from imaging_gears.image_identifier_lookup.qc_log import (
    Content,
    Entry,
    LogVersion,
    base_of,
    lacks_nothing,
    merge,
    with_entry,
)

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

VISIT = {
    "adcid": 42,
    "ptid": "110001",
    "naccid": "NACC000042",
    "date": "2024-01-15",
    "visitnum": None,
    "modality": "MR",
}


Versions = tuple[tuple[int, frozenset[int]], ...]


@dataclass(frozen=True)
class Writer:
    """One job: the version that it looked at and what it makes of it, and the kills it may meet."""

    looked: int | None = None
    makes: frozenset[int] = frozenset()
    kills: int = 1
    done: bool = False


@dataclass(frozen=True)
class World:
    """The versions so far, each as (base, the entries that it holds), and the writers."""

    versions: Versions
    writers: tuple[Writer, ...]


def same_future(world: World) -> World:
    """Return the one world that stands for all with the same future.

    Versions before all that anybody will look at again are dropped, bases that nobody asks for any
    more are forgotten, and writers are alike, so their numbers may be exchanged.
    """
    versions, writers = world.versions, world.writers
    if versions:
        looked = [writer.looked for writer in writers if writer.looked is not None]
        drop = max(0, min([versions[-1][0], *looked]) - 1)
        kept = [(0, held) for _, held in versions[drop:-1]]
        versions = (*kept, (versions[-1][0] - drop, versions[-1][1]))
        writers = tuple(
            writer if writer.looked is None else replace(writer, looked=writer.looked - drop)
            for writer in writers
        )
    renamings = permutations(range(len(writers)))
    return min((_renamed(versions, writers, names) for names in renamings), key=_sort_key)


def _renamed(versions: Versions, writers: tuple[Writer, ...], names: tuple[int, ...]) -> World:
    def rename(held: frozenset[int]) -> frozenset[int]:
        return frozenset(names[each] for each in held)

    moved = [replace(writers[old], makes=rename(writers[old].makes)) for old in range(len(names))]
    return World(
        tuple((base, rename(held)) for base, held in versions),
        tuple(moved[names.index(new)] for new in range(len(names))),
    )


def _sort_key(world: World) -> tuple[object, ...]:
    return (
        [(base, sorted(held)) for base, held in world.versions],
        [
            (-1 if w.looked is None else w.looked, sorted(w.makes), w.kills, w.done)
            for w in world.writers
        ],
    )


@cache
def entry(number: int) -> Entry:
    """Return what writer `number` has to say."""
    return Entry(
        log_name="log",
        file_id=f"file{number}",
        version=1,
        run=1,
        state="PASS",
        file_name="T1.dcm",
        timestamp="2026-11-20 07:02:00",
        visit=VISIT,
    )


@cache
def content(base: int, held: frozenset[int]) -> Content:
    """Return a log that holds these entries, made from version `base`."""
    result = Content()
    for number in sorted(held):
        result = with_entry(result, entry(number), base)
    return result


@cache
def version(versions: Versions, number: int) -> LogVersion:
    """Return version `number` of the log as Flywheel would give it."""
    base, held = versions[number - 1]
    what = content(base, held)
    return LogVersion(number=number, text=what.text, info=what.info, tags=what.tags)


def held_by(what: Content) -> frozenset[int]:
    """Return the writers whose lines a log holds."""
    return frozenset(number for number in range(4) if f"file{number}#1" in what.text)


@cache
def made_of(versions: Versions, number: int) -> tuple[frozenset[int], bool]:
    """Return what a writer that looked at `versions` would upload, and whether it stands there."""
    if not versions:
        return held_by(with_entry(Content(), entry(number), 0)), False
    newest = version(versions[-1:], 1)
    base = base_of(newest.info)
    assert base is not None
    since = [version(versions, each) for each in range(max(1, base), len(versions))]
    wanted = with_entry(merge([*since, newest]), entry(number), len(versions))
    return held_by(wanted), lacks_nothing(newest, wanted)


def steps(world: World, *, kills: bool) -> list[World]:
    """Return the worlds that one step of one writer leads to."""
    following = []
    for number, writer in enumerate(world.writers):
        if writer.done:
            continue
        killed = Writer(kills=writer.kills - 1) if kills and writer.kills else None
        if writer.looked is None:
            makes, stands = made_of(world.versions, number)
            after = replace(writer, looked=len(world.versions), makes=makes)
            done = replace(writer, done=True)
            following.append(_with(world, number, done if stands else after))
            continue
        if killed:  # between look and upload, and run again from the start
            following.append(_with(world, number, killed))
        uploaded = replace(world, versions=(*world.versions, (writer.looked, writer.makes)))
        done = len(uploaded.versions) == writer.looked + 1
        again = Writer(kills=writer.kills, done=done)
        following.append(_with(uploaded, number, again))
        if killed:  # between the upload's effect and its reply
            following.append(_with(uploaded, number, killed))
    return following


def _with(world: World, number: int, writer: Writer) -> World:
    writers = (*world.writers[:number], writer, *world.writers[number + 1 :])
    return replace(world, writers=writers)


def as_it_is(world: World) -> World:
    """Return `world`: for checks that ask about the past."""
    return world


def reachable(
    writers: int, *, kills: bool, stands_for: Callable[[World], World] = same_future
) -> set[World]:
    """Return every world that some order of steps leads to, one for those that are alike."""
    start = World((), tuple(Writer() for _ in range(writers)))
    seen, open_ = {start}, [start]
    while open_:
        for following in map(stands_for, steps(open_.pop(), kills=kills)):
            if following not in seen:
                seen.add(following)
                open_.append(following)
    return seen


@pytest.mark.slow
def test_no_order_of_three_writers_with_a_kill_each_loses_a_line() -> None:
    """When all writers have come to their end, the newest version holds all of their lines."""
    worlds = reachable(3, kills=True)
    ends = [world for world in worlds if all(writer.done for writer in world.writers)]
    assert ends
    assert {world.versions[-1][1] for world in ends} == {frozenset({0, 1, 2})}


def test_a_writer_after_abandoned_ones_repairs_what_they_left() -> None:
    """Whatever was uploaded, also by a job that never ended, stands there after the next one."""
    for world in reachable(3, kills=False, stands_for=as_it_is):
        uploaded = frozenset().union(*(held for _, held in world.versions))
        assert made_of(world.versions, 3)[0] == uploaded | {3}


def test_the_newest_version_alone_is_not_enough() -> None:
    """The check can fail: in some order the newest version lacks what an earlier one holds."""
    assert any(
        not held <= world.versions[-1][1]
        for world in reachable(3, kills=False, stands_for=as_it_is)
        for _, held in world.versions
    )


def main() -> None:
    """Print how many worlds there are, and in how many ends a line is lost."""
    worlds = reachable(3, kills=True)
    ends = [world for world in worlds if all(writer.done for writer in world.writers)]
    lost = sum(world.versions[-1][1] != frozenset({0, 1, 2}) for world in ends)
    counts = f"{len(worlds)} worlds, {len(ends)} ends, {lost} lose a line"
    sys.stdout.write(f"3 writers, a kill each: {counts}\n")


if __name__ == "__main__":
    main()
