"""Workers: processes on any machines that execute steps of runs, and get them through Redis by Celery.

    run's process ──sends, watches──► Redis ◄──takes, keeps alive── worker

`executor` sends steps, `steps` is what both sides know of a step, `app` is what a worker runs. What a step
does is in the modules of the assets, and knows nothing of this.
"""
