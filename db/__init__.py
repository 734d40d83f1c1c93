"""The one place every result lives: schema, engine, migrations, writes and the queries that read them."""
