"""Work shared out to processes: each prepares once, takes one task after another, and ends with the process that began it.

Processes are spawned, never forked: a fork of a process with threads (polars, OpenMP) hangs.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from shelfcast.errors import DataError, SettingsError, ShelfcastError, SourceError, WeightsError

State = TypeVar("State")
Argument = TypeVar("Argument")
Task = TypeVar("Task")
Result = TypeVar("Result")


def share_out(tasks: Sequence[Task], *, prepare: Callable[[Argument], State], argument: Argument,
              work: Callable[[State, Task], Result], jobs: int,
              environment: Mapping[str, str] | None = None) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, in the order in which they are done.

    Parameters
    ----------
    tasks : plain values
    prepare : function of a module, called once in each process with `argument`; what it returns goes to `work`
    work : function of a module, called for each task
    jobs : processes; not more than there are tasks are begun
    environment : variables that the processes see in addition

    Raises
    ------
    ShelfcastError
        What a task raised, with its message. What is no error of ours comes as a RuntimeError with the process's traceback.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(tasks))
    with _seen(environment or {}):
        crew = [_Worker(context, prepare, argument, work) for _ in range(min(jobs, len(waiting)))]
    try:
        for worker in crew:
            worker.give(waiting.pop())
        busy = {worker.line: worker for worker in crew}
        while busy:
            for line in wait(list(busy)):
                worker = busy[line]
                task, result = worker.take()
                if waiting:
                    worker.give(waiting.pop())
                else:
                    del busy[worker.line]
                    worker.end()
                yield task, result
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A process and the line to it."""

    def __init__(self, context: Any, prepare: Callable[[Any], Any], argument: Any, work: Callable[[Any, Any], Any]) -> None:
        self.line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, argument, work), daemon=True)
        self._process.start()
        theirs.close()
        self._task: Any = None

    def give(self, task: Any) -> None:
        self._task = task
        self.line.send(task)

    def take(self) -> tuple[Any, Any]:
        """The task and its result; raises what the task raised."""
        try:
            kind, value = self.line.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join(5)
            code = self._process.exitcode
            if code == -signal.SIGKILL:  # what a system does that runs out of memory
                raise MemoryError("A process was killed in the middle of its work") from error
            raise RuntimeError(f"A process ended in the middle of its work (exit code {code}). A script that starts processes must "
                               f"begin its work under: if __name__ == '__main__'") from error
        if kind == "done":
            return self._task, value
        raise _error(kind, value)

    def end(self) -> None:
        """No more tasks."""
        self.line.close()

    def stop(self) -> None:
        """End the process now, whatever it is doing."""
        self.line.close()
        if self._process.is_alive():
            self._process.join(0.2)  # one without a task goes by itself
            self._process.terminate()
        self._process.join()


def _serve(line: Connection, prepare: Callable[[Any], Any], argument: Any, work: Callable[[Any, Any], Any]) -> None:
    """What a process does: prepare, then answer tasks until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        state = prepare(argument)
        while True:
            line.send(("done", work(state, line.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except ShelfcastError as error:
        line.send((type(error).__name__, str(error)))
    except MemoryError as error:
        line.send(("MemoryError", str(error)))
    except Exception:
        line.send(("bug", traceback.format_exc()))


def _end_with_parent() -> None:
    """A killed parent cannot end its children: they watch it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _error(kind: str, message: str) -> Exception:
    """An error of another process. Some of our errors are made from more than a message, so they come as the kind above them."""
    if kind == "MemoryError":
        return MemoryError(message)
    if kind == "bug":
        return RuntimeError(f"A process failed:\n{message}")
    plain = {one.__name__: one for one in (DataError, SettingsError, SourceError, WeightsError)}
    return plain.get(kind, SettingsError if kind == "UnknownNameError" else ShelfcastError)(message)


@contextmanager
def _seen(environment: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes begun inside: a spawned process inherits them, and libraries read them as they are loaded."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
