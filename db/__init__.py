"""The one place every result lives: schema, engine, migrations, writes and the queries that read them.

Knows SQLAlchemy and pandas; knows nothing of models, studies in progress or pages.
"""
