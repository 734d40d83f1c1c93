"""How long a file that was made for a download stays on the server.

Streamlit deletes it when scripts have ended twice, of whichever viewer: with several of them, or a page
that renews itself, that is before the browser has asked for it, and the download fails.
"""

from __future__ import annotations

import time

from streamlit.runtime import media_file_manager

SECONDS = 120.0


class LastingMetadata(media_file_manager.MediaFileMetadata):
    """What Streamlit knows of a file; it may be deleted SECONDS after its deletion was first wished."""

    _marked: float | None = None

    @property
    def is_marked_for_delete(self) -> bool:
        """Whether it may be deleted now."""
        return self._marked is not None and time.monotonic() - self._marked >= SECONDS

    def mark_for_delete(self) -> None:
        """Begin to count, the first time."""
        if self._marked is None:
            self._marked = time.monotonic()


def keep_downloads() -> None:
    """Have every file of this process last."""
    media_file_manager.MediaFileMetadata = LastingMetadata  # type: ignore[misc]
