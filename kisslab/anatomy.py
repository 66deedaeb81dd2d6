"""Names for the 478 points of MediaPipe's face mesh. (LIPS, UPPER_LID, ..., GROUPS)

"Left" and "right" are the person's own, as in anatomy: the right eye is on the picture's left.
Lids and lips are listed from the picture's left to its right, so that upper and lower pair up.
Source: the connection sets that MediaPipe publishes with its FaceLandmarker.
"""

from __future__ import annotations

import numpy as np

POINTS = 478

RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER = 33, 133, 362, 263
RIGHT_UPPER_LID = np.array([33, 246, 161, 160, 159, 158, 157, 173, 133])
RIGHT_LOWER_LID = np.array([33, 7, 163, 144, 145, 153, 154, 155, 133])
LEFT_UPPER_LID = np.array([362, 398, 384, 385, 386, 387, 388, 466, 263])
LEFT_LOWER_LID = np.array([362, 382, 381, 380, 374, 373, 390, 249, 263])
RIGHT_BROW = np.array([46, 53, 52, 65, 55, 70, 63, 105, 66, 107])
LEFT_BROW = np.array([276, 283, 282, 295, 285, 300, 293, 334, 296, 336])
RIGHT_IRIS, LEFT_IRIS = np.array([468, 469, 470, 471, 472]), np.array([473, 474, 475, 476, 477])

UPPER_LIP_OUTER = np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291])
UPPER_LIP_INNER = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])
LOWER_LIP_INNER = np.array([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])
LOWER_LIP_OUTER = np.array([61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291])
MOUTH_RIGHT, MOUTH_LEFT = 61, 291
LIPS = np.unique(np.r_[UPPER_LIP_OUTER, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_OUTER])
STOMION = np.array([13, 14])  # where upper and lower lip meet in the middle

NOSE_TIP, NOSE_BASE = 1, 2
NOSE = np.array([168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 327, 48, 278, 64, 294, 45, 275, 220, 440,
                 115, 344])  # fmt: skip
FOREHEAD, CHIN = 10, 152
RIGHT_CHEEK, LEFT_CHEEK = 50, 280
RIGHT_TRAGUS, LEFT_TRAGUS = 234, 454  # the face oval's points nearest to the ears
OVAL = np.array([10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400,
                 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103,
                 67, 109])  # fmt: skip

EYES = (
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_BROW, RIGHT_IRIS),
    (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_BROW, LEFT_IRIS),
)
GROUPS = {
    "oval": OVAL,
    "right eye": np.r_[RIGHT_UPPER_LID, RIGHT_LOWER_LID[-2:0:-1]],
    "left eye": np.r_[LEFT_UPPER_LID, LEFT_LOWER_LID[-2:0:-1]],
    "right brow": RIGHT_BROW,
    "left brow": LEFT_BROW,
    "nose": NOSE,
    "lips": np.r_[UPPER_LIP_OUTER, LOWER_LIP_OUTER[-2:0:-1]],
    "right iris": RIGHT_IRIS,
    "left iris": LEFT_IRIS,
}
