"""Run a notifier."""

from notifier.settings import NotifierSettings
from notifier.worker import NotifierWorker
from runtime.process.worker import main as run_worker


def main() -> None:
    run_worker(NotifierSettings, NotifierWorker)


if __name__ == "__main__":
    main()
