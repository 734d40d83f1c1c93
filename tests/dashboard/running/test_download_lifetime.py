"""A file made for a download is there when the browser asks for it, however many viewers there are."""

from __future__ import annotations

import pytest
from streamlit.runtime import media_file_manager
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from hormesis.dashboard.running import download_lifetime
from hormesis.dashboard.running.download_lifetime import LastingMetadata, keep_downloads


@pytest.mark.parametrize("lasting", [True, False])
def test_a_download_outlives_the_scripts_of_other_viewers(
    lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = next(kind for kind in LastingMetadata.__mro__ if kind.__module__ == media_file_manager.__name__)
    monkeypatch.setattr(media_file_manager, "MediaFileMetadata", plain)
    if lasting:
        keep_downloads()
    manager = MediaFileManager(MemoryMediaFileStorage("/media"))
    url = manager.execute_deferred(manager.add_deferred(lambda: b"rows", "text/csv", "1.2", "rows.csv"))
    name = url.rpartition("/")[2].partition(".")[0]
    for _ in range(3):  # scripts of viewers that end before the browser asks
        manager.remove_orphaned_files()
    # Without it Streamlit has deleted the file; where it no longer does, the module can go.
    assert (manager.read_file(name) is not None) == lasting
    monkeypatch.setattr(download_lifetime, "SECONDS", 0.0)
    manager.remove_orphaned_files()
    assert manager.read_file(name) is None
