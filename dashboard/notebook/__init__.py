"""The dashboard's rows and charts for a notebook: a database opened, its studies, views and figures."""
