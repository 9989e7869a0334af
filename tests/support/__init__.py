"""What several tests share."""

from pathlib import Path

#: The project's folder.
ROOT = Path(__file__).parent.parent.parent
