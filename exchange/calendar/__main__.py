"""Run a calendar."""

from exchange.calendar.settings import CalendarSettings
from exchange.calendar.worker import CalendarWorker
from runtime.process.worker import main as run_worker


def main() -> None:
    run_worker(CalendarSettings, CalendarWorker)


if __name__ == "__main__":
    main()
