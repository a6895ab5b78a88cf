"""Data sets: generators of synthetic sequences, and a real data set in the package.

``refold.sequences.read`` reads a user's own files.
"""

from refold.datasets._registry import JapaneseVowels as JapaneseVowels
from refold.datasets._registry import japanese_vowels as japanese_vowels
from refold.datasets._registry import labels_of as labels_of
from refold.datasets._registry import load as load
from refold.datasets._registry import names as names
from refold.datasets._synthetic import moving_ones as moving_ones
from refold.datasets._synthetic import noisy_sines as noisy_sines
from refold.datasets._synthetic import question_array as question_array
from refold.datasets._synthetic import ramps as ramps
from refold.datasets._synthetic import random_one_hot as random_one_hot
