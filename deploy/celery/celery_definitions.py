"""The project with Celery as the executor of its main job: what code server and workers load.

CELERY_BROKER and CELERY_BACKEND are addresses of Redis: redis://redis.example.com:6379/0 and /1.
"""

from dagster_celery import celery_executor

from batch_assets.definitions import build_definitions

defs = build_definitions(
    executor=celery_executor.configured(
        {
            "broker": {"env": "CELERY_BROKER"},
            "backend": {"env": "CELERY_BACKEND"},
        },
        name="celery",
    )
)
