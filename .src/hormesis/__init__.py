"""Does some toxic text in pretraining make a model easier to detoxify? Imports nothing until it is used.

database = hormesis.open()                # a study database, read only
study = database.study()                  # its views are DataFrames, study.chart(NAME) is a figure
model = hormesis.load("smollm2")          # probe, steer, generate, save
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hormesis.dashboard.notebook.charts import chart as chart
    from hormesis.dashboard.notebook.database import Database as Database
    from hormesis.dashboard.notebook.database import open_database as open
    from hormesis.dashboard.notebook.study import Study as Study
    from hormesis.dashboard.notebook.study_rows import Checkpoint as Checkpoint
    from hormesis.db.display import Texts as Texts
    from hormesis.pipeline.notebook.model import Model as Model
    from hormesis.pipeline.notebook.model import load as load
    from hormesis.pipeline.notebook.probes import Probes as Probes

    __version__: str

_PLACES = {
    "open": ("dashboard.notebook.database", "open_database"),
    "Database": ("dashboard.notebook.database", "Database"),
    "Study": ("dashboard.notebook.study", "Study"),
    "Checkpoint": ("dashboard.notebook.study_rows", "Checkpoint"),
    "chart": ("dashboard.notebook.charts", "chart"),
    "load": ("pipeline.notebook.model", "load"),
    "Model": ("pipeline.notebook.model", "Model"),
    "Probes": ("pipeline.notebook.probes", "Probes"),
    "Texts": ("db.display", "Texts"),
}
__all__ = ["Checkpoint", "Database", "Model", "Probes", "Study", "Texts", "chart", "load", "open"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("hormesis")
    if name not in _PLACES:
        raise AttributeError(f"module 'hormesis' has no attribute '{name}'")
    from importlib import import_module

    module, attribute = _PLACES[name]
    value = getattr(import_module(f"hormesis.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
