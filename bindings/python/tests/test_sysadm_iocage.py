"""The module on a lab of sysadm-iocage, whose first pool is furnished. tests/bindings.rs runs it:

    SYSADM_IOCAGE_LIBRARY=... SYSADM_IOCAGE_CONFIG=FILE python3 -m unittest
"""

import ctypes.util
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import sysadm_iocage
from sysadm_iocage import Access, ConfigurationError, Error, Instance, JobError, LibraryError

RELEASE = "13.2-RELEASE"
FETCH = f"sysadm_iocage_fetch_release_{RELEASE}"
LIBRARY = os.environ["SYSADM_IOCAGE_LIBRARY"]
CONFIG = json.loads(Path(os.environ["SYSADM_IOCAGE_CONFIG"]).read_text())


def without(name):
    """The environment without a variable."""
    rest = {key: value for key, value in os.environ.items() if key != name}
    return mock.patch.dict(os.environ, rest, clear=True)


def grown(work):
    """By how many bytes doing something again and again makes this process grow."""
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


class Requests(unittest.TestCase):
    def setUp(self):
        self.iocage = Instance()
        self.addCleanup(self.iocage.close)

    def refused(self, code, action, **arguments):
        with self.assertRaises(Error) as caught:
            self.iocage.request(action, **arguments)
        self.assertEqual(caught.exception.code, code)
        self.assertEqual(str(caught.exception), f"{code}: {caught.exception.message}")
        return caught.exception.message

    def test_an_answer_is_what_stands_under_the_actions_name(self):
        jails = self.iocage.request("listjails", detail=True, jails=["web", "db"])["jails"]
        self.assertEqual({jail["name"] for jail in jails.values()}, {"web", "db"})
        self.assertEqual(jails["5"]["addresses"]["ip4"][0]["address"], "10.20.0.10")

    def test_an_error_has_a_code_and_a_message(self):
        self.assertIn("nobody", self.refused("not_found", "getjailsettings", jail="nobody"))
        self.assertIn("nothing", self.refused("400", "nothing"))
        self.refused("invalid_argument", "startjail")
        self.refused("invalid_argument", "startjail", jail=None)
        self.refused("invalid_argument", "startjail", jail="a\0b")
        self.refused("400", "getjailsettings", jail="\udc80")

    def test_one_of_several_that_fails_raises_nothing(self):
        jails = self.iocage.request("df", jails=["web", "nobody"])["jails"]
        self.assertIn("used", jails["web"])
        self.assertEqual(jails["nobody"]["code"], "not_found")

    def test_who_may_read_changes_nothing(self):
        with Instance(access=Access.READ) as reader:
            self.assertIn("jails", reader.request("listjails"))
            with self.assertRaises(Error) as caught:
                reader.request("stopjail", jail="web")
            self.assertEqual(caught.exception.code, "403")
            status, args = reader.evaluate({"action": "activatestatus"}, Access.FULL)
            self.assertEqual((status, args["activatestatus"]["activated"]), (200, "true"))
        self.assertEqual(self.iocage.evaluate('{"action": "x"}').status, 400)
        with self.assertRaises(ValueError):
            self.iocage.evaluate('{"action": "listjails"}\0')

    def test_a_message_gets_a_whole_response(self):
        message = {"id": "a", "namespace": "sysadm", "name": "iocage"}
        message["args"] = {"action": "activatestatus"}
        response = self.iocage.message(message)
        self.assertEqual((response["id"], response["name"]), ("a", "response"))
        forbidden = {**message, "args": {"action": "stopjail", "jail": "web"}}
        response = self.iocage.message(json.dumps(forbidden), Access.READ)
        self.assertEqual(response["args"]["code"], "403")

    def test_progress_knows_its_jobs_and_no_others(self):
        self.assertIsNone(self.iocage.progress("another"))
        with self.assertRaises(Error):
            self.iocage.progress(FETCH, "no log")
        log = {"state": "pending", "process_id": FETCH}
        self.assertEqual(self.iocage.progress(FETCH, log)["state"], "pending")

    def test_several_threads_ask_at_once(self):
        problems = []

        def ask():
            try:
                for _ in range(10):
                    self.assertEqual(len(self.iocage.request("listjails")["jails"]), 6)
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def test_other_threads_run_during_a_request(self):
        ticks = 0
        done = threading.Event()

        def tick():
            nonlocal ticks
            while not done.is_set():
                ticks += 1
                time.sleep(0.001)

        ticker = threading.Thread(target=tick)
        ticker.start()
        # It asks jls and zfs, which takes some milliseconds at the least.
        with Instance() as fresh:
            before = ticks
            fresh.request("listjails")
            during = ticks - before
        done.set()
        ticker.join()
        self.assertGreater(during, 2)

    def test_what_the_library_returns_is_freed(self):
        # Its id comes back with the response.
        message = json.dumps({"id": "x" * 200_000, "args": {"action": "activatestatus"}})
        self.assertGreater(len(json.dumps(self.iocage.message(message))), 200_000)
        self.assertLess(grown(lambda: self.iocage.message(message)), 8_000_000)


class Callbacks(unittest.TestCase):
    def test_a_job_is_waited_for_and_its_end_is_told(self):
        ended = []
        told = threading.Event()

        def job_ended(job, event):
            ended.append((job, event["success"], iocage.request("activatestatus")["activated"]))
            told.set()

        with Instance(job_ended=job_ended) as iocage:
            gc.collect()
            seen = []
            answer = iocage.request("fetchreleases", releases=RELEASE)
            self.assertEqual(sysadm_iocage.jobs_in(answer), [FETCH])
            events = iocage.wait(answer, seen.append, interval=0.01)
            self.assertEqual(events[FETCH]["success"], "true")
            self.assertEqual(seen[-1]["state"], "finished")
            self.assertTrue(told.wait(60))
        self.assertEqual(ended, [(FETCH, "true", "true")])

    def test_a_job_that_failed_is_an_error(self):
        with Instance() as iocage:
            with self.assertRaises(JobError) as caught:
                iocage.wait(iocage.request("fetchreleases", releases=["9.9-RELEASE"]))
            job = "sysadm_iocage_fetch_release_9.9-RELEASE"
            self.assertEqual(caught.exception.events[job]["success"], "false")
            with self.assertRaises(Error) as caught:
                iocage.wait("sysadm_iocage_fetch_release_8.0-RELEASE")
            self.assertEqual(caught.exception.code, "not_found")

    def test_the_programs_dispatcher_gets_the_job(self):
        queued = {}

        def queue_process(job, argv):
            queued[job] = argv
            return True

        host = {"queue_process": queue_process, "is_job_active": lambda job: job in queued}
        with Instance(**host) as iocage:
            answer = iocage.request("fetchreleases", releases=RELEASE)
            self.assertEqual(answer, {"started_dispatcher_id": [FETCH]})
            self.assertEqual(queued[FETCH][1:], ["fetch", "-r", RELEASE])
            again = iocage.request("fetchreleases", releases=RELEASE)
            self.assertEqual(again["already_running"], [FETCH])
            with self.assertRaises(TimeoutError):
                iocage.wait(again, timeout=0.1)
            queued.clear()
            self.assertIn(FETCH, iocage.wait(again))

    def test_an_exception_in_a_callback_goes_no_further(self):
        def fail(*_):
            raise RuntimeError("on purpose")

        with self.assertLogs("sysadm_iocage") as logs:
            with Instance(queue_process=fail, log=fail) as iocage:
                with self.assertRaises(Error) as caught:
                    iocage.request("fetchreleases", releases=RELEASE)
            self.assertEqual(caught.exception.code, "failed")
            # A job that nobody could ask about counts as one that runs.
            with Instance(queue_process=fail, is_job_active=fail) as iocage:
                answer = iocage.request("fetchreleases", releases=RELEASE)
            self.assertEqual(answer["already_running"], [FETCH])
            with Instance(job_ended=fail) as iocage:
                iocage.wait(iocage.request("fetchreleases", releases=RELEASE))
        for callback in ("queue_process", "is_job_active", "log", "job_ended"):
            self.assertTrue(any(callback in line for line in logs.output), callback)
        self.assertTrue(any("on purpose" in line for line in logs.output))

    def test_an_interrupt_in_a_callback_reaches_the_caller(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        with Instance(queue_process=interrupt) as iocage:
            with self.assertRaises(KeyboardInterrupt):
                iocage.request("fetchreleases", releases=RELEASE)
            self.assertIn("jails", iocage.request("listjails"))

    def test_what_is_changed_is_logged(self):
        lines = []
        with Instance(log=lambda level, message: lines.append((level, message))) as iocage:
            iocage.request("setjailsettings", jail="db", settings={"notes": "from Python"})
        self.assertTrue(any(level == 6 and "audit: setjailsettings" in line for level, line in lines))


class Lifetime(unittest.TestCase):
    def test_a_closed_instance_refuses(self):
        iocage = Instance()
        iocage.close()
        iocage.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            iocage.request("listjails")

    def test_closing_waits_for_the_calls_of_others(self):
        for _ in range(10):
            iocage = Instance()
            answers = []

            def ask(iocage=iocage, answers=answers):
                try:
                    while True:
                        answers.append(iocage.request("listjails"))
                except ValueError:
                    pass

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            while not answers:
                time.sleep(0.001)
            iocage.close()
            for thread in threads:
                thread.join()

    def test_a_callback_cannot_close(self):
        problems = []

        def close(*_):
            try:
                iocage.close()
            except RuntimeError as problem:
                problems.append(str(problem))
            return False

        with Instance(queue_process=close) as iocage:
            with self.assertRaises(Error):
                iocage.request("fetchreleases", releases=RELEASE)
        self.assertEqual(problems, ["an instance cannot be closed from a callback"])

    def test_an_instance_that_is_forgotten_is_closed(self):
        closed = []
        iocage = Instance(log=lambda *_: None)
        real = iocage._library.sysadm_iocage_close
        iocage._library.sysadm_iocage_close = lambda pointer: closed.append(real(pointer))
        del iocage
        gc.collect()
        self.assertEqual(closed, [None])

    def test_a_program_may_end_with_an_instance_and_a_job(self):
        program = (
            "from sysadm_iocage import Instance\n"
            "iocage = Instance(job_ended=lambda *_: None)\n"
            f"print(iocage.request('fetchreleases', releases='{RELEASE}'))\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))

    def test_a_child_of_fork_leaves_its_parents_instance_alone(self):
        with Instance() as iocage:
            child = os.fork()
            if child == 0:
                try:
                    iocage.request("listjails")
                except ValueError:
                    iocage._finalizer()
                    os._exit(7)
                os._exit(1)
            self.assertEqual(os.waitpid(child, 0)[1] >> 8, 7)
            self.assertIn("jails", iocage.request("listjails"))


class Opening(unittest.TestCase):
    def test_the_version_is_that_of_the_library(self):
        with Instance() as iocage:
            self.assertEqual(iocage.version, sysadm_iocage.__version__)

    def test_a_wrong_configuration_is_named(self):
        for config in ({"pool": []}, '{"pool": []}'):
            with self.assertRaisesRegex(ConfigurationError, '"pool"'):
                Instance(config)
        with Instance(CONFIG) as iocage:
            self.assertIn("jails", iocage.request("listjails"))
        with mock.patch.dict(os.environ, SYSADM_IOCAGE_CONFIG="/nowhere.json"):
            with self.assertRaisesRegex(ConfigurationError, "/nowhere.json"):
                Instance()

    def test_without_any_configuration_the_defaults_count(self):
        missing = mock.patch.object(sysadm_iocage, "CONFIGURATION_FILE", "/nowhere.json")
        with without("SYSADM_IOCAGE_CONFIG"), missing:
            Instance().close()
        with mock.patch.dict(os.environ, SYSADM_IOCAGE_CONFIG=""), missing:
            Instance().close()

    def test_a_bad_library_is_refused(self):
        libc = ctypes.util.find_library("c")
        with tempfile.NamedTemporaryFile(suffix=".so") as text:
            text.write(b"no library")
            text.flush()
            for library in ("/nowhere.so", text.name, Path(text.name), libc):
                with self.assertRaises(LibraryError) as caught:
                    Instance(library=library)
                self.assertEqual(caught.exception.code, "unavailable")

    def test_another_version_of_the_interface_is_refused(self):
        with mock.patch.object(sysadm_iocage, "ABI_VERSION", 2):
            with self.assertRaisesRegex(LibraryError, "version 1 of the interface, and not 2"):
                Instance()

    def test_the_library_is_looked_for(self):
        Instance(library=LIBRARY).close()
        Instance(library=Path(LIBRARY)).close()
        with without("SYSADM_IOCAGE_LIBRARY"):
            with mock.patch.object(sysadm_iocage, "SONAME", LIBRARY):
                Instance().close()
            with mock.patch.object(sysadm_iocage, "SONAME", "/nowhere.so"):
                with mock.patch.object(ctypes.util, "find_library", return_value=LIBRARY):
                    Instance().close()
                with mock.patch.object(ctypes.util, "find_library", return_value=None):
                    with self.assertRaises(LibraryError):
                        Instance()


if __name__ == "__main__":
    unittest.main()
