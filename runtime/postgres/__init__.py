"""PostgreSQL: the tables, what is read from them, and whose history they hold."""
