"""Run a persister."""

from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from runtime.process.worker import main as run_worker


def main() -> None:
    run_worker(PersisterSettings, PersisterWorker)


if __name__ == "__main__":
    main()
