"""One local Batch API server for many tests: emptying it is quicker than starting another one."""

from batch_assets_local.batch_server import RunningServer, ServerConfig

_TABLES = ("file", "batch", "result", "ledger")
_FOLDERS = ("files", "inputs")


def empty_server(server: RunningServer) -> None:
    """Let it forget what was made on it and billed, and wait and fail nowhere.

    Else each look at its lists would read what all tests before have left there.
    """
    with server.service.database.transaction() as connection:
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")
    server.set_config(ServerConfig.instant())


class ServerState:
    """What a server holds when this is made; it may be put back as often as tests need it.

    No batch may be running then or at the moments when it is put back.
    """

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        with server.service.database.reading() as connection:
            self._rows = {
                table: [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")]
                for table in _TABLES
            }
        self._files = {
            path: path.read_bytes()
            for folder in _FOLDERS
            for path in (server.state_dir / folder).iterdir()
        }

    def put_back(self) -> None:
        """Let the server hold this and nothing else; how it behaves stays as it is."""
        with self._server.service.database.transaction() as connection:
            for table, rows in self._rows.items():
                connection.execute(f"DELETE FROM {table}")
                for row in rows:
                    places = ", ".join("?" * len(row))
                    connection.execute(f"INSERT INTO {table} VALUES ({places})", row)
        for path, content in self._files.items():
            path.write_bytes(content)
