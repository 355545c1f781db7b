"""Run ingress alone."""

from ingress.service import create
from ingress.settings import IngressSettings
from runtime.http.server import main as run_server


def main() -> None:
    run_server(IngressSettings, [create])


if __name__ == "__main__":
    main()
