"""Streams of records from the forum language, files, wheels and hub data sets, all behind one call."""

from __future__ import annotations

from hormesis.pipeline.sources.files import FileSource
from hormesis.pipeline.sources.forum import ForumSource
from hormesis.pipeline.sources.hub import HubSource
from hormesis.pipeline.sources.record import Record, Source, SourceError
from hormesis.pipeline.sources.wheels import WheelSource
from hormesis.pipeline.study.config_sections import ForumConfig
from hormesis.pipeline.study.source_config import SourceConfig

__all__ = ["Record", "Source", "SourceError", "open_source"]


def open_source(cfg: SourceConfig, forum: ForumConfig) -> Source:
    """Open one source; `forum` is read only where the source is the forum language.

    Raises SourceError for everything that can be known before reading rows: missing or empty files, broken
    headers, missing columns, a hub that cannot be reached.
    """
    if cfg.kind == "file":
        return FileSource(cfg)
    if cfg.kind == "wheel":
        return WheelSource(cfg)
    if cfg.kind == "hub":
        return HubSource(cfg)
    return ForumSource(cfg, forum)
