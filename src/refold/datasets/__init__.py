"""Data sets: generators of synthetic sequences, and a real data set in the package.

``refold.sequences.read`` reads a user's own files.
"""

from refold.datasets._data_sets import JapaneseVowels as JapaneseVowels
from refold.datasets._data_sets import japanese_vowels as japanese_vowels
from refold.datasets._data_sets import labels_of as labels_of
from refold.datasets._data_sets import load as load
from refold.datasets._data_sets import moving_ones as moving_ones
from refold.datasets._data_sets import names as names
from refold.datasets._data_sets import noisy_sines as noisy_sines
from refold.datasets._data_sets import question_array as question_array
from refold.datasets._data_sets import ramps as ramps
from refold.datasets._data_sets import random_one_hot as random_one_hot
