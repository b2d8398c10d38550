"""The job with a process for each op, made where this is imported first.

Those processes are forked from one that has imported it.
"""

import dagster as dg

from batch_assets.definitions import build_definitions

JOB = build_definitions(executor=dg.multiprocess_executor).resolve_job_def("batch_processing_job")
