"""Blocks of frames: work for every rank, and none larger than the first."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ptypy_beamline.ptypy_frames import BlockSizes, FramesInOne


def blocks_of(shares, count, wanted):
    blocks = []
    while left := count - sum(blocks):
        blocks.append(shares.next(left, wanted))
    return blocks


@pytest.mark.parametrize("ranks", range(1, 6))
@pytest.mark.parametrize("wanted", [1, 2, 3, 7, 10, 99, 100_000])
def test_blocks_of_a_finished_scan(ranks, wanted):
    for count in range(ranks, 120):
        blocks = blocks_of(BlockSizes(ranks), count, wanted)
        assert min(blocks) >= ranks
        assert max(blocks) == blocks[0] <= max(wanted, 2 * ranks)


@pytest.mark.parametrize("ranks", range(1, 6))
@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("pace", [1, 4, 17])
def test_blocks_of_a_growing_scan(ranks, least, pace):
    shares = BlockSizes(ranks, least)
    for wanted in (1, 8, 12, 100):
        for count in range(ranks, 90):
            blocks = []
            for there in range(pace, count, pace):
                while block := shares.next_of_growing(
                    there - sum(blocks), wanted, *blocks[:1] or [None]
                ):
                    blocks.append(block)
            while left := count - sum(blocks):
                blocks.append(shares.next(left, wanted, *blocks[:1] or [None]))
            assert min(blocks) >= ranks
            assert max(blocks) == blocks[0]


def test_blocks_are_whole_where_they_can_be():
    assert blocks_of(BlockSizes(1), 23, 5) == [5, 5, 5, 5, 3]
    assert blocks_of(BlockSizes(3), 100, 99) == [97, 3]
    assert blocks_of(BlockSizes(2), 20, 9) == [8, 8, 4]


def test_min_frames_make_a_block_of_a_growing_scan():
    shares = BlockSizes(1, 10)
    assert shares.next_of_growing(9, 100_000, None) == 0
    assert shares.next_of_growing(57, 100_000, None) == 50
    assert shares.next_of_growing(57, 100_000, 20) == 20
    assert BlockSizes(1).next_of_growing(57, 100_000, None) == 0, "else whole blocks only"


def test_frames_of_a_block_travel_once():
    """As PtyPy gathers them where it saves: by position, and in no more bytes than they have."""
    frames = np.random.default_rng(1).random((50, 32, 32), np.float32)
    message = pickle.dumps(FramesInOne(range(10, 60), frames))
    assert len(message) < 1.02 * frames.nbytes
    got = pickle.loads(message)
    assert list(got) == list(range(10, 60))
    assert all(np.array_equal(got[10 + k], frame) for k, frame in enumerate(frames))
