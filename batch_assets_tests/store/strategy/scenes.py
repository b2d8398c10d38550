"""One scene for each operation of the Protocol: what there is before, what is asked, what is right.

Each is a function that prepares an empty database and gives the asking and the judging.
"""

from batch_assets_tests.store.strategy.reading_scenes import READING
from batch_assets_tests.store.strategy.writing_scenes import WRITING

SCENES = {**READING, **WRITING}
