"""Threads within one process. (thread_pool)"""

from concurrent.futures import ThreadPoolExecutor

import cv2


def thread_pool() -> ThreadPoolExecutor:
    """For two at once: numpy, torch and OpenCV work outside of Python's lock.

    For one where OpenCV was told so (`cv2.setNumThreads(1)`), as in processes that share the cores.
    """
    return ThreadPoolExecutor(max(1, min(2, cv2.getNumThreads())))
