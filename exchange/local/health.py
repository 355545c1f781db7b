"""Judging from a worker's answers for its health whether it hangs."""

import threading
import time

from runtime.process.asking import OK, ask

ASK_SECONDS = 1.0  # From one question to the next.
FIRST_ASK_SECONDS = 0.1  # The same, until the first answer.
ANSWER_SECONDS_MAX = 1.0
HUNG_SECONDS = 10.0
START_SECONDS_MAX = 60.0
NOT_LIVE_MAX = 2


class HealthWatch:
    """Asks one worker once a second, in a thread of its own, so that the supervisor never waits.

    A worker hangs when it has answered once and then not for ``HUNG_SECONDS``, or when it has not
    answered at all ``START_SECONDS_MAX`` after its start. With ``any_answer`` every answer will
    do (an HTTP process that refuses because it is busy is alive). Without it only 200 is good:
    503 means that the loop of the worker has not run for ten seconds, and two of them are
    enough. One is not, because a machine that was suspended wakes up with old clocks.
    """

    def __init__(self, socket_path: str, any_answer: bool) -> None:
        self._socket_path = socket_path
        self._any_answer = any_answer
        self._life = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_answered = False
        self._silent_seconds = 0.0
        self._not_live = 0

    def watch(self) -> None:
        """Start asking, until :meth:`stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="health", daemon=True)
            self._thread.start()

    def begin(self) -> None:
        """The worker was started just now; what is known about its earlier life is void."""
        with self._lock:
            self._life += 1
            self._has_answered = False
            self._silent_seconds = 0.0
            self._not_live = 0

    def stop(self) -> None:
        self._stop.set()

    @property
    def life(self) -> int:
        """The number of the worker's present life, which :meth:`begin` raises by one."""
        return self._life

    @property
    def has_answered(self) -> bool:
        """Whether the worker has answered since its start."""
        return self._has_answered

    @property
    def complaint(self) -> str:
        """Why the worker counts as hung, empty while it does not."""
        with self._lock:
            if self._not_live >= NOT_LIVE_MAX:
                return f"has not run its loop for {HUNG_SECONDS:.0f} s"
            if self._has_answered and self._silent_seconds >= HUNG_SECONDS:
                return f"has not answered for {HUNG_SECONDS:.0f} s"
            if self._silent_seconds >= START_SECONDS_MAX:
                return f"has not answered within {START_SECONDS_MAX:.0f} s of its start"
            return ""

    def _run(self) -> None:
        noted = time.monotonic()
        while not self._stop.is_set():
            life, began = self.life, time.monotonic()
            status = ask(self._socket_path, "/health/live", ANSWER_SECONDS_MAX)
            before, noted = noted, time.monotonic()
            self.note(life, status, noted - before)
            pause = ASK_SECONDS if self.has_answered else FIRST_ASK_SECONDS
            self._stop.wait(max(0.0, began + pause - time.monotonic()))

    def note(self, life: int, status: int | None, seconds: float) -> None:
        """Take down the answer of the worker, or its absence, as of one of its lives;
        ``seconds`` have passed since the note before."""
        with self._lock:
            if life != self._life:
                return  # The answer, or its absence, belongs to the process before.
            if status is None:
                # Not more than one question takes: while this process itself was stopped, the
                # clock went on and nobody was asked.
                self._silent_seconds += min(seconds, ANSWER_SECONDS_MAX + ASK_SECONDS)
                return
            self._has_answered = True
            self._silent_seconds = 0.0
            is_good = self._any_answer or status == OK
            self._not_live = 0 if is_good else self._not_live + 1
