"""Embed pairs of instruction and text with InstructorEmbedding, in the environment of requirements-instructor.txt.

Usage: ``python instructor_vectors.py MODEL_FOLDER VECTORS.npy < pairs.json``
"""

import json
import sys

import numpy as np
from InstructorEmbedding import INSTRUCTOR

folder, target = sys.argv[1:]
np.save(target, INSTRUCTOR(folder, device="cpu").encode(json.load(sys.stdin)))
