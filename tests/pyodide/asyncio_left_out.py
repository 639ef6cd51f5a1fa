"""Which of CPython's own tests of asyncio are left out inside a browser, and why.

By module and name; a test that is there once per kind of task is left out for all of them.
"""

from __future__ import annotations

NO_SECOND_LOOP = "a page has one event loop, this needs another"
NO_THREADS = "there are no threads"
ALWAYS_A_LOOP = "expects that no event loop runs, and in a page one always does"
OUTSIDE = "steps or stops the loop from outside, turn by turn"
OWN_LOOP = "expects CPython's BaseEventLoop; Pyodide's WebLoop, which we leave alone, is none"
OWN_REPORTS = "Pyodide reports exceptions of tasks by itself: at once, to stderr"
OWN_FACTORY = "Pyodide's create_task hands no context to a task factory"
SUITE_OF_313 = "CPython 3.14 differs from 3.13, whose tests these are"

LEFT_OUT: dict[str, str] = {
    "locks.test_ambiguous_loops": NO_SECOND_LOOP,
    "tasks.test_constructor_heterogenous_futures": NO_SECOND_LOOP,
    "tasks.test_ensure_future_error_msg": NO_SECOND_LOOP,
    "tasks.test_ensure_future_future": NO_SECOND_LOOP,
    "tasks.test_ensure_future_task": NO_SECOND_LOOP,
    "tasks.test_other_loop_future": NO_SECOND_LOOP,
    "futures.test_wrap_future": NO_THREADS,
    "futures.test_wrap_future_use_global_loop": NO_THREADS,
    "futures.test_wrap_future_use_running_loop": NO_THREADS,
    "futures.test_wrap_future_without_loop": NO_THREADS,
    "tasks.test_run_coroutine_threadsafe": NO_THREADS,
    "tasks.test_run_coroutine_threadsafe_task_cancelled": NO_THREADS,
    "tasks.test_run_coroutine_threadsafe_task_factory_exception": NO_THREADS,
    "tasks.test_run_coroutine_threadsafe_with_exception": NO_THREADS,
    "tasks.test_run_coroutine_threadsafe_with_timeout": NO_THREADS,
    "futures.test_constructor_without_loop": ALWAYS_A_LOOP,
    "tasks.test_as_completed_coroutine_without_loop": ALWAYS_A_LOOP,
    "tasks.test_constructor_empty_sequence_without_loop": ALWAYS_A_LOOP,
    "tasks.test_constructor_without_loop": ALWAYS_A_LOOP,
    "tasks.test_ensure_future_coroutine": ALWAYS_A_LOOP,
    "tasks.test_shield_coroutine_without_loop": ALWAYS_A_LOOP,
    "tasks.test_log_destroyed_pending_task": "expects no task in the page but its own",
    "tasks.test_baseexception_during_cancel": OUTSIDE,
    "tasks.test_cancel_yield": OUTSIDE,
    "tasks.test_stop_while_run_in_complete": OUTSIDE,
    "tasks.test_error_in_call_soon": "replaces call_soon, and the loop does not belong to the test",
    "tasks.test_issue46672": OWN_LOOP,
    "futures.test_future_exception_never_retrieved": OWN_REPORTS,
    "futures.test_future_exception_never_retrieved_debug": OWN_REPORTS,
    "futures.test_tb_logger_exception_unretrieved": OWN_REPORTS,
    "futures2.test_handle_exc_handler_correct_context": OWN_REPORTS,
    "futures2.test_task_exc_handler_correct_context": OWN_REPORTS,
    "tasks.test_context_5": OWN_FACTORY,
    "tasks.test_context_6": OWN_FACTORY,
}

LEFT_OUT_ON_314: dict[str, str] = {
    "locks.test_barrier": SUITE_OF_313,
    "locks.test_lock": SUITE_OF_313,
    "locks.test_lock_by_with_statement": SUITE_OF_313,
    "locks.test_semaphore": SUITE_OF_313,
    "tasks.test__enter_task": SUITE_OF_313,
    "tasks.test__enter_task_failure": SUITE_OF_313,
    "tasks.test__leave_task": SUITE_OF_313,
    "tasks.test__leave_task_failure1": SUITE_OF_313,
    "tasks.test__register_task_1": SUITE_OF_313,
    "tasks.test__register_task_2": SUITE_OF_313,
    "tasks.test_current_task": SUITE_OF_313,
    "tasks.test_uncancel_basic": SUITE_OF_313,
    "tasks.test_uncancel_structured_blocks": SUITE_OF_313,
}
