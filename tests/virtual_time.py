"""A clock that jumps to the next timer, for what waits and is not to be waited for."""

import asyncio


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0

    def time(self):
        return self.now_s

    def _run_once(self):
        waiting = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if not self._ready and waiting:
            self.now_s = max(self.now_s, min(waiting))
        super()._run_once()


def on_virtual_time(coroutine):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
