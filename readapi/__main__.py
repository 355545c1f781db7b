"""Run the read API alone."""

from readapi.page.service import create as create_page
from readapi.service import create
from readapi.settings import ReadapiSettings
from runtime.http.server import main as run_server


def main() -> None:
    run_server(ReadapiSettings, [create, create_page])


if __name__ == "__main__":
    main()
