"""Run the read API alone."""

from readapi.service import create
from readapi.settings import ReadapiSettings
from runtime.http.server import main as run_server


def main() -> None:
    run_server(ReadapiSettings, [create])


if __name__ == "__main__":
    main()
