"""Manages the jails that iocage keeps on a FreeBSD host, through libsysadm_iocage.

    from sysadm_iocage import Error, Instance

    with Instance() as iocage:
        try:
            answer = iocage.request("startjail", jail="web")
            print(answer["success"])
        except Error as error:
            print(error.code, error.message)

The actions, their arguments and answers are in the library's docs/api.md. All scalar values in
answers are strings. Any number of threads may use one instance; a call into the library does not
hold the interpreter's lock.
"""

import ctypes
import ctypes.util
import json
import logging
import os
import threading
import time
import weakref
from enum import IntEnum
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union

__all__ = [
    "Access",
    "ConfigurationError",
    "Error",
    "Instance",
    "JobError",
    "LibraryError",
    "Reply",
    "jobs_in",
]
__version__ = "0.2.0"

ABI_VERSION = 1
"""The version of the library's interface that this module is for."""

SONAME = "libsysadm_iocage.so.1"

CONFIGURATION_FILE = "/usr/local/etc/sysadm/iocage.json"
"""The configuration of an instance that is given none, as in the sysadm server."""

Json = Dict[str, Any]
"""A JSON object."""

_log = logging.getLogger(__name__)


class Access(IntEnum):
    """What the user may do."""

    READ = 0
    """See everything and change nothing."""
    FULL = 1
    """Do everything."""


class Error(Exception):
    """What could not be done.

    `code` is a word for programs (`not_found`, `in_use`, ...) or a number (`400`, `403`, `500`);
    `message` is one line for people. The library's docs/api.md has all codes.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class LibraryError(Error):
    """The library is not found, or has another version of its interface."""


class ConfigurationError(Error):
    """The configuration is wrong; the message names what is."""


class JobError(Error):
    """At least one job has failed. `events` has the last event of each that was waited for."""

    def __init__(self, code: str, message: str, events: Optional[Dict[str, Json]] = None) -> None:
        super().__init__(code, message)
        self.events = events or {}


class Reply(NamedTuple):
    """What evaluate() returns."""

    status: int
    """200 for an answer, which may be an action's error; 400, 403 or 500."""
    args: Json
    """The answer under the action's name."""


_QueueProcess = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)
)
_IsJobActive = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p)
_TakeLog = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)
_JobEnded = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)


class _Host(ctypes.Structure):
    """sysadm_iocage_host."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("user_data", ctypes.c_void_p),
        ("queue_process", _QueueProcess),
        ("is_job_active", _IsJobActive),
        ("log", _TakeLog),
        ("job_ended", _JobEnded),
    ]


# The arguments and the result of each function. A `char *` is a c_void_p: it has to be freed.
_FUNCTIONS: Dict[str, Tuple[List[Any], Any]] = {
    "abi_version": ([], ctypes.c_uint32),
    "version": ([], ctypes.c_char_p),
    "open": (
        [ctypes.c_char_p, ctypes.POINTER(_Host), ctypes.POINTER(ctypes.c_void_p)],
        ctypes.c_void_p,
    ),
    "evaluate": (
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32)],
        ctypes.c_void_p,
    ),
    "message": ([ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32], ctypes.c_void_p),
    "progress": ([ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p], ctypes.c_void_p),
    "close": ([ctypes.c_void_p], None),
    "free": ([ctypes.c_void_p], None),
}


def _load(library: Union[str, "os.PathLike[str]", None]) -> ctypes.CDLL:
    """Loads the library and checks its interface, before anything else of it is called."""
    chosen = library or os.environ.get("SYSADM_IOCAGE_LIBRARY")
    if chosen:
        return _load_from(os.fspath(chosen))
    try:
        # The loader knows where libraries are, and this name is that of a fitting interface.
        return _load_from(SONAME)
    except LibraryError as error:
        # On Linux this may start a compiler to ask, so it comes last.
        found = ctypes.util.find_library("sysadm_iocage")
        if found is None or found == SONAME:
            raise
        _log.debug("%s", error)
        return _load_from(found)


def _load_from(path: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(path)
        for name, (arguments, result) in _FUNCTIONS.items():
            function = getattr(library, f"sysadm_iocage_{name}")
            function.argtypes = arguments
            function.restype = result
    except OSError as error:
        raise LibraryError("unavailable", f"the library cannot be loaded: {error}") from error
    except AttributeError as error:
        raise LibraryError("unavailable", f"{path} is another library: {error}") from error
    version = library.sysadm_iocage_abi_version()
    if version != ABI_VERSION:
        message = f"{path} has version {version} of the interface, and not {ABI_VERSION}"
        raise LibraryError("unavailable", message)
    return library


def _take(library: ctypes.CDLL, string: Optional[int]) -> Optional[str]:
    """The text of a string that the library returned, which is freed."""
    if string is None:
        return None
    try:
        return ctypes.string_at(string).decode()
    finally:
        library.sysadm_iocage_free(string)


def _text(text: str) -> bytes:
    """A text for the library. (It would end at a NUL, and mean something else.)"""
    if "\0" in text:
        raise ValueError("a text with a NUL in it")
    return text.encode()


def _json(value: Union[str, Mapping[str, Any]]) -> bytes:
    return _text(value if isinstance(value, str) else json.dumps(value))


def _configuration(config: Union[str, Mapping[str, Any], None]) -> bytes:
    if config is not None:
        return _json(config)
    chosen = os.environ.get("SYSADM_IOCAGE_CONFIG")
    path = chosen or CONFIGURATION_FILE
    try:
        with open(path, encoding="utf-8") as file:
            return _text(file.read())
    except FileNotFoundError as error:
        if not chosen:
            return b"{}"
        raise ConfigurationError("500", f"{path}: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError("500", f"{path}: {error}") from error


class _Inside(threading.local):
    """What this thread does in a callback."""

    depth = 0
    interrupt: Optional[BaseException] = None


_inside = _Inside()


def _guarded(name: str, otherwise: Any, work: Callable[[], Any]) -> Any:
    """What a callback of the program's returns. No exception may pass through the library."""
    _inside.depth += 1
    try:
        return work()
    except Exception:  # pylint: disable=broad-except
        _log.exception("%s() has failed", name)
    except BaseException as interrupt:  # pylint: disable=broad-except
        # Such as Ctrl-C: it is raised when the library returns.
        _inside.interrupt = interrupt
    finally:
        _inside.depth -= 1
    return otherwise


def _words(argv: Any) -> List[str]:
    words: List[str] = []
    while argv[len(words)] is not None:
        words.append(argv[len(words)].decode())
    return words


class _Calls:
    """The calls on an instance that have not returned."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.number = 0
        self.process = os.getpid()

    def belong_elsewhere(self) -> bool:
        """Whether this is a child of fork(): the instance and its threads are the parent's."""
        return os.getpid() != self.process


def _close(library: ctypes.CDLL, pointer: int, host: _Host, calls: _Calls) -> None:
    """Ends an instance; `host` has its callbacks, which have to live until then."""
    del host
    if calls.belong_elsewhere() or calls.number:
        return  # in a call is a daemon thread, at the end of the program
    if _inside.depth:
        # The garbage collector came by in a callback, and that one must not wait for itself.
        threading.Thread(target=library.sysadm_iocage_close, args=(pointer,)).start()
    else:
        library.sysadm_iocage_close(pointer)


class Instance:
    """An instance of the library, best used in a `with` statement: at its end the instance is
    closed, which ends the jobs that it runs itself. Wait for them (wait()) where they matter.

    `config`: the configuration, as a mapping or as JSON text; `{}` for what is built in. If none is
    given, it is read from the file that the environment variable SYSADM_IOCAGE_CONFIG names, else
    from CONFIGURATION_FILE, if that exists.

    `library`: the path of the library. If none is given, it is what SYSADM_IOCAGE_LIBRARY says, else
    the library is looked for where the system looks for libraries.

    `access`: what the user of this instance may do, unless a call says otherwise.

    The other arguments are called from any thread, several at once. They may use this instance, but
    must not close it. An exception is logged (logger `sysadm_iocage`), and goes no further.

    `queue_process(job, argv)` hands a long job to the program's own dispatcher, and returns whether
    that has taken it. Without it the library runs its jobs itself. One that raises has not taken it.

    `is_job_active(job)` returns whether such a job still waits or runs. One that raises counts as
    true: what the job uses stays held.

    `log(level, message)` takes messages; the level is that of syslog. Without it what is changed is
    logged by syslog.

    `job_ended(job, event)` is called when a job that the library ran itself has ended.
    """

    def __init__(
        self,
        config: Union[str, Mapping[str, Any], None] = None,
        *,
        library: Union[str, "os.PathLike[str]", None] = None,
        access: Access = Access.FULL,
        queue_process: Optional[Callable[[str, List[str]], bool]] = None,
        is_job_active: Optional[Callable[[str], bool]] = None,
        log: Optional[Callable[[int, str], None]] = None,
        job_ended: Optional[Callable[[str, Json], None]] = None,
    ) -> None:
        self.access = access
        self._library = _load(library)
        self._calls = _Calls()
        host = _Host(struct_size=ctypes.sizeof(_Host))
        # The functions that are made here know nothing of `self`, so that it can be collected.
        if queue_process is not None:
            take = queue_process
            host.queue_process = _QueueProcess(
                lambda _, job, argv: _guarded(
                    "queue_process", False, lambda: bool(take(job.decode(), _words(argv)))
                )
            )
        if is_job_active is not None:
            ask = is_job_active
            host.is_job_active = _IsJobActive(
                lambda _, job: _guarded("is_job_active", True, lambda: bool(ask(job.decode())))
            )
        if log is not None:
            note = log
            host.log = _TakeLog(
                lambda _, level, text: _guarded("log", None, lambda: note(level, text.decode()))
            )
        if job_ended is not None:
            tell = job_ended
            host.job_ended = _JobEnded(
                lambda _, job, event: _guarded(
                    "job_ended", None, lambda: tell(job.decode(), json.loads(event))
                )
            )
        error = ctypes.c_void_p()
        pointer = self._library.sysadm_iocage_open(
            _configuration(config), ctypes.byref(host), ctypes.byref(error)
        )
        message = _take(self._library, error.value)
        if not pointer:
            raise ConfigurationError("500", message or "the instance cannot be opened")
        self._pointer: int = pointer
        # Closes an instance that is forgotten, too, and one that is left at the program's end.
        self._finalizer = weakref.finalize(
            self, _close, self._library, pointer, host, self._calls
        )

    def __enter__(self) -> "Instance":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the instance and the jobs that it runs itself, when the calls that other threads
        have made have returned. It must not be called from a callback. A second time it does
        nothing."""
        if _inside.depth:
            raise RuntimeError("an instance cannot be closed from a callback")
        with self._calls.changed:
            last = self._finalizer.detach()
            self._calls.changed.wait_for(lambda: self._calls.number == 0)
        if last is not None:
            _, close, arguments, _ = last
            close(*arguments)

    @property
    def version(self) -> str:
        """The version of the library, such as "0.1.0"."""
        version: bytes = self._library.sysadm_iocage_version()
        return version.decode()

    def _call(self, function: str, *arguments: Any) -> Optional[str]:
        """Calls a function of the library that returns a string, on this instance."""
        calls = self._calls
        if calls.belong_elsewhere():
            raise ValueError("the instance belongs to the process before fork()")
        with calls.changed:
            if not self._finalizer.alive:
                raise ValueError("the instance is closed")
            calls.number += 1
        try:
            called = getattr(self._library, f"sysadm_iocage_{function}")
            text = _take(self._library, called(self._pointer, *arguments))
        finally:
            with calls.changed:
                calls.number -= 1
                calls.changed.notify_all()
        interrupt = _inside.interrupt
        if interrupt is not None and not _inside.depth:
            _inside.interrupt = None
            raise interrupt
        return text

    def request(self, action: str, /, **arguments: Any) -> Json:
        """Carries out an action and returns its answer: what stands under the action's name.

            iocage.request("listjails", state="up")["jails"]
            iocage.request("setjailsettings", jail="web", settings={"boot": True})

        Raises Error. With `jails` (several) the answer has for each jail its own, or its `error`
        and `code`: one's failure raises nothing.
        """
        _, reply = self.evaluate({**arguments, "action": action})
        for key, answer in reply.items():
            code = answer.get("code")
            message = answer.get("message" if key == "error" else "error")
            if code is not None and message is not None:
                raise Error(code, message)
        answer = reply[action]
        assert isinstance(answer, dict)
        return answer

    def evaluate(
        self, args: Union[str, Mapping[str, Any]], access: Optional[Access] = None
    ) -> Reply:
        """Answers a request (its `args`, an object with `action`) and raises nothing for an error:
        what a server hands on to its client. `access` is that of the client."""
        access = self.access if access is None else access
        status = ctypes.c_int32()
        text = self._call("evaluate", _json(args), int(access), ctypes.byref(status))
        assert text is not None
        return Reply(status.value, json.loads(text))

    def message(
        self, message: Union[str, Mapping[str, Any]], access: Optional[Access] = None
    ) -> Json:
        """Answers a whole WebSocket message (`id`, `namespace`, `name`, `args`) with the whole
        response. `access` is that of the client."""
        access = self.access if access is None else access
        text = self._call("message", _json(message), int(access))
        assert text is not None
        response: Json = json.loads(text)
        return response

    def progress(
        self, job: str, log: Union[str, Mapping[str, Any], None] = None
    ) -> Optional[Json]:
        """The event of a job: `state`, `percent_done`, at its end `success`, and so on; None if the
        job is not of this library. `log` is the log of a job in the program's own dispatcher.
        Raises Error if there is no such job, or if its log cannot be read."""
        text = self._call("progress", _text(job), None if log is None else _json(log))
        event: Optional[Json] = None if text is None else json.loads(text)
        if event is not None and isinstance(event.get("error"), dict):
            raise Error(event["error"]["code"], event["error"]["message"])
        return event

    def wait(
        self,
        jobs: Union[str, Iterable[str], Mapping[str, Any]],
        progress: Optional[Callable[[Json], None]] = None,
        *,
        interval: float = 0.2,
        timeout: Optional[float] = None,
    ) -> Dict[str, Json]:
        """Waits until jobs have ended, and returns the last event of each.

            iocage.wait(iocage.request("fetchreleases", releases="14.1-RELEASE"))

        `jobs`: an id, several, or the answer of the request that started them.

        `progress`: gets an event of each job every `interval` seconds, and its last one.

        Raises JobError if one has failed, when all have ended; TimeoutError if one still runs after
        `timeout` seconds (it runs on); Error if there is no such job.
        """
        waiting = [jobs] if isinstance(jobs, str) else jobs_in(jobs)
        deadline = None if timeout is None else time.monotonic() + timeout
        events: Dict[str, Json] = {}
        while True:
            for job in [job for job in waiting if job not in events]:
                event = self.request("jobstatus", job=job)
                if event["state"] == "finished":
                    events[job] = event
                if progress is not None:
                    progress(event)
            if all(job in events for job in waiting):
                break
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"not ended: {[job for job in waiting if job not in events]}")
            time.sleep(interval)
        for job, event in events.items():
            if event.get("success") == "false":
                raise JobError("failed", f"{job}: {event.get('error', 'it failed')}", events)
        return events


def jobs_in(answer: Union[Iterable[str], Mapping[str, Any]]) -> List[str]:
    """The ids of the jobs that an answer names: those that were started, and those that ran."""
    if not isinstance(answer, Mapping):
        return list(answer)
    jobs: List[str] = []
    for key in ("started_dispatcher_id", "already_running"):
        ids = answer.get(key, [])
        jobs += [ids] if isinstance(ids, str) else ids
    return jobs
