"""Says whether pictures of text can be read here: the OCR extra is installed or not."""

from functools import lru_cache
from importlib.util import find_spec


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Whether the packages of requirements-ocr.txt are there."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None
