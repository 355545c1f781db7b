"""Run a matcher."""

from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from runtime.process.worker import main as run_worker


def main() -> None:
    run_worker(MatcherSettings, MatcherWorker)


if __name__ == "__main__":
    main()
