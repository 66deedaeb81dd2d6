"""How many threads the stages take."""

import cv2

from kisslab.threads import thread_pool


def test_one_thread_where_opencv_may_take_but_one() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        with thread_pool() as pool:
            assert pool._max_workers == 1
        cv2.setNumThreads(8)
        with thread_pool() as pool:
            assert pool._max_workers == 2
    finally:
        cv2.setNumThreads(before)
