"""What routes depend on."""
import os


def get_root() -> str:
    return os.getcwd()
